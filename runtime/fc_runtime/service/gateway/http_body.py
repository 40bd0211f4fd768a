"""
A request's body, read once and within bounds; and a client that may go away meanwhile.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Receive

from fc_runtime.service.errors import ApiError

MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # of a synchronous call (spec 12)
DRAINED_BYTES: Final = 512 * 1024 * 1024  # of one too large that are still read, to be heard

T = TypeVar("T")


class ClientGoneError(Exception):
    """Nobody is there any more to answer to."""


async def read_body(receive: Receive, most: int = MAX_BODY_BYTES) -> bytes:
    """
    The whole body. Raises ApiError 400 ``EntityTooLarge`` for one of more than *most* bytes: it is
    read on and thrown away first, within reason, so that a client that is still sending hears why.
    Raises ClientGoneError.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            parts.clear()
        else:
            parts.append(part)
        if not message.get("more_body", False) or size > DRAINED_BYTES:
            break
    if size > most:
        raise ApiError(
            400, "EntityTooLarge", f"payload size exceeds maximum allowed size ({most} bytes)"
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """
    What *work* comes to. The body must have been read.

    Raises ClientGoneError if the client leaves first; *work* has then been cancelled and has ended.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGoneError
        return doing.result()
    finally:
        for task in (doing, leaving):
            if not task.done():
                task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # a server may send an empty end of the body once more
