"""
The bytes of a request, as they come: counted, held once, never interpreted.

All requests together may hold so much and no more (`Room`): whoever would go beyond is told to come
again. What came in one piece is not counted, for that is bounded by the number of connections.

A body that is too large is read to its end all the same, up to a bound, and thrown away: most
clients write all before they read anything, and would see a broken connection instead of the
refusal (spec 14, line 36).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from io import BytesIO
from typing import Any, Final, TypeAlias

from fc_runtime.service.errors import ApiError, invalid
from fc_runtime.service.settings import Settings

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
_NONE: Final = b""


class ClientGoneError(Exception):
    """The connection ended before the request did. There is nobody to answer."""


class Room:
    """
    For the bodies of all requests of one loop.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def share(self) -> "Share":
        """Of the request that the running task answers: given back when that has ended."""
        share = Share(self)
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda _task: share.give_back())
        return share


class Share:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> bool:
        """False, and nothing is taken, if there is not so much left."""
        if size > self._room.left:
            return False
        self._room.left -= size
        self._size += size
        return True

    def give_back(self) -> None:
        self._room.left += self._size
        self._size = 0


async def read(
    receive: Receive,
    headers: Iterable[tuple[bytes, bytes]],
    settings: Settings,
    most: int,
    room: Room,
) -> bytes:
    """
    All of the body, at most *most* bytes.

    Raises ApiError 400 ``EntityTooLarge``, or 429 if *room* has none; ClientGoneError. One that
    stops coming is not waited for here: who holds the connection ends it then.
    """
    announced = -1
    waits = False
    for name, value in headers:
        if name == b"content-length":
            announced = _length(value)
        elif name == b"expect":
            waits = value.lower() == b"100-continue"
    if announced > most:
        # One that waits for our leave has not begun to send, and reads the refusal first.
        whole = not waits and await _drain(receive, settings)
        raise too_large(most, close=not whole)
    message = await _next(receive)
    body: bytes = message.get("body", _NONE)
    if not message.get("more_body"):
        if len(body) > most:
            raise too_large(most)
        return body
    held = BytesIO()  # its bytes grow in place, and are handed out without a copy
    share = room.share()
    size = 0
    while True:
        piece = message.get("body", _NONE)
        size += len(piece)
        if size > most or not share.take(len(piece)):
            held.close()
            share.give_back()
            more = message.get("more_body", False)
            whole = not more or await _drain(receive, settings)
            raise too_large(most, close=not whole) if size > most else _no_room(close=not whole)
        held.write(piece)
        if not message.get("more_body"):
            return held.getvalue()
        message = await _next(receive)


def too_large(most: int, *, close: bool = False) -> ApiError:
    """In FC's words (spec 5.D). *close*: what is left of the request cannot be read."""
    headers = {"Connection": "close"} if close else {}
    message = f"payload size exceeds maximum allowed size ({most} bytes)"
    return ApiError(400, "EntityTooLarge", message, headers)


def _no_room(*, close: bool) -> ApiError:
    headers = {"Retry-After": "1"} | ({"Connection": "close"} if close else {})
    message = "too many large requests at the same time: try again"
    return ApiError(429, "ResourceThrottled", message, headers)


async def _drain(receive: Receive, settings: Settings) -> bool:
    """Read on, and keep nothing; False if there was more of it than we wait for."""
    left = settings.max_drained_bytes
    more = True
    while more and left > 0:
        message = await _next(receive)
        left -= len(message.get("body", _NONE))
        more = message.get("more_body", False)
    return not more


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise invalid("Content-Length: a whole number of bytes")
    return int(value)
