"""
Connections on which warm invocations need no ASGI: `GuardedProtocol`, with a way around it.

A request that looks like an invocation is held back until it is all there. If that is in the very
piece that its head came in, the application's `Express` is asked to take it; what it does not take,
and what is not all there, goes on as any other request does, as if nothing had been held back.

A client that sends the very bytes of its last head again is asking for the same again: the head is
not parsed a second time (`Head`).
"""

import asyncio
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fc_runtime.service.gateway.express import Asked, Express, Headers, Passage, asked_by
from fc_runtime.service.gateway.invoke import BEGUN, Begun
from fc_runtime.service.guarded import CHUNKED, GuardedProtocol, Limits

ENDING: Final = b"/invocations"
JOINED_BYTES: Final = 64 * 1024  # up to here a copy is cheaper than a second system call
KEPT_HEAD_BYTES: Final = 4 * 1024  # for each connection
HEAD_END: Final = b"\r\n\r\n"


class Head(NamedTuple):
    """Of a request on the express way that was one piece: what it said, and how long it all was."""

    sent: bytes
    request_bytes: int
    asked: Asked


class Application(Protocol):
    """`fc_runtime.service.app.App`."""

    @property
    def express(self) -> Express | None: ...


class ExpressProtocol(GuardedProtocol):
    """One connection. ``application`` is set on a subclass, by `expressed`."""

    application: Application

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._held: list[bytes] | None = None  # the body so far, of a request that is held back
        self._hosts = 0
        self._is_coded = False  # by more than chunks
        self._piece: bytes | None = None  # what is being parsed, if a request begins with it
        self._last: Head | None = None

    # -- what comes in -------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if not (self._in_head or self._in_body) and (cycle is None or cycle.response_complete):
            if self._asked_again(data):
                return
            self._piece = data
        super().data_received(data)
        self._piece = None
        if self._held is not None:
            self._let_go()

    def _asked_again(self, data: bytes) -> bool:
        """Is it all of a request with the last one's head, and on its way by now?"""
        last = self._last
        if (
            last is None
            or len(data) != last.request_bytes
            or not data.startswith(last.sent)
            or self._refused
            or self.flow.write_paused
            or (express := self.application.express) is None
        ):
            return False
        self._unset_keepalive_if_required()
        self._since = monotonic()
        self._held = []
        body = data[len(last.sent) :]
        taken = self._taken(express, last.asked, body, keep_alive=True)
        self._held = None
        return taken

    def _taken(self, express: Express, asked: Asked, body: bytes, *, keep_alive: bool) -> bool:
        before = self.cycle
        passage = express.begin(self, asked, body, keep_alive=keep_alive)
        if passage is None:
            return False
        if self.cycle is before:  # else it is answered by ASGI already
            self.cycle = passage  # type: ignore[assignment]  # all of a cycle that is asked for
        return True

    def _learn(self, piece: bytes, body: bytes, asked: Asked) -> None:
        """If the request that has come is all of *piece*, its head can be known again."""
        head_bytes = len(piece) - len(body)
        if head_bytes <= KEPT_HEAD_BYTES and piece.find(HEAD_END) == head_bytes - len(HEAD_END):
            self._last = Head(piece[:head_bytes], len(piece), asked)

    def on_message_begin(self) -> None:
        """As uvicorn's; the scope is made when it is known to be wanted (`_let_go`)."""
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._begun += 1
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._hosts = 0
        self._is_coded = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """As below, in one step."""
        if self._in_head:
            name = name.lower()
            if name == b"host":
                self._hosts += 1
            elif name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            elif name == b"transfer-encoding" and value.lower() != CHUNKED:
                self._is_coded = True
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.offers_another_protocol():
            return
        cycle = self.cycle
        if (
            (ENDING in self.url)
            and (cycle is None or cycle.response_complete)
            and self._hosts <= 1
            and not (self._refused or self.expect_100_continue or self.flow.write_paused)
            and not (self._is_coded or self.has_large_head())
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and getattr(self.application, "express", None) is not None
        ):
            self._in_head = False
            self._held = []
        else:
            self._go_on()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        held = self._held
        if held is None:
            super().on_message_complete()
            return
        express = self.application.express
        body = held[0] if len(held) == 1 else b"".join(held)
        keep_alive = self.parser.should_keep_alive()
        asked = None if express is None else asked_by(self.url, self.headers)
        if (
            express is not None
            and asked is not None
            and self._taken(express, asked, body, keep_alive=keep_alive)
        ):
            if self._piece is not None and keep_alive:
                self._learn(self._piece, body, asked)
        else:
            self._let_go()
            super().on_message_complete()
        self._held = None

    def _let_go(self) -> None:
        """What has been held back goes the way of all others."""
        held, self._held = self._held, None
        self._go_on()
        for body in held or ():
            super().on_body(body)

    def _go_on(self) -> None:
        """uvicorn's way, from the end of the head on."""
        url, expects, headers = self.url, self.expect_100_continue, self.headers
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope's, by now
        super().on_headers_complete()

    def check(self, now: float) -> None:
        idle = isinstance(self.cycle, Passage) and self.cycle.response_complete
        if idle and not self._in_head and now - self._since > self.timeout_keep_alive:
            self.transport.close()
        else:
            super().check(now)

    # -- what goes out: see `gateway.express.Link` ---------------------------------------------

    @property
    def common_headers(self) -> Headers:
        return self.server_state.default_headers

    def reply(self, passage: Passage, head: bytes, body: bytes) -> None:
        passage.response_complete = True
        transport = self.transport
        if passage.disconnected or transport.is_closing():
            return
        end = b"\r\n" if passage.keep_alive else b"connection: close\r\n\r\n"
        if len(body) <= JOINED_BYTES:
            transport.write(b"".join((head, end, body)))
        else:
            transport.writelines((head, end, body))
        self._since = monotonic()
        if self.pipeline or not passage.keep_alive or self.flow.read_paused:
            if not passage.keep_alive:
                transport.close()
            self.on_response_complete()
        else:  # as that does, but for its timer: `check` sees to it
            self.server_state.total_requests += 1

    def pass_on(self, passage: Passage, begun: Begun) -> None:
        url = httptools.parse_url(passage.asked.url)
        path = self.root_path + unquote(url.path.decode("ascii"))
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": passage.asked.headers,
            "state": self.app_state.copy(),
            "method": "POST",
            "path": path,
            "raw_path": self.root_path.encode("ascii") + url.path,
            "query_string": url.query or b"",
            BEGUN: begun,
        }
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=passage.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.body += passage.body
        cycle.more_body = False
        cycle.disconnected = passage.disconnected
        cycle.message_event.set()
        now: object = self.cycle
        if now is passage or self._held is not None:
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)


def expressed(limits: Limits, application: Application) -> type[ExpressProtocol]:
    """The protocol for this *application*, as uvicorn wants it: a class."""
    return type(
        "ExpressProtocol", (ExpressProtocol,), {"limits": limits, "application": application}
    )
