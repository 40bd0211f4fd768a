"""
A custom runtime under event calls (spec 9.A): initialize, then invoke with every outcome.

The environment and the headers are those that Function Compute gives an instance.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fc_platform import Platform, platform

HEADERS = {
    "x-fc-function-name": "greeter",
    "x-fc-function-handler": "index.handler",
    "x-fc-function-memory": "256",
    "x-fc-function-timeout": "20",
    "x-fc-function-initializer": "index.initializer",
    "x-fc-initialization-timeout": "30",
    "x-fc-region": "cn-hangzhou",
    "x-fc-account-id": "1234567890",
    "x-fc-service-name": "greetings",
    "x-fc-service-logproject": "a-project",
    "x-fc-service-logstore": "a-store",
    "x-fc-qualifier": "prod",
    "x-fc-version-id": "7",
    "x-fc-access-key-id": "STS.key",
    "x-fc-access-key-secret": "key-secret-81e5",
    "x-fc-security-token": "key-token-93f7",
}


def environ_of(handlers: Path) -> dict[str, str]:
    return {
        "FC_INSTANCE_ID": "c-65e59b07-1520da26-bf73bbb91b69",
        "FC_FUNC_CODE_PATH": str(handlers / "on_platform"),
        "FC_FUNCTION_NAME": "greeter",
        "FC_FUNCTION_HANDLER": "index.handler",
        "FC_FUNCTION_MEMORY_SIZE": "256",
        "GREETING": "good day",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.environment",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "environment-secret",
    }


@pytest.fixture
def instance(handlers: Path) -> Iterator[Platform]:
    with platform(environ_of(handlers), HEADERS) as player:
        yield player


def test_an_event_comes_back_as_it_went(instance: Platform) -> None:
    """Bytes in, bytes out, all 256 of them; 200 in the status and in ``x-fc-status``."""
    every_byte = bytes(range(256))

    answer = instance.invoke(b"echo " + every_byte, x_fc_request_id="1-65e59b07-a")

    assert every_byte == answer.content
    assert (200, "200") == (answer.status_code, answer.headers["x-fc-status"])
    assert "application/octet-stream" == answer.headers["content-type"]
    assert "1-65e59b07-a" == answer.headers["x-fc-request-id"]
    assert b"b''" == instance.invoke(b"").content


def test_the_headers_become_the_context(instance: Platform) -> None:
    """Identity, credentials and limits of the context are those of the headers (spec 2.A)."""
    context = instance.invoke(b"context", x_fc_request_id="1-65e59b07-b").json()

    assert "1-65e59b07-b" == context["requestId"]
    assert {
        "accessKeyId": "STS.key",
        "accessKeySecret": "key-secret-81e5",
        "securityToken": "key-token-93f7",
    } == context["credentials"]
    assert {
        "name": "greeter",
        "handler": "index.handler",
        "memory": 256,
        "timeout": 20,
    } == context["function"]
    assert {
        "name": "greetings",
        "logProject": "a-project",
        "logStore": "a-store",
        "qualifier": "prod",
        "versionId": "7",
    } == context["service"]
    assert ("cn-hangzhou", "1234567890") == (context["region"], context["accountId"])


def test_credentials_are_of_the_request(instance: Platform) -> None:
    """Each request's own, also after they were renewed; nothing of them is in the log."""
    instance.invoke(b"context")
    renewed = instance.invoke(
        b"context", x_fc_access_key_id="STS.new", x_fc_access_key_secret="new-secret-55"
    ).json()

    assert "STS.new" == renewed["credentials"]["accessKeyId"]
    assert "new-secret-55" == renewed["credentials"]["accessKeySecret"]
    said = instance.program.output + instance.program.errors
    assert "secret" not in said
    assert "token" not in said


