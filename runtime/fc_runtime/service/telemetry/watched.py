"""
Around all other applications: counts every request, and if that is wanted logs it and has a span
for it.

What lies inside leaves word in the scope: `KIND` and `FUNCTION` for whom it was, `REQUEST_ID` under
what name; and is told nothing.
"""

from time import perf_counter
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fc_runtime.service.telemetry.telemetry import CLIENT_LEFT, Telemetry
from fc_runtime.service.telemetry.tracing import Tracing

KIND: Final = "fc.kind"
FUNCTION: Final = "fc.function"
REQUEST_ID: Final = "fc.request_id"
BROKEN: Final = 500  # an application raised: the server answers that itself
_HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_log = structlog.get_logger("fc_runtime.access")


class Watched:
    """
    Args:
        access_log: an event for each request; those for health and metrics are left out.
    """

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        *,
        access_log: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._access_log = access_log
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        seen = _Seen(send)
        span = None if self._tracing is None else self._tracing.start(scope)
        unanswered = BROKEN
        try:
            await self._app(scope, receive, seen.send)
            unanswered = CLIENT_LEFT
        finally:
            kind = kind_of(scope)
            status = seen.status or unanswered
            self._telemetry.answered(kind, status)
            if span is not None:
                span.end(scope, kind, status)
            if self._access_log and kind != "health":
                _log.info(
                    "request.answered",
                    method=scope["method"],
                    path=scope["path"],
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
