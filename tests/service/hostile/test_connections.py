"""Bytes that are no request's: trailers, chunk extensions, requests behind requests, long paths."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from fc_runtime.service.gateway import paths
from fc_runtime.service.guarded import Limits
from fc_runtime.service.listening import listen
from fc_runtime.service.server import Server
from support.serving import LONG_S, Served

LIMITS = Limits(head_bytes=8192, pipelined=4, unsent_bytes=60 * 1024 * 1024)
LARGE = 32 * 1024 * 1024  # more than the kernel holds, twice
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MiB = 1024 * 1024


class Application:
    """
    Answers with the headers that it sees once it has read all, or to ``/large`` with `LARGE`; its
    answers can wait.
    """

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.came = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.came += 1
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        await asyncio.to_thread(self.may_answer.wait, LONG_S)
        body = b",".join(name for name, _ in scope["headers"])
        if scope["path"] == "/large":
            body = b"x" * LARGE
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application: Application) -> Iterator[tuple[Server, int]]:
    """With `LIMITS`, and its port."""
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        server = Server(application, LIMITS)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])))
        thread.start()
        yield server, port
        application.may_answer.set()
        server.force_exit = server.should_exit = True
        thread.join(LONG_S)
        assert not thread.is_alive()


@pytest.fixture
def connect(server: tuple[Server, int]) -> Iterator[Callable[[], socket.socket]]:
    """Makes a connection to it, closed at the end."""
    made: list[socket.socket] = []

    def one() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", server[1]), timeout=LONG_S))
        return made[-1]

    yield one
    for each in made:
        each.close()


Connect = Callable[[], socket.socket]


def until_closed(sock: socket.socket) -> bytes:
    told = bytearray()
    try:
        while piece := sock.recv(65536):
            told += piece
    except ConnectionResetError:
        pass
    return bytes(told)


def send_until_refused(sock: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes were taken until the server had enough; all *most* if it never had."""
    sent = 0
    try:
        while sent < most:
            sock.sendall(piece)
            sent += len(piece)
    except OSError:
        return sent
    return sent


def test_trailers_are_no_headers(connect: Connect) -> None:
    """What comes behind the body was not there when the headers were checked: nobody sees it."""
    sock = connect()
    head = HEAD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    sock.sendall(head + b"1\r\nx\r\n0\r\nX-Late: admin\r\nHost: evil\r\n\r\n")
    told = until_closed(sock)

    assert told.startswith(b"HTTP/1.1 200 ")
    assert told.endswith(b"\r\n\r\nconnection,host,transfer-encoding")


@pytest.mark.parametrize(
    "begin",
    [b"0\r\n", b"0\r\nX-Long: ", b"5;a="],
    ids=["many trailers", "one long trailer", "one long chunk extension"],
)
def test_floods_between_the_pieces(connect: Connect, begin: bytes) -> None:
    """What is neither head nor body is bounded as a head is."""
    sock = connect()
    sock.sendall(HEAD + b"1\r\nx\r\n" + begin)
    piece = b"X-More: y\r\n" * 400 if begin == b"0\r\n" else b"y" * 4096
    taken = send_until_refused(sock, piece, 64 * MiB)

    assert taken < 64 * MiB
    assert until_closed(sock)[:12] in (b"", b"HTTP/1.1 431")


def test_small_chunks_are_no_flood(connect: Connect) -> None:
    """A body whose frames are larger than its bytes is taken, however long it is."""
    sock = connect()
    sock.sendall(HEAD)
    for _ in range(100):
        sock.sendall(b"1;ext=1\r\nx\r\n" * 100)
    sock.sendall(b"0\r\n\r\n")

    assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_requests_behind_requests(connect: Connect, application: Application) -> None:
    """A few may be sent ahead; whoever sends thousands is cut off, and none of them is kept."""
    application.may_answer.clear()
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    many = connect()
    many.sendall(request * 1000)
    assert until_closed(many) == b""
    application.may_answer.set()
    few = connect()
    few.sendall(request * LIMITS.pipelined)
    told = b""
    while told.count(b"HTTP/1.1 200 ") < LIMITS.pipelined:
        piece = few.recv(4096)
        assert piece, told
        told += piece

    assert application.came <= 1 + LIMITS.pipelined


def test_replies_that_nobody_takes(server: tuple[Server, int], connect: Connect) -> None:
    """Together they may be so large; then the oldest go, and whoever reads has all of his."""
    request = b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for _ in range(4):
        connect().sendall(request)
    until = time.monotonic() + LIMITS.idle_s / 2  # sooner than silence alone ends them
    pause = threading.Event()
    kept = server[0].server_state.connections
    while len(kept) < 4:  # not accepted yet
        assert time.monotonic() < until
        pause.wait(0.01)
    while len(kept) > 2:
        assert time.monotonic() < until
        pause.wait(0.05)
    assert kept  # only as many go as have to
    reader = connect()
    reader.sendall(request)

    assert len(until_closed(reader)) > LARGE


def test_two_hosts(connect: Connect) -> None:
    """Which of them was meant could be read in two ways, by a proxy and by us."""
    sock = connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    assert until_closed(sock).startswith(b"HTTP/1.1 400 ")


def test_few_descriptors(home: Path, code: Path) -> None:
    """
    Idle connections leave enough of them to start functions, and to tell the next client so; where
    more may be had than there are to begin with, they are.
    """
    few = ["sh", "-c", 'ulimit -S -n 64 && ulimit -H -n 256 && exec "$@"', "sh"]
    with Served(home, "--no-auth", "--code", code, "--name", "hello", under=few) as served:
        address = urlsplit(served.url)
        held = [
            socket.create_connection((address.hostname, address.port), LONG_S) for _ in range(129)
        ]
        try:
            assert until_closed(held[-1]).startswith(b"HTTP/1.1 503 ")
            held.pop(0).close()
            reply = http.client.HTTPResponse(held[0])
            request = b"POST /2023-03-30/functions/hello/invocations HTTP/1.1\r\nHost: localhost"
            held[0].sendall(request + b"\r\nContent-Length: 5\r\n\r\nevent")
            reply.begin()

            assert (200, b"event") == (reply.status, reply.read())
        finally:
            for sock in held:
                sock.close()


def test_long_paths_are_not_kept(open_daemon: Served) -> None:
    """What is kept of paths and queries for speed is not for whatever anybody sends."""
    process = psutil.Process(open_daemon.process.pid)
    long = b"%F0%9F%98%80" * 4000  # of 48,000 bytes here, and 16,000 in memory
    address = urlsplit(open_daemon.url)

    with socket.create_connection((address.hostname, address.port), LONG_S) as sock:

        def ask(target: bytes) -> bytes:
            sock.sendall(b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reply = http.client.HTTPResponse(sock)
            reply.begin()
            reply.read()
            return str(reply.status).encode()

        def ask_both(number: int) -> bytes:
            invoke = b"/2023-03-30/functions/hello/invocations"
            return ask(b"/%d/%s" % (number, long)) + ask(b"%s?%d=%s" % (invoke, number, long))

        assert {ask_both(number) for number in range(50)} == {b"400400"}
        before = process.memory_info().rss
        for number in range(50, 350):
            ask_both(number)

    assert process.memory_info().rss - before < 8 * MiB


def test_names_of_functions_are_kept() -> None:
    """So that this costs nothing on a call: the longest names that there may be still are."""
    path = f"/2016-08-15/services/{'s' * 128}.{'q' * 128}/functions/{'f' * 128}/invocations"

    assert paths.is_invocation(path)
    assert ("s" * 128, "f" * 128, "q" * 128) == paths.asked(path, b"")
