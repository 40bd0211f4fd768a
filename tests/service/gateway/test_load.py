"""Many at once, some of whom misbehave; clients that leave, or that are slow."""

import asyncio
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from support.stage import until

from .conftest import Daemon, daemon_in

CONNECTIONS = 64
CALLS = 2000


def connected(daemon: Daemon) -> socket.socket:
    host, port = daemon.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def request(path: str, body: bytes, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_every_reply_is_its_own(tmp_path: Path, handlers: Path) -> None:
    """64 connections, one call in ten raises or ends its process: every reply right, none crossed."""
    with daemon_in(tmp_path, handlers, max_instances=4) as daemon:
        daemon.create("f", timeout=30)
        numbers = iter(range(CALLS))
        lock = threading.Lock()
        wrong: list[str] = []

        def call() -> int:
            done = 0
            with httpx.Client(base_url=daemon.url, timeout=120.0) as client:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return done
                    what = "echo" if number % 10 else ("exit" if number % 50 == 0 else "raise")
                    event = {"do": what, "say": f"call {number}"}
                    reply = client.post("/2023-03-30/functions/f/invocations", json=event)
                    body = reply.json()
                    right = {
                        "echo": body == {"said": f"call {number}"},
                        "raise": body.get("errorMessage") == f"call {number}",
                        "exit": "Process exited" in body.get("errorMessage", ""),
                    }[what]
                    if reply.status_code != 200 or not right:
                        wrong.append(f"{number} {what}: {reply.status_code} {reply.text[:200]}")
                    done += 1

        with ThreadPoolExecutor(CONNECTIONS) as callers:
            done = sum(
                future.result() for future in [callers.submit(call) for _ in range(CONNECTIONS)]
            )

        assert [] == wrong[:5]
        assert CALLS == done


def test_a_full_queue(tmp_path: Path, handlers: Path) -> None:
    """429 ``ResourceThrottled`` with Retry-After, at once, and those who wait are served."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with daemon_in(tmp_path, handlers, max_instances=1, max_queue=1) as daemon:
        daemon.create("f", timeout=60)
        with connected(daemon) as first, connected(daemon) as second:
            waiting = json.dumps({"do": "wait", "fifo": str(fifo)}).encode()
            path = "/2023-03-30/functions/f/invocations"
            first.sendall(request(path, waiting))
            with fifo.open() as told:
                assert "here\n" == told.readline()
            second.sendall(request(path, b'{"do": "echo", "say": 1}'))
            until(lambda: daemon.app.runtime.stats()["functions"]["f/LATEST"]["waiting"] == 1)

            reply = daemon.invoke("f", {"do": "echo", "say": 2})

            assert (429, "ResourceThrottled") == (reply.status_code, reply.json()["Code"])
            assert "1" == reply.headers["retry-after"]


def test_a_client_that_leaves(daemon: Daemon, tmp_path: Path) -> None:
    """The invocation is ended, its place is free again, and somebody counts it (4.C)."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    daemon.create("f", timeout=60)
    with connected(daemon) as connection:
        event = json.dumps({"do": "wait", "fifo": str(fifo)}).encode()
        connection.sendall(request("/2023-03-30/functions/f/invocations", event))
        with fifo.open() as told:
            assert "here\n" == told.readline()

    daemon.counted.wait_for_one_to_leave()

    until(lambda: daemon.app.runtime.stats()["functions"]["f/LATEST"]["serving"] == 0)
    assert {"said": 1} == daemon.invoke("f", {"do": "echo", "say": 1}).json()


def test_a_client_that_leaves_at_once(daemon: Daemon, tmp_path: Path) -> None:
    """Before anybody has begun to watch over the call: ended and counted all the same."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    daemon.create("f", timeout=60)
    assert {"said": 1} == daemon.invoke("f", {"do": "echo", "say": 1}).json()
    with connected(daemon) as connection:
        event = json.dumps({"do": "wait", "fifo": str(fifo)}).encode()
        connection.sendall(request("/2023-03-30/functions/f/invocations", event))

    daemon.counted.wait_for_one_to_leave()

    until(lambda: daemon.app.runtime.stats()["functions"]["f/LATEST"]["serving"] == 0)


def test_clients_that_leave_the_queue(tmp_path: Path, handlers: Path) -> None:
    """Their calls are never made, and the one behind them is."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with daemon_in(tmp_path, handlers, max_instances=1) as daemon:
        daemon.create("f", timeout=60)
        path = "/2023-03-30/functions/f/invocations"
        counts = daemon.app.runtime.stats
        with connected(daemon) as first, connected(daemon) as second, connected(daemon) as third:
            waiting = {"do": "wait", "fifo": str(fifo)}
            first.sendall(request(path, json.dumps(waiting).encode()))
            with fifo.open() as told:
                assert "here\n" == told.readline()
            second.sendall(request(path, b'{"do": "echo", "say": 2}'))
            until(lambda: counts()["functions"]["f/LATEST"]["waiting"] == 1)
            third.sendall(request(path, b'{"do": "echo", "say": 3}', "Connection: close"))
            until(lambda: counts()["functions"]["f/LATEST"]["waiting"] == 2)

            second.close()
            daemon.counted.wait_for_one_to_leave()
            first.close()
            answer = b""
            while part := third.recv(65536):
                answer += part

        assert answer.endswith(b'{\n    "said": 3\n}')
        assert 1 == len(daemon.counted.outcomes)


def test_a_client_that_is_slow(daemon: Daemon) -> None:
    """A body that comes in drops holds nobody up, and arrives whole."""
    daemon.create("echo", "index.echo")
    with connected(daemon) as connection:
        whole = request(
            "/2023-03-30/functions/echo/invocations", b"0123456789", "Connection: close"
        )
        for at in range(len(whole)):
            connection.sendall(whole[at : at + 1])
            if at % 50 == 0:
                assert b"quick" == daemon.invoke("echo", b"quick").content

        answer = b""
        while part := connection.recv(65536):
            answer += part

    assert answer.endswith(b"0123456789")


def test_a_client_that_leaves_in_the_middle_of_its_body(daemon: Daemon) -> None:
    """Nothing is invoked, and nothing is held."""
    daemon.create("echo", "index.echo")
    with connected(daemon) as connection:
        connection.sendall(request("/2023-03-30/functions/echo/invocations", b"x" * 1000)[:-500])

    daemon.counted.wait_for_one_to_leave()

    assert [] == daemon.counted.outcomes


def test_what_is_under_way_may_end(daemon: Daemon, tmp_path: Path) -> None:
    """Draining: new calls get 503, the running one its answer."""
    fifo = tmp_path / "fifo"
    release = tmp_path / "release"
    os.mkfifo(fifo)
    os.mkfifo(release)
    daemon.create("f", timeout=60)
    path = "/2023-03-30/functions/f/invocations"
    with connected(daemon) as connection:
        event = json.dumps({"do": "gate", "fifo": str(fifo), "release": str(release)}).encode()
        connection.sendall(request(path, event))
        with fifo.open() as told:
            assert "here\n" == told.readline()
        ending = asyncio.run_coroutine_threadsafe(daemon.app.stop(60.0), daemon.loop)
        until(lambda: daemon.invoke("f", {"do": "echo", "say": 1}).status_code == 503)

        release.write_text("go on")

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        ending.result(60)
