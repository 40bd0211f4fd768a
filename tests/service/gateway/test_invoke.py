"""Invoking over HTTP, in all three generations: what goes in, what comes out (spec 5.C, 7.A)."""

import base64
import re
from pathlib import Path

import pytest

from .conftest import Daemon

MiB = 1024 * 1024
EXPECTED_KEYS = {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"}


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("str", "text ☃".encode(), "application/octet-stream"),
        ("bytes", bytes(range(256)), "application/octet-stream"),
        ("dict", b'{\n    "a": [\n        null,\n        true\n    ],\n    "b": 1\n}', None),
        ("none", b"null", None),
        ("number", b"1.5", None),
    ],
)
def test_what_is_returned_is_the_body(
    daemon: Daemon, kind: str, body: bytes, content_type: str | None
) -> None:
    """Text and bytes as they are, anything else as JSON; always octet-stream (1.3, 1.4, 1.10)."""
    daemon.create("returns", "index.returns")

    reply = daemon.invoke("returns", kind.encode())

    assert 200 == reply.status_code
    assert body == reply.content
    assert (content_type or "application/octet-stream") == reply.headers["content-type"]
    assert "x-fc-error-type" not in reply.headers


def test_headers_of_every_reply(daemon: Daemon) -> None:
    """All that 7.A lists, in the shapes that clients read."""
    daemon.create("echo", "index.echo")

    headers = daemon.invoke("echo", b"x").headers

    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", headers["x-fc-request-id"])
    assert int(headers["x-fc-invocation-duration"]) >= 0
    assert re.fullmatch(r"\d+\.\d\d", headers["x-fc-max-memory-usage"])
    assert re.fullmatch(r"c-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", headers["x-fc-instance-id"])
    assert "x-fc-request-id" in headers["access-control-expose-headers"]
    assert "date" in headers
    assert "x-fc-log-result" not in headers
    assert "x-fc-invocation-service-version" not in headers  # of FC2 alone


@pytest.mark.parametrize(
    "path",
    [
        "/2016-08-15/services/svc/functions/echo/invocations",
        "/2016-08-15/services/svc.LATEST/functions/echo/invocations",
        "/2021-04-06/services/svc/functions/echo/invocations",
        "/2021-04-06/services/svc/functions/echo/invocations?qualifier=LATEST",
    ],
)
def test_paths_of_fc2(daemon: Daemon, path: str) -> None:
    """Both versions of FC2's API, with the qualifier in the path or in the query."""
    daemon.create_fc2("svc", "echo", "index.echo")

    reply = daemon.post(path, b"\x00\xff")

    assert (200, b"\x00\xff") == (reply.status_code, reply.content)
    assert "LATEST" == reply.headers["x-fc-invocation-service-version"]
    assert 36 == len(reply.headers["x-fc-request-id"])


def test_the_context_knows_where_it_is(daemon: Daemon) -> None:
    """Names of function, service, qualifier and version, limits, region, account (2.A)."""
    daemon.create_fc2("svc", "told")

    reply = daemon.post("/2016-08-15/services/svc/functions/told/invocations", {"do": "context"})

    told = reply.json()
    assert reply.headers["x-fc-request-id"] == told.pop("request_id")
    assert {
        "function": "told",
        "service": "svc",
        "qualifier": "LATEST",
        "version": "LATEST",
        "memory": 128,
        "timeout": 3,
        "region": "local",
        "account": "123456789012",
    } == told


@pytest.mark.parametrize("size", [0, 1, 60_000, 70_000, 3 * MiB])
def test_bodies_of_any_size(daemon: Daemon, size: int) -> None:
    """They come back as they went in; empty is empty (1.2)."""
    daemon.create("echo", "index.echo", memorySize=512, timeout=30)
    event = bytes(range(256)) * (size // 256 + 1)

    assert event[:size] == daemon.invoke("echo", event[:size]).content


def test_a_body_in_chunks(daemon: Daemon) -> None:
    """Without a Content-Length it is the same."""
    daemon.create("echo", "index.echo")

    reply = daemon.client.post(
        "/2023-03-30/functions/echo/invocations", content=iter([b"one ", b"two"])
    )

    assert b"one two" == reply.content


def test_an_exception_is_the_functions_error(daemon: Daemon) -> None:
    """200, JSON, the error type in a header, the traceback without our frames (5.A, 5.C)."""
    daemon.create("bad")

    reply = daemon.invoke("bad", {"do": "raise", "say": "something"})

    assert (200, "application/json") == (reply.status_code, reply.headers["content-type"])
    assert "UnhandledInvocationError" == reply.headers["x-fc-error-type"]
    body = reply.json()
    assert ("something", "ValueError") == (body["errorMessage"], body["errorType"])
    assert [["in handler"]] == [[line[2]] for line in body["stackTrace"]]


@pytest.mark.parametrize("way", ["exit", "die"])
def test_a_process_that_ends(daemon: Daemon, way: str) -> None:
    """The platform's own words, and the next call is served (5.B, 1.11)."""
    daemon.create("bad")

    reply = daemon.invoke("bad", {"do": way})

    assert "UnhandledInvocationError" == reply.headers["x-fc-error-type"]
    assert re.fullmatch(
        r"Process exited unexpectedly before completing request "
        r"\(duration: \d+ms, maxMemoryUsage: \d+\.\d\dMB\)",
        reply.json()["errorMessage"],
    )
    assert {"said": 1} == daemon.invoke("bad", {"do": "echo", "say": 1}).json()


def test_a_timeout(daemon: Daemon) -> None:
    """Ended at its deadline, and said so (5.B)."""
    daemon.create("slow", timeout=1)

    reply = daemon.invoke("slow", {"do": "sleep", "seconds": 30})

    assert re.fullmatch(
        r"Function timed out after 1 seconds \(maxMemoryUsage: \d+\.\d\dMB\)",
        reply.json()["errorMessage"],
    )


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        ("nomod.handler", "ImportModuleError", "Unable to import module 'nomod'"),
        ("index.missing", "HandlerNotFound", "Handler 'missing' is missing on module 'index'"),
    ],
)
def test_a_handler_that_cannot_be_loaded(
    daemon: Daemon, handler: str, error_type: str, message: str
) -> None:
    """The function's error, not the daemon's, whoever notices it (5.A)."""
    daemon.create("broken", handler)

    reply = daemon.invoke("broken")

    assert (200, "UnhandledInvocationError") == (
        reply.status_code,
        reply.headers["x-fc-error-type"],
    )
    assert (error_type, message) == (reply.json()["errorType"], reply.json()["errorMessage"])


