"""What a handler sees of the world: context, credentials, environment, place (spec 1.B, 2.A, 9.B)."""

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fc_runtime import Credentials, HandlerError
from support.callers import Caller, Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]

KEY = Credentials(
    access_key_id="STS.Key", access_key_secret="s3cr3t-value", security_token="t0ken-value"
)
OTHER = Credentials(
    access_key_id="STS.Other", access_key_secret="0ther-secret", security_token="0ther-token"
)
KEY_TRIPLE = ["STS.Key", "s3cr3t-value", "t0ken-value"]
OTHER_TRIPLE = ["STS.Other", "0ther-secret", "0ther-token"]


def test_context_has_every_attribute(deploy: Deploy, open_caller: Callable[..., Caller]) -> None:
    """Every attribute of spec 2.A, with its type: ``memory`` and ``timeout`` are whole numbers."""
    on = open_caller(region="cn-shanghai", account_id="1234567890")
    function = deploy("contexts", on=on, credentials=KEY, timeout=2.5, memory_mb=256)

    seen = function(request_id="my-own-id").json()

    remaining = seen.pop("remaining")
    assert 0 < remaining <= 2500
    assert {
        "request_id": "my-own-id",
        "requestId": "my-own-id",
        "credentials": KEY_TRIPLE,
        "camel": KEY_TRIPLE,
        "credentials.to_dict": dict(
            zip(("accessKeyId", "accessKeySecret", "securityToken"), KEY_TRIPLE, strict=True)
        ),
        "function": [function.name, "index.handler", 256, 3],
        "service": ["", "", "", "LATEST", ""],
        "region": "cn-shanghai",
        "account_id": "1234567890",
        "retry_count": 0,
        "tracing": ["", "", {}],
        "has_logger": True,
        "getLogger": True,
        "repr": f"<Context request_id='my-own-id' function={function.name!r}>"
        "<Credentials access_key_id='STS.Key'>",
    } == seen


def test_context_to_json_has_exactly_the_documented_keys(deploy: Deploy) -> None:
    """``context.to_json()`` is a str with the keys of spec 2.A and no others."""
    body = deploy("contexts", "index.to_json", credentials=KEY)().json()

    assert {
        "requestId",
        "credentials",
        "function",
        "service",
        "region",
        "accountId",
        "retryCount",
        "tracing",
    } == set(body)
    assert {"accessKeyId", "accessKeySecret", "securityToken"} == set(body["credentials"])
    assert {"name", "handler", "memory", "timeout"} == set(body["function"])
    assert {"name", "logProject", "logStore", "qualifier", "versionId"} == set(body["service"])
    assert {"openTracingSpanContext", "openTracingSpanBaggages", "jaegerEndpoint"} == set(
        body["tracing"]
    )


def test_request_ids_are_made_up_where_none_is_given(deploy: Deploy) -> None:
    """Each invocation has one of its own, shaped as FC's, the same in result and context (6.9)."""
    function = deploy("contexts")

    results = [function() for _ in range(20)]

    for result in results:
        assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", result.request_id)
        assert result.request_id == result.json()["request_id"]
    assert 20 == len({result.request_id for result in results})


def test_timeout_of_the_call_shortens_the_remaining_time(deploy: Deploy) -> None:
    """``invoke(timeout=)`` may be shorter than the function's own, never longer."""
    function = deploy("contexts", timeout=5.0)

    assert function(timeout=2).json()["remaining"] <= 2000
    assert 2000 < function(timeout=500).json()["remaining"] <= 5000


def test_nothing_set_on_a_context_reaches_the_next(deploy: Deploy) -> None:
    """A context belongs to one invocation; what the handler does to it ends with it (2.A)."""
    function = deploy("contexts", "index.soil_or_look")

    function("soil")

    assert [False, False, function.name, "", {}] == function("look").json()


def test_what_the_first_invocation_leaves_is_collected(deploy: Deploy, tmp_path: Path) -> None:
    """A cycle through its context is garbage like any other's, though it began with the process."""
    (tmp_path / "index.py").write_text("""
import gc, weakref

class Own: ...

left = []

def handler(event, context):
    gc.collect()
    alive = [ref() is not None for ref in left]
    own = Own()
    own.context, context.own = context, own
    left.append(weakref.ref(own))
    return alive
""")
    function = deploy(tmp_path)

    assert [[], [False], [False, False]] == [function().json() for _ in range(3)]


