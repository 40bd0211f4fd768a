"""What a custom runtime answers: HTTP to its caller, ``x-fc-status`` to the platform (spec 9.A)."""

import json
from collections.abc import Iterable
from typing import Final

from fc_runtime.service.custom.told import Told
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.bodies import Send

OCTETS: Final = "application/octet-stream"
JSON: Final = "application/json"
_FAILED: Final = "404"
_WELL: Final = "200"
_BODILESS: Final = (204, 304)

Headers = Iterable[tuple[str, str]]


async def refuse(send: Send, error: ApiError, told: Told) -> None:
    """The function was not called: the body of the API's errors (spec 5.D)."""
    headers = [("content-type", JSON), *error.headers.items()]
    content = json.dumps(error.body(told.request_id)).encode()
    await answer_with(send, told, error.status, headers, content, failed=True)


async def answer(
    send: Send, told: Told, status: int, kind: str, content: bytes, *, failed: bool
) -> None:
    await answer_with(send, told, status, [("content-type", kind)], content, failed=failed)


async def answer_with(
    send: Send,
    told: Told,
    status: int,
    headers: Headers,
    content: bytes,
    *,
    failed: bool,
    bodiless: bool = False,
) -> None:
    """
    Args:
        failed: what the platform is told; without it, it would take any answer for a success.
        bodiless: the length is that of the content, which is not sent (HEAD).
    """
    pairs = [
        *headers,
        ("x-fc-request-id", told.request_id),
        ("x-fc-status", _FAILED if failed else _WELL),
    ]
    raw = [(name.lower().encode("latin-1"), _encoded(value)) for name, value in pairs]
    if status not in _BODILESS:
        raw.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    without = bodiless or status in _BODILESS
    await send({"type": "http.response.body", "body": b"" if without else content})


def _encoded(value: str) -> bytes:
    """Latin-1 where that is enough, as HTTP means it; else UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
