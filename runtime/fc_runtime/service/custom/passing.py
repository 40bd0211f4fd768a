"""
The request of an HTTP trigger, passed through by the platform as its client sent it, on its way to
the handler and back (spec 4.A, 4.B, 9.A).
"""

from datetime import datetime

from fc_runtime.outcome import Result
from fc_runtime.service.custom.told import Told
from fc_runtime.service.gateway import http_event, http_wsgi
from fc_runtime.service.gateway.bodies import Scope
from fc_runtime.service.gateway.http_answer import Answer, accepted, failed
from fc_runtime.service.gateway.http_call import HttpCall, call_of, raw_path_of


def asked(scope: Scope, told: Told) -> HttpCall:
    """
    What the client asks for. ApiError 400 beyond FC's limits.

    The platform's own headers do not count: it has added them to what it had let through.
    """
    headers = [pair for pair in scope["headers"] if not pair[0].startswith(b"x-fc-")]
    theirs = {**scope, "headers": headers}
    path = raw_path_of(theirs)
    base = told.base_path.rstrip("/")
    # What FC2 puts before the function's own path; a server in a custom runtime is told of it.
    if base and (path == base or path.startswith(f"{base}/")):
        path = path[len(base) :]
    return call_of(theirs, path or "/")


def event_of(call: HttpCall, content: bytes, told: Told, account_id: str, now: datetime) -> bytes:
    """For a handler that takes requests as events."""
    return http_event.event_of(
        call,
        content,
        account_id=account_id,
        domain_prefix=http_event.without_port(call.host).partition(".")[0],
        request_id=told.request_id,
        now=now,
    )


def answer_of(result: Result) -> Answer:
    """What the client is answered; 502 with FC's error body if the function failed."""
    if not result.ok:
        return failed(result.payload)
    if result.http is not None:
        return accepted(http_wsgi.answer_of(result.http, result.payload))
    return accepted(http_event.answer_of(result.payload))