# -- credentials -------------------------------------------------------------------------------


def test_credentials_are_in_context_and_environment(deploy: Deploy) -> None:
    """``context.credentials`` and both sets of environment variables agree (spec 9.B)."""
    assert [KEY_TRIPLE, KEY_TRIPLE * 2] == deploy(
        "contexts", "index.identity", credentials=KEY
    )().json()


def test_function_without_a_role_has_no_credentials(deploy: Deploy) -> None:
    """Empty in the context, absent in the environment (spec 2.A, 9.B)."""
    assert [["", "", ""], [None] * 6] == deploy("contexts", "index.identity")().json()


def test_credentials_of_a_call_are_for_that_call_only(deploy: Deploy) -> None:
    """``invoke(credentials=)`` wins over the function's own, once; the instance stays."""
    function = deploy("contexts", "index.identity", credentials=KEY)

    assert KEY_TRIPLE == function().json()[0]
    other = function(credentials=OTHER)
    assert [OTHER_TRIPLE, OTHER_TRIPLE * 2] == other.json()
    assert not other.cold_start
    assert [KEY_TRIPLE, KEY_TRIPLE * 2] == function().json()


def test_credentials_of_a_call_leave_nothing_behind(deploy: Deploy) -> None:
    """A function without a role has none again after a call that brought some."""
    function = deploy("contexts", "index.identity")

    function(credentials=OTHER)

    assert [["", "", ""], [None] * 6] == function().json()


def test_function_may_declare_keys_of_its_own(deploy: Deploy) -> None:
    """
    The names of the environment that are not reserved (spec 9.B) are the function's where it has
    no role: a key that it declares is there, but for a call that brings credentials.
    """
    keys = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "mine",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "my secret",
    }
    function = deploy("contexts", "index.identity", environment=keys)
    declared = [["", "", ""], [*keys.values(), *[None] * 4]]

    assert declared == function().json()
    assert [OTHER_TRIPLE, OTHER_TRIPLE * 2] == function(credentials=OTHER).json()
    assert declared == function().json()


def test_keys_that_a_preload_leaves_are_not_the_functions(
    deploy: Deploy, handlers: Path, tmp_path: Path
) -> None:
    """Nobody without a role has any, in the first call or after one that brought some."""
    (tmp_path / "index.py").write_text((handlers / "contexts" / "index.py").read_text())
    (tmp_path / "leaves_keys.py").write_text(
        "import os\nos.environ['ALIBABA_CLOUD_ACCESS_KEY_ID'] = os.environ['accessKeyID'] = 'left'\n"
    )
    function = deploy(tmp_path, "index.identity", preload=["leaves_keys"])
    nothing = [["", "", ""], [None] * 6]

    assert nothing == function().json()
    assert [OTHER_TRIPLE, OTHER_TRIPLE * 2] == function(credentials=OTHER).json()
    assert nothing == function().json()


def test_callable_credentials_are_asked_again_before_they_expire(deploy: Deploy) -> None:
    """Fresh ones are kept; ones about to expire, or that never say, are asked for again."""
    answers = [
        Credentials(access_key_id="soon", access_key_secret="x", expires_at=time.time() + 1),
        Credentials(access_key_id="late", access_key_secret="x", expires_at=time.time() + 7200),
        Credentials(access_key_id="never reached", access_key_secret="x"),
    ]
    function = deploy("contexts", "index.identity", credentials=lambda: answers.pop(0))

    seen = [function().json()[0][0] for _ in range(4)]

    assert "late" == seen[-1]
    assert ["late"] * 2 == seen[-2:]
    assert 1 == len(answers)


def test_callable_that_raises_is_the_callers_to_hear(deploy: Deploy) -> None:
    """Its exception comes out of `invoke` as it is; the function works once it gives an answer."""
    broken = [True]

    def ask() -> Credentials:
        if broken:
            raise ConnectionError("the metadata service is down")
        return KEY

    function = deploy("contexts", "index.identity", credentials=ask)

    with pytest.raises(ConnectionError, match="metadata service"):
        function()
    broken.clear()
    assert KEY_TRIPLE == function().json()[0]


