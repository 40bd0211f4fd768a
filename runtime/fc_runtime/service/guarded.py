"""
Connections of clients that mean harm, or that have gone: none is kept for longer than it is good.

uvicorn's own protocol waits for a request's head for ever, and keeps as much of it as comes. Here
is what is bounded, for each connection, on top of it:

    connections          `Limits.connections`, fewer with few descriptors; one more gets 503 at once
    head                 `Limits.head_bytes` in pieces, `Limits.headers` lines: 431
    between two pieces   `Limits.head_bytes` of chunk extensions and trailers: closed
    requests at once     `Limits.pipelined` that wait for the one before them: closed
    more than one Host   400
    time for a head      `Limits.head_s` from connecting, or from its first byte: 408
    silence in a body    `Limits.idle_s` without a byte that we were willing to read: closed
    silence of a reader  `Limits.idle_s` in which none of a reply was taken: closed
    all replies unread   `Limits.unsent_bytes`: whoever has taken none for longest is closed

The times are looked at once a second for all connections (`GuardedProtocol.check`), so that a
request costs no timer. What a request may hold beyond its head is the gateway's business.

Trailers are read and dropped: uvicorn would add them to the headers, which have been counted, and
whose signature has been checked, by then.

Nobody here changes to another protocol, so a request that offers it is served as it is (RFC 9110,
7.8). httptools ends such a one at its head and leaves its body to the other protocol: its head is
parsed once more, without the offer.
"""

import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DESCRIPTORS: Final = 65_536
_CLOSE: Final = b"content-length: 0\r\nconnection: close\r\n\r\n"
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n" + _CLOSE
BAD: Final = b"HTTP/1.1 400 Bad Request\r\n" + _CLOSE
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSE
TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\n" + _CLOSE
OFFERS: Final = (b"upgrade", b"http2-settings")  # headers of another protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    connections: int = 4096
    head_bytes: int = 64 * 1024
    headers: int = 256
    pipelined: int = 32
    head_s: float = 10.0
    idle_s: float = 60.0
    unsent_bytes: int = 512 * 1024 * 1024


class GuardedProtocol(HttpToolsProtocol):
    """One connection. ``limits`` is set on a subclass, by `guarded`."""

    limits: Limits = Limits()

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._refused = False
        self._in_head = False
        self._head_bytes = 0  # of a head, or of what is no body, that took more than one piece
        self._in_body = False
        self._had_body = False  # in this piece
        self._is_offered = False  # another protocol, by the head that has just ended
        self._data = b""
        self._since = monotonic()  # when what is waited for began, or last moved on
        self._unsent = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(BUSY)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head or self._in_body:  # and this is not the piece that it began in
            self._head_bytes += len(data)
        if not self._in_head:
            self._since = monotonic()
        self._had_body = False
        self._data = data
        super().data_received(data)
        self._data = b""
        if self._in_body and self._had_body:
            self._head_bytes = 0
        elif (self._in_head or self._in_body) and self._head_bytes > self.limits.head_bytes:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def offers_another_protocol(self) -> bool:
        """At the end of a head: will it be parsed once more?"""
        offers = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self._is_offered = offers
        return offers

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn has been told that the rest is another protocol's."""
        parser, told = self.parser, sys.exception()
        if not self._is_offered or not isinstance(told, httptools.HttpParserUpgrade):
            return
        self._is_offered = False
        version = parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in _without_offer(self.headers)]
        self.parser = httptools.HttpRequestParser(self)
        with suppress(AttributeError):  # an older httptools; as uvicorn has it
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        rest = self._data[told.args[0] :]
        super().data_received(b"\r\n".join([*lines, b"", rest]))

    def on_headers_complete(self) -> None:
        if self.offers_another_protocol():
            return
        self._in_head = False
        self._in_body = True
        self._head_bytes = 0
        if self._refused:
            return
        if len(self.headers) > self.limits.headers or len(self.pipeline) >= self.limits.pipelined:
            self._refuse(TOO_LARGE)
        elif sum(name == b"host" for name, _ in self.headers) > 1:
            self._refuse(BAD)  # a proxy may have gone by the other (RFC 9112, 3.2)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._had_body = True
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_offered:
            return
        self._in_body = False
        if not self._refused:
            super().on_message_complete()

    def check(self, now: float) -> None:
        """Once a second: has it had its time?"""
        waited = now - self._since
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._since = unsent, now
        elif unsent or self.transport.is_closing():
            if waited > self.limits.idle_s:
                self.transport.abort()
        elif self.cycle is None or self.cycle.response_complete:
            # Without a byte of the next request, uvicorn's keep-alive timer ends it.
            if (self._in_head or self.cycle is None) and waited > self.limits.head_s:
                self._refuse(TOO_SLOW)
        elif not self.cycle.more_body or self.flow.read_paused:
            self._since = now  # it is we who are at work
        elif waited > self.limits.idle_s:
            self.transport.abort()

    @property
    def unsent(self) -> int:
        """Bytes of replies that were not taken yet, when it was looked at last."""
        return self._unsent

    @property
    def since(self) -> float:
        return self._since

    def give_up(self) -> None:
        self.transport.abort()

    def _refuse(self, answer: bytes) -> None:
        """Answered if no reply is under way; else, with pipelining, the connection just ends."""
        self._refused = True
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(answer)
        else:
            self.cycle.disconnected = True  # nothing can be written from now on
            self.cycle.message_event.set()
        self.transport.close()


def _without_offer(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Of a request that would change to another protocol, what stands if it does not."""
    for name, value in headers:
        if name == b"connection":
            words = [word.strip() for word in value.split(b",")]
            yield name, b", ".join(word for word in words if word.lower() not in OFFERS)
        elif name not in OFFERS:
            yield name, value


def limits_of_this_process() -> Limits:
    """
    No more connections than half of the descriptors that it may have: functions need some, too.

    Many systems give 1024 to begin with and far more to whoever asks, so this asks.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    has = DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return Limits(connections=min(Limits().connections, has // 2))


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """The protocol with these *limits*, as uvicorn wants it: a class."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})