def test_code_that_appears_later_is_found(daemon: Daemon, tmp_path: Path) -> None:
    """What could not be loaded is looked at anew by the next call."""
    folder = tmp_path / "code"
    folder.mkdir()
    daemon.create("late", "late.handler", code={"folder": str(folder)})
    assert "ImportModuleError" == daemon.invoke("late").json()["errorType"]

    (folder / "late.py").write_text("def handler(event, context):\n    return 'here'\n")

    assert "here" == daemon.invoke("late").text


def test_an_initializer_that_fails(daemon: Daemon) -> None:
    """Another error type in the header (3)."""
    hooks = {"initializer": {"handler": "index.fail_to_initialize", "timeout": 10}}
    daemon.create("uninitialized", instanceLifecycleConfig=hooks)

    reply = daemon.invoke("uninitialized", {"do": "echo", "say": 1})

    assert "InitializationError" == reply.headers["x-fc-error-type"]
    assert "no database" == reply.json()["errorMessage"]


def test_the_log_tail(daemon: Daemon) -> None:
    """Start, what was printed, End, and the sums; only if asked for (6.1, 6.7, 6.8)."""
    daemon.create("prints")

    reply = daemon.invoke("prints", {"do": "print", "say": "hello"}, x_fc_log_type="Tail")

    log = base64.b64decode(reply.headers["x-fc-log-result"]).decode()
    request_id = reply.headers["x-fc-request-id"]
    assert (
        f"FC Invoke Start RequestId: {request_id}\nhello\nFC Invoke End RequestId: {request_id}\n"
    ) in log
    assert "Memory Size: 512 MB, Max Memory Used: " in log


def test_the_log_tail_of_an_error(daemon: Daemon) -> None:
    """The error as a record, then the End line that names it (6.2)."""
    daemon.create("bad")

    reply = daemon.invoke("bad", {"do": "raise", "say": "oh"}, x_fc_log_type="Tail")

    log = base64.b64decode(reply.headers["x-fc-log-result"]).decode()
    request_id = reply.headers["x-fc-request-id"]
    assert 1 == log.count(f"{request_id} [ERROR] {{\n")  # once: the worker has logged it
    assert f"FC Invoke End RequestId: {request_id}, Error: Unhandled function error\n" in log


def test_the_log_tail_shows_the_initializer(daemon: Daemon) -> None:
    """Lines of its own, with the id of the call that caused it (3)."""
    hooks = {"initializer": {"handler": "index.initialize", "timeout": 10}}
    daemon.create("hooked", instanceLifecycleConfig=hooks)

    reply = daemon.invoke("hooked", {"do": "print", "say": "mine"}, x_fc_log_type="Tail")

    log = base64.b64decode(reply.headers["x-fc-log-result"]).decode()
    request_id = reply.headers["x-fc-request-id"]
    assert (
        f"FC Initialize Start RequestId: {request_id}\ninitializing\n"
        f"FC Initialize End RequestId: {request_id}\n"
        f"FC Invoke Start RequestId: {request_id}\nmine\n"
    ) in log


def test_a_tail_is_the_end_of_a_long_log(daemon: Daemon) -> None:
    """The last 4096 bytes (6.7)."""
    daemon.create("prints")

    reply = daemon.invoke("prints", {"do": "print", "say": "x" * 9000}, x_fc_log_type="Tail")

    log = base64.b64decode(reply.headers["x-fc-log-result"])
    assert 4096 == len(log)
    assert b"FC Invoke End" in log