def test_what_prints_a_context_leaks_no_secret(deploy: Deploy) -> None:
    """A context or credentials printed, logged or raised show neither secret nor token (D13)."""
    function = deploy("contexts", "index.print_credentials", credentials=KEY)

    with pytest.raises(HandlerError) as caught:
        function()

    shown = repr(caught.value.result).encode() + str(caught.value).encode()
    assert b"STS.Key" in shown
    assert b"s3cr3t-value" not in shown
    assert b"t0ken-value" not in shown


# -- environment and place ---------------------------------------------------------------------


def test_environment_is_the_functions_and_function_computes(
    deploy: Deploy, open_caller: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the function declares and FC's own names (spec 1.B, 9.B); nothing of the host's."""
    monkeypatch.setenv("HOST_SECRET", "must not be seen")
    on = open_caller(region="cn-shanghai", account_id="1234567890")
    function = deploy(
        "contexts",
        "index.environment",
        on=on,
        environment={"STAGE": "test", "EMPTY": "", "UMLAUT": "é"},
    )

    seen = function().json()

    assert ("test", "", "é") == (seen["STAGE"], seen["EMPTY"], seen["UMLAUT"])
    assert "HOST_SECRET" not in seen
    assert "must not be seen" not in seen.values()
    assert function.name == seen["FC_FUNCTION_NAME"]
    assert "index.environment" == seen["FC_FUNCTION_HANDLER"]
    assert "512" == seen["FC_FUNCTION_MEMORY_SIZE"]
    assert "cn-shanghai" == seen["FC_REGION"]
    assert "1234567890" == seen["FC_ACCOUNT_ID"]
    assert re.fullmatch(r"c-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", seen["FC_INSTANCE_ID"])  # 6.9
    fc_names = {name for name in seen if name.startswith(("FC_", "_FC_"))}
    assert fc_names <= {
        "FC_FUNC_CODE_PATH",
        "FC_FUNCTION_MEMORY_SIZE",
        "FC_RUNTIME_VERSION",
        "FC_ACCOUNT_ID",
        "FC_FUNCTION_HANDLER",
        "FC_FUNCTION_NAME",
        "FC_SERVICE_NAME",
        "FC_VER_ID",
        "FC_QUALIFIER",
        "FC_REGION",
        "FC_INSTANCE_ID",
        "FC_SNAPSHOT_FLAG",
    }


def test_handler_runs_in_its_code_folder(deploy: Deploy, handlers: Path) -> None:
    """Working directory and ``sys.path[0]`` are the code folder, stdin is at its end (spec 1.B)."""
    directory, path, read, warnoptions = deploy("contexts", "index.place")().json()

    code = str(handlers / "contexts")
    assert code == directory
    assert code == path[0]
    assert "/opt/python" == path[2]
    assert "" == read
    assert ["ignore"] == warnoptions


def test_context_of_a_cold_start_is_that_of_the_event(deploy: Deploy) -> None:
    """An initializer sees the id and the credentials of the invocation that caused it (spec 3)."""
    function = deploy("contexts", initializer="index.initializer", credentials=KEY)

    result = function(request_id="the-cause", credentials=OTHER)

    seen = json.loads(result.log.split(b"initializer ", 1)[1])
    assert "the-cause" == seen["request_id"]
    assert OTHER_TRIPLE == seen["credentials"]


def test_contexts_of_concurrent_calls_are_apart(deploy: Deploy) -> None:
    """Each of many calls at a time sees its own id and its own credentials."""
    function = deploy("contexts", max_instances=4)

    def call(number: int) -> tuple[list[str], str]:
        key = Credentials(access_key_id=f"key-{number}", access_key_secret=f"secret-{number}")
        seen = function(request_id=f"id-{number}", credentials=key).json()
        return seen["credentials"], seen["request_id"]

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(call, range(40)))

    assert [([f"key-{n}", f"secret-{n}", ""], f"id-{n}") for n in range(40)] == seen