def test_the_environment_is_the_functions(instance: Platform) -> None:
    """The function's own variables reach the handler; of ours and of FC's, the safe ones."""
    seen = instance.invoke(b"environment").json()

    assert "good day" == seen["GREETING"]
    assert "greeter" == seen["FC_FUNCTION_NAME"]
    assert "STS.key" == seen["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    assert "FC_SERVER_PORT" not in seen


def test_initialize_comes_first(instance: Platform) -> None:
    """``/initialize`` runs the initializer once, in its own request's name and log."""
    answer = instance.initialize(x_fc_request_id="1-init")
    state = instance.invoke(b"state", x_fc_request_id="1-call").json()
    again = instance.initialize(x_fc_request_id="1-again")

    assert (200, "200") == (answer.status_code, answer.headers["x-fc-status"])
    assert {"initialized_by": "1-init", "calls": 1} == {
        name: state[name] for name in ("initialized_by", "calls")
    }
    assert 200 == again.status_code
    assert instance.program.says(
        "FC Initialize Start RequestId: 1-init\n"
        "the initializer speaks\n"
        "FC Initialize End RequestId: 1-init\n"
    )


def test_an_initializer_that_fails(handlers: Path) -> None:
    """404, FC's error body, and the End line says that it failed; so does a call after it."""
    headers = {**HEADERS, "x-fc-function-initializer": "index.broken_initializer"}
    with platform(environ_of(handlers), headers) as instance:
        answer = instance.initialize(x_fc_request_id="1-init")
        call = instance.invoke(b"echo")
        assert instance.program.says("the initializer gives up\n")
        assert instance.program.says(
            "FC Initialize End RequestId: 1-init, Error: Unhandled function error\n"
        )

    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert ("RuntimeError", "no database") == (
        answer.json()["errorType"],
        answer.json()["errorMessage"],
    )
    assert 404 == call.status_code


def test_what_the_function_raises(instance: Platform) -> None:
    """404 in both places, JSON as FC has it (spec 5.A); the next call works."""
    answer = instance.invoke(b"raise a fuss", x_fc_request_id="1-raise")

    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert "application/json" == answer.headers["content-type"]
    assert "ValueError" == answer.json()["errorType"]
    assert "a fuss" == answer.json()["errorMessage"]
    assert instance.program.says(
        "FC Invoke End RequestId: 1-raise, Error: Unhandled function error\n"
    )
    assert b"on" == instance.invoke(b"echo on").content


def test_a_function_that_exits(instance: Platform) -> None:
    """Its process is gone, the program is not: FC's body for that, then a fresh worker."""
    before = instance.invoke(b"state").json()["pid"]

    answer = instance.invoke(b"exit")

    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert answer.json()["errorMessage"].startswith(
        "Process exited unexpectedly before completing request"
    )
    assert before != instance.invoke(b"state").json()["pid"]


def test_a_function_that_takes_too_long(instance: Platform) -> None:
    """A header may shorten the time, and the function is stopped then; its log is not lost."""
    answer = instance.invoke(b"hang", x_fc_function_timeout="1", x_fc_request_id="1-hang")

    # The first request has settled what the function may take at most.
    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert answer.json()["errorMessage"].startswith("Function timed out after 1 seconds")
    assert instance.program.says("hanging\n")
    assert instance.program.says("FC Invoke End RequestId: 1-hang, Error: Function timed out")
    assert b"on" == instance.invoke(b"echo on").content


def test_a_function_that_outgrows_its_memory(instance: Platform) -> None:
    """The limit is that of the headers; the program and its next call live on."""
    answer = instance.invoke(b"hog")

    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert "errorMessage" in answer.json()
    assert b"on" == instance.invoke(b"echo on").content


def test_the_log_is_on_standard_output(instance: Platform) -> None:
    """Between Start and End, in one piece, before the answer is there (spec 6.1)."""
    instance.initialize()
    instance.invoke(b"echo", x_fc_request_id="1-log")

    assert instance.program.says(
        "FC Invoke Start RequestId: 1-log\nechoing\nFC Invoke End RequestId: 1-log\n"
    )


@pytest.mark.parametrize(
    ("handler", "kind"),
    [("missing.handler", "ImportModuleError"), ("index.missing", "HandlerNotFound")],
)
def test_a_handler_that_is_not_there(handlers: Path, handler: str, kind: str) -> None:
    """The program comes up all the same, and each call says what is wrong (spec 5.A)."""
    environ = {**environ_of(handlers), "FC_FUNCTION_HANDLER": handler}
    with platform(environ, {}) as instance:
        answer = instance.invoke(b"echo")

    assert (404, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert kind == answer.json()["errorType"]


@pytest.mark.parametrize(
    ("name", "value"), [("x-fc-function-timeout", "soon"), ("x-fc-function-memory", "-1")]
)
def test_a_header_that_makes_no_sense(instance: Platform, name: str, value: str) -> None:
    """400 with the header's name, not a guess."""
    answer = instance.client.post("/invoke", headers={name: value})

    assert (400, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert "InvalidArgument" == answer.json()["ErrorCode"]
    assert name in answer.json()["ErrorMessage"]


def test_an_event_that_is_too_large(instance: Platform) -> None:
    """400 ``EntityTooLarge`` above 32 MiB, and the connection lives on (spec 14.36)."""
    answer = instance.invoke(bytes(32 * 1024 * 1024 + 1))

    assert (400, "EntityTooLarge") == (answer.status_code, answer.json()["Code"])
    assert b"on" == instance.invoke(b"echo on").content


def test_a_forged_request_id_forges_no_log(instance: Platform) -> None:
    """What cannot be a request id is replaced: spaces and the like never reach a log line."""
    answer = instance.invoke(b"context", x_fc_request_id="a End RequestId: b")

    told = answer.headers["x-fc-request-id"]
    assert "a End RequestId: b" != told
    assert json.loads(answer.content)["requestId"] == told
    assert "a End RequestId: b" not in instance.program.output
