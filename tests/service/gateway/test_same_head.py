"""A client that sends the same head again: not parsed twice, and to be told apart by nothing."""

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fc_runtime import lean
from fc_runtime.flight import Flight
from fc_runtime.service.express import ExpressProtocol

from .conftest import Daemon, daemon_in

Parsed = list[bytes]
Connect = Callable[[], "Talk"]


class Talk:
    """One connection, byte by byte."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), 20.0)
        self._in = self._socket.makefile("rb")

    def close(self) -> None:
        self._in.close()
        self._socket.close()

    def send(self, *pieces: bytes) -> None:
        self._socket.sendall(b"".join(pieces))

    def reply(self) -> tuple[int, bytes]:
        """The next one's status and body."""
        status = int(self._in.readline().split()[1])
        size = 0
        while (line := self._in.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        return status, self._in.read(size)

    def ends(self) -> bool:
        return self._in.read(1) == b""

    def ask(self, *pieces: bytes) -> tuple[int, bytes]:
        self.send(*pieces)
        return self.reply()


def head(size: int, *more: bytes, name: bytes = b"echo") -> bytes:
    lines = (
        b"POST /2023-03-30/functions/%b/invocations HTTP/1.1" % name,
        b"Host: a",
        b"Content-Length: %d" % size,
        *more,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """The target of each head that was parsed on the express way."""
    seen: Parsed = []
    parse = ExpressProtocol.on_headers_complete

    def counted(self: ExpressProtocol) -> None:
        seen.append(self.url)
        parse(self)

    monkeypatch.setattr(ExpressProtocol, "on_headers_complete", counted)
    return seen


@pytest.fixture
def connect(daemon: Daemon) -> Iterator[Connect]:
    daemon.create("echo", "index.echo")
    made: list[Talk] = []

    def one() -> Talk:
        made.append(Talk(daemon.url))
        return made[-1]

    one().ask(head(1), b"x")  # from now on the function is known
    yield one
    for talk in made:
        talk.close()


def test_it_is_parsed_once(parsed: Parsed, connect: Connect) -> None:
    """Each event is its own; the head is looked at for the first one alone."""
    talk = connect()
    talk.ask(head(3), b"abc")
    before = len(parsed)

    assert [(200, event) for event in (b"def", b"ghi")] == [
        talk.ask(head(3), event) for event in (b"def", b"ghi")
    ]
    assert before == len(parsed)  # behind another server: none at all


def test_events_that_look_like_heads(connect: Connect) -> None:
    """What stands in a body is a body."""
    inner = head(4)
    talk = connect()
    for event in (inner, inner + b"abcd", b"\r\n\r\n" + inner):
        for _ in range(3):
            assert (200, event) == talk.ask(head(len(event)), event)


@pytest.mark.parametrize("cut", [1, 10, 60, -4, -3, -1])
def test_in_two_pieces(connect: Connect, cut: int) -> None:
    """Cut anywhere after the head was known, and whole again after that."""
    talk = connect()
    whole = head(3) + b"abc"
    assert (200, b"abc") == talk.ask(whole)

    talk.send(whole[:cut])
    connect().ask(head(1), b"x")  # the server has had its turn in between
    assert (200, b"abc") == talk.ask(whole[cut:])

    assert (200, b"xyz") == talk.ask(head(3), b"xyz")


def test_the_rest_of_one_and_the_next(connect: Connect) -> None:
    """A piece that ends one request and begins another is not what a request looks like."""
    talk = connect()
    first, second = head(6) + b"abcdef", head(3) + b"xyz"
    for _ in range(3):
        talk.send(first[:-3])
        connect().ask(head(1), b"x")
        assert (200, b"abcdef") == talk.ask(first[-3:], second)
        assert (200, b"xyz") == talk.reply()
        assert (200, b"xyz") == talk.ask(second)


def test_several_at_once(connect: Connect) -> None:
    """Requests behind requests are answered in their order, the same head or not."""
    talk = connect()
    events = [b"%03d" % number for number in range(6)]
    for _ in range(2):
        talk.send(*(head(3) + event for event in events))
        assert [(200, event) for event in events] == [talk.reply() for _ in events]
        assert (200, b"abc") == talk.ask(head(3), b"abc")


def test_chunks(connect: Connect) -> None:
    """The same head, a body of another length."""
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    talk = connect()
    for event in (b"abc", b"abc", b"defghi", b"abc"):
        assert (200, event) == talk.ask(chunked, b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))


def test_another_function(daemon: Daemon, connect: Connect) -> None:
    """As long as the first, on the same connection."""
    daemon.create("elsa", "index.handler")
    talk = connect()
    event = b'{"do": "echo", "say": 1}'
    for _ in range(2):
        assert (200, event) == talk.ask(head(len(event)), event)
        status, said = talk.ask(head(len(event), name=b"elsa"), event)
        assert (200, True) == (status, b'"said"' in said)


def test_the_function_is_gone(daemon: Daemon, connect: Connect) -> None:
    """What is known is the head, not what it leads to."""
    talk = connect()
    assert (200, b"abc") == talk.ask(head(3), b"abc")

    daemon.account.delete_function("", "echo")

    status, said = talk.ask(head(3), b"abc")
    assert (404, True) == (status, b"FunctionNotFound" in said)
    daemon.create("echo", "index.echo")
    assert (200, b"abc") == talk.ask(head(3), b"abc")


def test_the_last_one(connect: Connect) -> None:
    """A connection that the client wants closed is, however often it has asked before."""
    talk = connect()
    for _ in range(3):
        assert (200, b"abc") == talk.ask(head(3), b"abc")

    assert (200, b"abc") == talk.ask(head(3, b"Connection: close"), b"abc")
    assert talk.ends()


def test_two_hosts(tmp_path: Path, handlers: Path) -> None:
    """Refused behind our own protocol, after good ones too (RFC 9112, 3.2)."""
    with daemon_in(tmp_path, handlers) as daemon:
        daemon.create("echo", "index.echo")
        with closing(Talk(daemon.url)) as talk:
            for _ in range(3):
                assert (200, b"abc") == talk.ask(head(3), b"abc")

            status, said = talk.ask(head(3, b"Host: b"), b"abc")
            assert (400, True) == (status, b"more than one Host" in said)
            assert talk.ends()


def test_what_has_been_answered_is_not_left_to_the_collector(
    daemon: Daemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon under load would be stopped for it, again and again."""
    monkeypatch.setattr(lean, "LASTING_NS", 20_000_000_000)  # on a busy host, too, none is lasting
    daemon.create("slow")
    event = b'{"do": "sleep", "seconds": 0.002}'  # so that the loop has to wait for each
    talks = [connect() for _ in range(6)]  # more than instances: some wait in the queue

    def ask_all(times: int) -> None:
        for _ in range(times):
            for talk in talks:
                talk.send(head(len(event), name=b"slow"), event)
            assert {200} == {talk.reply()[0] for talk in talks}

    ask_all(3)  # those that wait for a start are no matter of microseconds, nor of this test
    gc.collect()
    gc.disable()
    try:
        ask_all(6)
        flights = [one for one in gc.get_objects() if isinstance(one, Flight)]
    finally:
        gc.enable()

    assert len(flights) < 3 * len(talks)  # of six times as many; the last may be there still
