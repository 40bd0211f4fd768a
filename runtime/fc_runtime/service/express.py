"""
Connections on which warm invocations need no ASGI: `GuardedProtocol`, with a way around it.

A request that looks like an invocation is held back until it is all there. If that is in the very
piece that its head came in, the application's `Express` is asked to take it; what it does not take,
and what is not all there, goes on as any other request does, as if nothing had been held back.
"""

import asyncio
from time import monotonic
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fc_runtime.service.gateway.express import Express, Headers, Passage
from fc_runtime.service.gateway.invoke import BEGUN, Begun
from fc_runtime.service.guarded import GuardedProtocol, Limits

ENDING: Final = b"/invocations"
JOINED_BYTES: Final = 64 * 1024  # up to here a copy is cheaper than a second system call


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

    # -- what comes in -------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._let_go()

    def on_message_begin(self) -> None:
        """As uvicorn's; the scope is made when it is known to be wanted (`_let_go`)."""
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        cycle = self.cycle
        if (
            (ENDING in self.url)
            and (cycle is None or cycle.response_complete)
            and len(self.headers) <= self.limits.headers
            and sum(name == b"host" for name, _ in self.headers) <= 1
            and not (self._refused or self.expect_100_continue or self.flow.write_paused)
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
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
        passage = None
        if express is not None:
            before = self.cycle
            passage = express.begin(
                self,
                self.url,
                self.headers,
                held[0] if len(held) == 1 else b"".join(held),
                keep_alive=self.parser.should_keep_alive(),
            )
            if passage is not None and self.cycle is before:
                self.cycle = cast("RequestResponseCycle", passage)
        if passage is None:
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
        url = httptools.parse_url(passage.url)
        path = self.root_path + unquote(url.path.decode("ascii"))
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": passage.headers,
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
