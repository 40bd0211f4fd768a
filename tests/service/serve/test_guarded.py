"""Clients that mean harm, or have gone: each connection has bounds, and the others are served."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from fc_runtime.service.errors import ApiError
from fc_runtime.service.guarded import Limits
from fc_runtime.service.listening import listen
from fc_runtime.service.server import Server

LONG_S = 30.0
LARGE = 64 * 1024 * 1024
LIMITS = Limits(connections=20, head_bytes=8192, headers=30, head_s=0.5, idle_s=1.5)


async def application(scope, receive, send) -> None:
    """Reads all of the body; answers with its size, or with 64 MiB for ``/large``."""
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"x" * LARGE if scope["path"] == "/large" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def server() -> Iterator[tuple[Server, int]]:
    """A server with small limits, on a loop of its own, and its port."""
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        server = Server(application, LIMITS)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])))
        thread.start()
        yield server, port
        server.force_exit = server.should_exit = True
        thread.join(LONG_S)
        assert not thread.is_alive()


@pytest.fixture
def port(server: tuple[Server, int]) -> int:
    return server[1]


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    """Connections, closed at the end."""
    made: list[socket.socket] = []

    def one() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", port), timeout=LONG_S))
        return made[-1]

    yield one
    for sock in made:
        sock.close()


def rest_of(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    told = b""
    try:
        while piece := sock.recv(65536):
            told += piece
    except ConnectionResetError:
        pass
    return told


def ask(sock: socket.socket) -> bytes:
    """The whole reply to a request on a connection that is kept."""
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    told = b""
    while not told.endswith(b"\r\n\r\n0"):
        piece = sock.recv(4096)
        assert piece, told
        told += piece
    return told


def refusal_in(told: bytes) -> tuple[int, str]:
    """Status and code of an answer that is all there, and as the API's errors are (spec 5.D)."""
    head, _, body = told.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    error = json.loads(body)
    shown = ApiError(int(status.split()[1]), error["ErrorCode"], error["ErrorMessage"])
    assert shown.body(headers["x-fc-request-id"]) == error
    assert ("application/json", str(len(body))) == (
        headers["content-type"],
        headers["content-length"],
    )
    assert ("FCCommonError", "close") == (headers["x-fc-error-type"], headers["connection"])
    return shown.status, shown.code


def is_served(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/", timeout=LONG_S).status_code == 200


def test_slow_heads(port: int, connect: Connect) -> None:
    """
    Those who say nothing, and those who say a header a moment, have so long, and not longer; the
    others are served meanwhile.
    """
    silent = connect()
    slow = connect()
    slow.sendall(b"GET / HTTP/1.1\r\n")
    assert is_served(port)
    until = time.monotonic() + LONG_S
    ended = False
    while not ended and time.monotonic() < until:
        try:
            slow.sendall(b"a: b\r\n")
            slow.settimeout(0.1)
            ended = slow.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 408 ")
        except TimeoutError:
            continue
        except OSError:
            ended = True

    assert ended
    assert (408, "RequestTimeout") == refusal_in(rest_of(silent))
    assert is_served(port)


def test_slow_second_head(port: int, connect: Connect) -> None:
    """The same on a connection that was kept: the second request has no more time than the first."""
    kept = connect()
    kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
    told = rest_of(kept)

    assert told.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in told


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(31)) + b"\r\n",
        b"GET / HTTP/1.1\r\na: " + b"b" * 1_000_000,
        b"GET /" + b"b" * 1_000_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
    ],
    ids=["many", "long", "path", "endless"],
)
def test_large_heads(port: int, connect: Connect, head: bytes) -> None:
    """Too many headers, and too long ones, are refused before they are kept."""
    sock = connect()
    try:
        sock.sendall(head)
        told = rest_of(sock)
    except (BrokenPipeError, ConnectionResetError):  # it was closed while we still wrote
        told = b""

    assert told == b"" or told.startswith(b"HTTP/1.1 431 ")
    assert is_served(port)


