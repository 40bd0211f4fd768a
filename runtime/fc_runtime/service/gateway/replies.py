"""
What an invocation is answered with: status and headers by outcome (spec 5.C, 7.A), made ahead as
far as they are the same every time.
"""

import json
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from fc_runtime.outcome import InitializationFailed, Raised, Result
from fc_runtime.service.deployment import EXPOSED, Deployment
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.bodies import Send
from fc_runtime.service.gateway.tail import tail
from fc_runtime.service.load_errors import LOAD_ERRORS

Headers: TypeAlias = list[tuple[bytes, bytes]]
MiB: Final = 1024 * 1024
UNHANDLED: Final = b"UnhandledInvocationError"
NOT_INITIALIZED: Final = b"InitializationError"
COMMON_ERROR: Final = b"FCCommonError"
_JSON: Final = (b"Content-Type", b"application/json")
_BYTES: Final = (b"Content-Type", b"application/octet-stream")


def headers_of(deployment: Deployment, result: Result, *, with_log: bool) -> Headers:
    """All that a reply to one invocation carries, but its length, and its date."""
    usage = result.usage.peak_memory_bytes
    if usage != deployment.shown_memory[0]:
        deployment.shown_memory = (usage, b"%.2f" % (usage / MiB))
    good = result.ok
    headers: Headers = [
        _BYTES if good else _JSON,
        (b"X-Fc-Request-Id", result.request_id.encode()),
        (b"X-Fc-Invocation-Duration", b"%d" % math.ceil(result.duration_ms)),
        (b"X-Fc-Max-Memory-Usage", deployment.shown_memory[1]),
        *deployment.fixed_headers,
    ]
    if not good:
        headers.append((b"X-Fc-Error-Type", error_type_of(deployment, result)))
    if result.instance_id:
        headers.append((b"X-Fc-Instance-Id", result.instance_id.encode()))
    if with_log:
        log = tail(
            result,
            initializes=deployment.initializes,
            memory_mb=deployment.memory_mb,
            init_log_bytes=result.init_log_bytes,
        )
        headers.append((b"X-Fc-Log-Result", log))
    return headers


def error_type_of(deployment: Deployment, result: Result) -> bytes:
    """
    ``UnhandledInvocationError``, or that an initializer failed. A handler that cannot be loaded is
    the first, as seen live, although no handler code ran (spec 5.A, 5.C).
    """
    outcome = result.outcome
    if not isinstance(outcome, InitializationFailed) or not deployment.initializes:
        return UNHANDLED
    cause = outcome.cause
    if isinstance(cause, Raised) and cause.error_type in LOAD_ERRORS:
        return UNHANDLED
    return NOT_INITIALIZED


def load_failure(deployment: Deployment, request_id: str) -> Headers:
    """Of one whose code could not be registered at all (`Deployment.load_error`)."""
    return [
        _JSON,
        (b"X-Fc-Request-Id", request_id.encode()),
        (b"X-Fc-Invocation-Duration", b"0"),
        (b"X-Fc-Max-Memory-Usage", b"0.00"),
        *deployment.fixed_headers,
        (b"X-Fc-Error-Type", UNHANDLED),
    ]


async def send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole reply."""
    headers.append((b"Content-Length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def head_of(deployment: Deployment, result: Result, common: bytes, *, with_log: bool) -> bytes:
    """
    `headers_of` a good *result* as bytes that begin a reply, all but the empty line. They are all
    ours, so nothing of them is checked.

    Args:
        common: what every reply of the server carries, as `lines`.
    """
    usage = result.usage.peak_memory_bytes
    if usage != deployment.shown_memory[0]:
        deployment.shown_memory = (usage, b"%.2f" % (usage / MiB))
    head = _HEAD % (
        common,
        result.request_id.encode(),
        math.ceil(result.duration_ms),
        deployment.shown_memory[1],
        _fixed_lines(deployment.fixed_headers),
        result.instance_id.encode(),
        len(result.payload),
    )
    if with_log:
        *_, (_, log) = headers_of(deployment, result, with_log=True)
        head += b"x-fc-log-result: %b\r\n" % log
    return head


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n%bcontent-type: application/octet-stream\r\nx-fc-request-id: %b\r\n"
    b"x-fc-invocation-duration: %d\r\nx-fc-max-memory-usage: %b\r\n%bx-fc-instance-id: %b\r\n"
    b"content-length: %d\r\n"
)


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """As they are sent."""
    return b"".join([b"%b: %b\r\n" % (name.lower(), value) for name, value in headers])


_fixed_lines = lru_cache(1024)(lines)


async def send_error(send_: Send, error: ApiError, request_id: str) -> None:
    """An API error, with all keys of all generations (spec 5.D)."""
    body = json.dumps(error.body(request_id), ensure_ascii=False).encode()
    more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    headers: Headers = [
        _JSON,
        (b"X-Fc-Request-Id", request_id.encode()),
        (b"X-Fc-Error-Type", COMMON_ERROR),
        EXPOSED,
        *more,
    ]
    await send(send_, error.status, headers, body)
