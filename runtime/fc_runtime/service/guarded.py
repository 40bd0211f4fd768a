"""
Connections of clients that mean harm, or that have gone: none is kept for longer than it is good.

uvicorn's own protocol waits for a request's head for ever, and keeps as much of it as comes. Here
is what is bounded, for each connection, on top of it:

    connections          `Limits.connections`, fewer with few descriptors; one more gets 503 at once
    head                 `Limits.head_bytes`, `Limits.headers` lines: 431
    between two pieces   `Limits.head_bytes` of chunk extensions and trailers: 431
    requests at once     `Limits.pipelined` that wait for the one before them: closed
    more than one Host   400
    another coding       of a body than chunked, which nobody here would undo: 501
    time for a head      `Limits.head_s` from connecting, or from its first byte: 408
    silence in a body    `Limits.idle_s` without a byte that we were willing to read: closed
    silence of a reader  `Limits.idle_s` in which none of a reply was taken: closed
    all replies unread   `Limits.unsent_bytes`: whoever has taken none for longest is closed

What is refused here never gets to the application, but is answered as the API's other errors are
(spec 5.D), also what is no HTTP at all.

The times are looked at once a second for all connections (`GuardedProtocol.check`), so that a
request costs no timer. What a request may hold beyond its head is the gateway's business.

Trailers are read and dropped: uvicorn would add them to the headers, which have been counted, and
whose signature has been checked, by then.

Nobody here changes to another protocol, so a request that offers it is served as it is (RFC 9110,
7.8). httptools ends such a one at its head and leaves its body to the other protocol: its head is
parsed once more, without the offer.
"""

import json
import resource
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fc_runtime.service.errors import ApiError, invalid, not_implemented

DESCRIPTORS: Final = 65_536
BUSY: Final = ApiError(
    503, "ServiceUnavailable", "too many connections: close some", {"Retry-After": "1"}
)
NO_HTTP: Final = invalid("the request is not HTTP/1.1 as RFC 9112 has it")
TWO_HOSTS: Final = invalid("more than one Host header")
TOO_SLOW: Final = ApiError(408, "RequestTimeout", "the head of the request took too long")
CODED: Final = not_implemented("Transfer-Encoding: chunked, and no other; send the body as it is")
CHUNKED: Final = b"chunked"
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
        self._head_bytes = 0  # of a head that goes on, or of what is no body, in several pieces
        self._begun = 0  # requests, in this piece
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
        begins = not (self._in_head or self._in_body)
        if not begins:
            self._head_bytes += len(data)
        if not self._in_head:
            self._since = monotonic()
        self._had_body = False
        self._begun = 0
        self._data = data
        super().data_received(data)
        self._data = b""
        if begins and self._in_head and self._begun == 1:  # all of the piece is of this head
            self._head_bytes = len(data)
        if self._in_body and self._had_body:
            self._head_bytes = 0
        elif (self._in_head or self._in_body) and self._head_bytes > self.limits.head_bytes:
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._begun += 1
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
        is_large = self.has_large_head()
        self._in_head = False
        self._in_body = True
        self._head_bytes = 0
        if self._refused:
            return
        hosts, is_coded = 0, False
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and value.lower() != CHUNKED:
                is_coded = True
        if is_large or len(self.pipeline) >= self.limits.pipelined:
            self._refuse(self._too_large())
        elif hosts > 1:
            self._refuse(TWO_HOSTS)  # a proxy may have gone by the other (RFC 9112, 3.2)
        elif is_coded:
            self._refuse(CODED)
        else:
            super().on_headers_complete()

    def has_large_head(self) -> bool:
        """At the end of a head. Its bytes are counted only if it came in more than it may have."""
        headers, most = self.headers, self.limits.head_bytes
        if len(headers) > self.limits.headers:
            return True
        if self._head_bytes + len(self._data) <= most:
            return False
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers) > most

    def _too_large(self) -> ApiError:
        most = f"{self.limits.head_bytes} bytes in {self.limits.headers} headers"
        return ApiError(
            431, "RequestHeaderFieldsTooLarge", f"the head of a request: at most {most}"
        )

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (it says less than `NO_HTTP`)
        """uvicorn's, for what is no HTTP."""
        self._refuse(NO_HTTP)

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

    def _refuse(self, error: ApiError) -> None:
        """Answered if no reply is under way; else, with pipelining, the connection just ends."""
        self._refused = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_on_the_wire(error))
        else:
            if self._can_answer_for(cycle):
                self.transport.write(_on_the_wire(error))
            cycle.disconnected = True  # nothing can be written from now on
            cycle.message_event.set()
        self.transport.close()

    def _can_answer_for(self, cycle: RequestResponseCycle) -> bool:
        """Is it of the request whose body is being read, and has nothing been said to it yet?"""
        is_its_own = self._in_body and getattr(cycle, "scope", None) is self.scope
        return is_its_own and not self.pipeline and not cycle.response_started


def _on_the_wire(error: ApiError) -> bytes:
    """A whole reply, with an id of its own: no request has been made of it yet."""
    request_id = str(uuid.uuid4())
    body = json.dumps(error.body(request_id)).encode()
    headers = {
        "content-type": "application/json",
        "x-fc-request-id": request_id,
        "x-fc-error-type": "FCCommonError",
        **error.headers,
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