@pytest.mark.parametrize(
    ("head", "refused"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nX-A: %b\r\n\r\n", "a header"),
        (b"POST /%b HTTP/1.1\r\nHost: a\r\n\r\n", "the path"),
        (b"POST /f/invocations HTTP/1.1\r\nX-A: %b\r\nHost: a\r\n\r\n", "of an invocation"),
    ],
)
def test_a_large_head_in_one_piece(connect: Connect, head: bytes, refused: str) -> None:
    """The bound is the same however a head comes; one a little below it is served."""
    small, large = connect(), connect()
    small.sendall(head % (b"a" * (LIMITS.head_bytes - 200)))
    large.sendall(head % (b"a" * LIMITS.head_bytes))

    assert small.recv(4096).startswith(b"HTTP/1.1 200 "), refused
    assert (431, "RequestHeaderFieldsTooLarge") == refusal_in(rest_of(large)), refused


def test_a_head_that_begins_large(connect: Connect) -> None:
    """What came in its first piece counts while the rest is not there yet."""
    sock = connect()
    sock.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * LIMITS.head_bytes)

    assert (431, "RequestHeaderFieldsTooLarge") == refusal_in(rest_of(sock))


def test_a_small_head_before_a_large_body(connect: Connect) -> None:
    """The bytes of a body in the same piece are not the head's; nor are those of requests before."""
    sock = connect()
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
    sock.sendall(request + request + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert 3 == rest_of(sock).count(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /f/invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["tls", "version", "length", "chunk", "chunk of an invocation", "hosts"],
)
def test_what_is_no_http(port: int, connect: Connect, request_: bytes) -> None:
    """400, in JSON as all errors are, whatever the parser found."""
    sock = connect()
    sock.sendall(request_)

    assert (400, "InvalidArgument") == refusal_in(rest_of(sock))
    assert is_served(port)


def test_no_reply_for_another_request(connect: Connect) -> None:
    """What is wrong with a request is not told as the reply to the one before it."""
    sock = connect()
    sock.sendall(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    )

    assert rest_of(sock) == b""


@pytest.mark.parametrize("path", [b"/", b"/f/invocations"])
@pytest.mark.parametrize("coding", [b"gzip, chunked", b"GZip,Chunked"])
def test_other_codings(connect: Connect, path: bytes, coding: bytes) -> None:
    """Nobody here would undo them, and a function could not know: 501, and the connection ends."""
    coded, chunked = connect(), connect()
    request = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    coded.sendall(request % (path, coding))
    chunked.sendall(request % (path, b"Chunked"))

    assert (501, "NotImplemented") == refusal_in(rest_of(coded))
    assert chunked.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_thirty_headers(port: int) -> None:
    """What is within the bounds is served."""
    headers = {f"a{n}": "b" * 100 for n in range(20)}

    assert httpx.get(f"http://127.0.0.1:{port}/", headers=headers).status_code == 200


def test_half_a_body(port: int, connect: Connect) -> None:
    """A body that does not go on is given up; one that goes on slowly is taken."""
    stuck = connect()
    stuck.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    slow = connect()
    slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
    pause = threading.Event()
    for _ in range(8):
        pause.wait(LIMITS.idle_s / 4)  # longer than `idle_s` in all: the time of the test itself
        slow.sendall(b"x")

    assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert rest_of(stuck) == b""


def test_nobody_reads(server: tuple[Server, int], connect: Connect) -> None:
    """A reply that nobody takes is given up, and what it held with it."""
    serving, port = server
    deaf = connect()
    deaf.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    assert deaf.recv(10)
    until = time.monotonic() + LONG_S
    pause = threading.Event()
    while serving.server_state.connections:
        assert time.monotonic() < until
        pause.wait(0.05)

    assert len(rest_of(deaf)) < LARGE
    assert is_served(port)


def test_slow_reader(port: int, connect: Connect) -> None:
    """One who takes it slowly gets all of it, though it takes longer than the silence allowed."""
    slow = connect()
    slow.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    pause = threading.Event()
    taken = 0
    for _ in range(12):
        pause.wait(LIMITS.idle_s / 6)
        taken += len(slow.recv(1024 * 1024))
    while piece := slow.recv(1024 * 1024):
        taken += len(piece)

    assert taken > LARGE


def test_too_many_connections(port: int, connect: Connect) -> None:
    """One more than may be is told so at once; there is room again once others have gone."""
    held = [connect() for _ in range(LIMITS.connections)]
    for sock in held:
        assert ask(sock).startswith(b"HTTP/1.1 200 ")
    refused = rest_of(connect())
    held[0].close()

    assert (503, "ServiceUnavailable") == refusal_in(refused)
    assert ask(held[1]).startswith(b"HTTP/1.1 200 ")
    assert is_served(port)
