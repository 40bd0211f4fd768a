"""An invocation that nobody waits for: what its headers ask for, and its reply (spec 4.C, 7.B)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from fc_runtime.http import HttpRequest
from fc_runtime.service.deployment import EXPOSED
from fc_runtime.service.errors import invalid
from fc_runtime.service.gateway.paths import Asked
from fc_runtime.service.queue import MOST_DELAY_S, TASK_ID

MOST_BYTES: Final = 128 * 1024  # of the body
_TYPE: Final = b"x-fc-invocation-type"
_KINDS: Final = frozenset({b"Async", b"Task"})  # FC's tools for FC3 also send the second
_IDS: Final = (b"x-fc-async-task-id", b"x-fc-stateful-async-invocation-id")  # of FC3, of FC2
_DELAY: Final = b"x-fc-async-delay"

Headers = Iterable[tuple[bytes, bytes]]


class Wanted(NamedTuple):
    """
    Args:
        event: that the function is to get.
        http: of a WSGI application: the request, whose body is the event.
        task_id: None for one that is made up.
    """

    asked: Asked
    event: bytes
    request_id: str
    task_id: str | None
    delay_s: float
    http: HttpRequest | None = None


Accept = Callable[[Wanted], Awaitable[str]]
"""The id of the task, once it is on disk. Raises ApiError: 404, 409, 429, 503 …"""


def is_asynchronous(headers: Headers) -> bool:
    return any(name == _TYPE and value in _KINDS for name, value in headers)


def wanted(
    asked: Asked,
    headers: Headers,
    event: bytes,
    request_id: str,
    *,
    http: HttpRequest | None = None,
) -> Wanted:
    """Raises ApiError 400 for an id, or a delay, that cannot be."""
    task_id: str | None = None
    delay_s = 0
    for name, value in headers:
        if name in _IDS and value:
            task_id = value.decode("latin-1")
            if TASK_ID.fullmatch(task_id) is None:
                raise invalid(
                    f"{name.decode()}: 1 to 128 letters, digits, _ and -, neither digit nor - "
                    f"first, not '{task_id[:200]}'"
                )
        elif name == _DELAY and value:
            if not (value.isdigit() and len(value) <= 5 and int(value) <= MOST_DELAY_S):
                raise invalid(
                    f"{name.decode()}: whole seconds from 0 to {MOST_DELAY_S}, "
                    f"not '{value.decode('latin-1')[:64]}'"
                )
            delay_s = int(value)
    return Wanted(asked, event, request_id, task_id, float(delay_s), http)


def headers_of(asked: Asked, task_id: str, request_id: str) -> list[tuple[bytes, bytes]]:
    """Of the reply 202, which has no body."""
    name = b"X-Fc-Stateful-Async-Invocation-Id" if asked.service else b"X-Fc-Async-Task-Id"
    return [(b"X-Fc-Request-Id", request_id.encode()), (name, task_id.encode()), EXPOSED]
