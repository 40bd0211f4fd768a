"""What is not invoked, and why: API errors, with all keys of all generations (spec 5.D)."""

import socket
from pathlib import Path

import pytest

from .conftest import Daemon, daemon_in

KEYS = {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"}
ECHO = "/2023-03-30/functions/echo/invocations"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/2023-03-30/functions/nobody/invocations", "FunctionNotFound"),
        ("/2023-03-30/functions/echo/invocations?qualifier=77", "VersionNotFound"),
        ("/2023-03-30/functions/echo/invocations?qualifier=prod", "AliasNotFound"),
        ("/2016-08-15/services/nowhere/functions/f/invocations", "ServiceNotFound"),
    ],
)
def test_what_is_not_there(daemon: Daemon, path: str, code: str) -> None:
    """404, in JSON, with the request's id."""
    daemon.create("echo", "index.echo")

    reply = daemon.post(path)

    assert (404, code) == (reply.status_code, reply.json()["Code"])
    assert KEYS == set(reply.json())
    assert reply.headers["x-fc-request-id"] == reply.json()["RequestId"]


def test_only_post_invokes(daemon: Daemon) -> None:
    """405, and what would do."""
    daemon.create("echo", "index.echo")

    assert [405, 405, 405] == [
        daemon.client.request(method, ECHO).status_code for method in ("GET", "HEAD", "PUT")
    ]
    assert "POST" == daemon.client.get(ECHO).headers["allow"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_fc_invocation_type": "Async"}, 501),
        ({"x_fc_invocation_type": "Task"}, 501),
        ({"x_fc_invocation_type": "Perhaps"}, 400),
        ({"x_fc_log_type": "All"}, 400),
        ({"x_fc_invocation_type": "Sync", "x_fc_log_type": "None"}, 200),
    ],
)
def test_invocation_and_log_types(daemon: Daemon, headers: dict[str, str], status: int) -> None:
    """What cannot be had is refused, never accepted and dropped."""
    daemon.create("echo", "index.echo")

    assert status == daemon.invoke("echo", b"x", **headers).status_code


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large(tmp_path: Path, handlers: Path, announced: bool) -> None:
    """400 ``EntityTooLarge`` and never a dropped connection, which serves the next request."""
    with daemon_in(tmp_path, handlers, max_body_bytes=100_000) as daemon:
        daemon.create("echo", "index.echo")
        body = b"x" * 5_000_000

        reply = daemon.client.post(ECHO, content=body if announced else iter([body, b"more"]))

        assert (400, "EntityTooLarge") == (reply.status_code, reply.json()["ErrorCode"])
        assert b"x" == daemon.invoke("echo", b"x").content


def test_a_client_that_asks_first(tmp_path: Path, handlers: Path) -> None:
    """``Expect: 100-continue`` and too much: refused before a byte of it is sent."""
    with daemon_in(tmp_path, handlers, max_body_bytes=10) as daemon:
        daemon.create("echo", "index.echo")
        host, port = daemon.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                f"POST {ECHO} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                "Content-Length: 1000000\r\n\r\n".encode()
            )

            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_runtime_that_is_not_python(daemon: Daemon) -> None:
    """Stored, but not run: 501, and what would do."""
    daemon.create("node", runtime="custom.debian10")

    reply = daemon.invoke("node")

    assert (501, "NotImplemented") == (reply.status_code, reply.json()["Code"])


def test_two_qualifiers_that_differ(daemon: Daemon) -> None:
    """Which one was meant cannot be known."""
    daemon.create_fc2("svc", "echo", "index.echo")

    path = "/2021-04-06/services/svc.1/functions/echo/invocations?qualifier=2"

    assert 400 == daemon.post(path).status_code
