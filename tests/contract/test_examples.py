"""
The three examples, as they are in ``examples/``: real input, the real ``oss2``, a server that
verifies signature and token as OSS does (issue section 2).
"""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fc_runtime import Credentials, HandlerError, Raised, Result
from support.callers import Caller, Deployed
from support.oss_server import OssServer

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = Credentials(
    access_key_id="STS.ContractKeyId",
    access_key_secret="contract-secret-5f1d0c",
    security_token="contract-token-a8e2b7+/=",
)
SECRETS = (b"contract-secret-5f1d0c", b"contract-token-a8e2b7", b"a-wrong-token", b"a-wrong-secret")


def test_json_event_answers_one_key(caller: Caller) -> None:
    """``{"key": "value"}`` gives ``value``, without quotes, cold and warm."""
    caller.register("json_event", code=EXAMPLES / "json_event")

    for cold in (True, False):
        result = caller.invoke("json_event", b'{"key": "value"}')
        assert b"value" == result.payload
        assert cold == result.cold_start
        assert result.log.endswith(b"[INFO] keys of the event: ['key']\n")
    assert b"value" == caller.invoke("json_event", json={"key": "value"}).payload
    assert [1, {"a": None}] == caller.invoke("json_event", json={"key": [1, {"a": None}]}).json()


@pytest.mark.parametrize(
    ("event", "error_type"),
    [(b"", "JSONDecodeError"), (b"{", "JSONDecodeError"), (b'{"other": 1}', "KeyError")],
)
def test_json_event_fails_by_name(caller: Caller, event: bytes, error_type: str) -> None:
    """What its json module raises is what the caller hears."""
    caller.register("json_event", code=EXAMPLES / "json_event")

    with pytest.raises(HandlerError, match=error_type):
        caller.invoke("json_event", event)


def test_external_command_lists_its_code_folder(caller: Caller) -> None:
    """The bytes of ``ls -l``, run in the folder of the code."""
    folder = EXAMPLES / "external_command"
    caller.register("external_command", code=folder)
    expected = subprocess.run(
        ["ls", "-l"], cwd=folder, env={"LANG": "C.UTF-8"}, capture_output=True, check=True
    ).stdout

    for _ in range(2):
        result = caller.invoke("external_command")
        assert expected == result.payload
        assert b"index.py" in result.payload
        assert 1 == result.usage.child_processes
        assert b"" == result.log


# -- credentials -------------------------------------------------------------------------------


@pytest.fixture
def oss() -> Iterator[OssServer]:
    server = OssServer(
        access_key_id=KEY.access_key_id,
        access_key_secret=KEY.access_key_secret,
        security_token=KEY.security_token,
        bucket="contract-bucket",
    )
    with server:
        yield server


@pytest.fixture
def store(caller: Caller, oss: OssServer) -> Callable[..., Result]:
    """Stores *content* as *name* through the example, with the function's own credentials."""
    caller.register(
        "oss_credentials",
        code=EXAMPLES / "oss_credentials",
        timeout=30.0,
        memory_mb=256,
        credentials=KEY,
        max_instances=2,
    )
    deployed = Deployed(caller, "oss_credentials")

    def put(name: str, content: str, **options: object) -> Result:
        event = {
            "endpoint": oss.endpoint,
            "bucket": "contract-bucket",
            "object": name,
            "content": content,
        }
        return deployed(json=event, **options)

    return put


def test_right_token_stores_the_object(store: Callable[..., Result], oss: OssServer) -> None:
    """put_object, then get_object: the server has verified both, and holds the bytes."""
    for name, content in (("cold.txt", "stored cold"), ("warm.txt", "stored warm: é你")):
        result = store(name, content)
        assert content == result.text
        assert content.encode() == oss.objects[name]
        assert_no_secret(result)
    assert [("PUT", "ok"), ("GET", "ok")] * 2 == [(s.method, s.verdict) for s in oss.requests]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"security_token": "a-wrong-token"}, "InvalidSecurityToken"),
        ({"security_token": ""}, "AccessDenied"),
        ({"access_key_secret": "a-wrong-secret"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "STS.Nobody"}, "InvalidAccessKeyId"),
    ],
)
def test_wrong_credentials_are_refused_by_name(
    store: Callable[..., Result], oss: OssServer, wrong: dict[str, str], code: str
) -> None:
    """
    OSS's own error comes out as a HandlerError that names OSS's code; nothing is stored, no secret
    is shown, and the next call with the function's own credentials works.
    """
    store("before.txt", "well")

    with pytest.raises(HandlerError) as caught:
        store("refused.txt", "never stored", credentials=replace(KEY, **wrong))

    assert code in str(caught.value)
    result = caught.value.result
    assert isinstance(result.outcome, Raised)
    assert code in result.json()["errorMessage"]
    assert code == oss.requests[-1].verdict
    assert "refused.txt" not in oss.objects
    assert_no_secret(result, caught.value)
    assert "well again" == store("after.txt", "well again").text


def assert_no_secret(result: Result, error: Exception | None = None) -> None:
    shown = repr(result).encode() + result.log + result.payload + repr(error).encode()
    shown += str(error).encode()
    for secret in SECRETS:
        assert secret not in shown


def test_function_without_credentials_is_refused(caller: Caller, oss: OssServer) -> None:
    """No role, no token, no object."""
    caller.register(
        "oss_credentials", code=EXAMPLES / "oss_credentials", timeout=30.0, memory_mb=256
    )
    event = {"endpoint": oss.endpoint, "bucket": "contract-bucket", "object": "nobody.txt"}

    with pytest.raises(HandlerError):
        caller.invoke("oss_credentials", json=event)

    assert {} == oss.objects


def test_credentials_do_not_cross(store: Callable[..., Result], oss: OssServer) -> None:
    """Right and wrong tokens at the same time: exactly the right ones store their object."""
    wrong = replace(KEY, security_token="a-wrong-token")

    def call(number: int) -> str:
        try:
            return store(
                f"{number}.txt", f"content {number}", credentials=None if number % 2 else wrong
            ).text
        except HandlerError as error:
            return error.result.json()["errorMessage"]

    with ThreadPoolExecutor(4) as threads:
        heard = list(threads.map(call, range(12)))

    for number, text in enumerate(heard):
        assert (f"content {number}" if number % 2 else "InvalidSecurityToken") in text
    assert {f"{n}.txt": b"content %d" % n for n in range(1, 12, 2)} == oss.objects


def test_secrets_are_in_no_process_listing(store: Callable[..., Result], oss: OssServer) -> None:
    """Never on a command line, nor in an environment that the processes were started with (D13)."""
    store("any.txt", "any")

    import psutil

    for process in psutil.Process().children(recursive=True):
        told = " ".join(process.cmdline()) + repr(process.environ())
        assert KEY.access_key_secret not in told
        assert KEY.security_token not in told
