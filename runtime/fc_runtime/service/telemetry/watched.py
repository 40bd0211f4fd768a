"""
Around applications: `Counted` counts their requests, `Watched` logs them and has spans for them.

What lies inside leaves word in the scope: `KIND` and `FUNCTION` for whom it was, `REQUEST_ID` under
what name; and is told nothing. Invocations through the API count themselves.
"""

from time import perf_counter
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fc_runtime.service.telemetry.telemetry import BROKEN, CLIENT_LEFT, Telemetry
from fc_runtime.service.telemetry.tracing import Tracing

KIND: Final = "fc.kind"
FUNCTION: Final = "fc.function"
REQUEST_ID: Final = "fc.request_id"
MOST_OF_A_PATH: Final = 1024  # characters in the log: a client may send hundreds of thousands
_HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_log = structlog.get_logger("fc_runtime.access")


class Counted:
    """An application, whose requests are counted by kind and class of status."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(send)
        status = BROKEN
        try:
            await self._app(scope, receive, seen.send)
            status = seen.status
        finally:
            if status:
                self._telemetry.answered(kind_of(scope), status)
            else:
                self._telemetry.client_left(kind_of(scope))


class Watched:
    """
    An application, with an event and a span for each request that is no question about health.

    Args:
        access_log: whether there are events.
    """

    def __init__(
        self, app: ASGIApp, *, access_log: bool = True, tracing: Tracing | None = None
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        seen = _Seen(send)
        span = None if self._tracing is None else self._tracing.start(scope)
        status = BROKEN
        try:
            await self._app(scope, receive, seen.send)
            status = seen.status or CLIENT_LEFT
        finally:
            if span is not None:
                span.end(scope, kind_of(scope), status)
            if self._access_log:
                _log.info(
                    "request.answered",
                    method=scope["method"],
                    path=scope["path"][:MOST_OF_A_PATH],
                    status=status,
                    duration_ms=round((perf_counter() - started) * 1000, 3),
                    request_id=scope.get(REQUEST_ID),
                    function=scope.get(FUNCTION),
                    bytes=seen.size,
                )


class _Seen:
    """What went out."""

    __slots__ = ("_send", "size", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def kind_of(scope: Scope) -> str:
    """One of `telemetry.KINDS`."""
    told: str | None = scope.get(KIND)
    if told is not None:
        return told
    path: str = scope["path"]
    if path in _HEALTH:
        return "health"
    return "invoke" if path.endswith("/invocations") else "api"
