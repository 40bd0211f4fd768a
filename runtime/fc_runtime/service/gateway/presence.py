"""
Clients that leave: whoever waits for an invocation is asked now and then whether he is still there.

To listen for it takes a task, which is too much for a call of half a millisecond. So calls are only
noted when they begin, and those that have lasted for a while get their listener. One that hears its
client go cancels the task of the request, which ends the instance and frees its place.
"""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from fc_runtime.service.gateway.bodies import Receive, Room

BEAT_S: Final = 0.05


class Presence:
    """
    All requests of one loop whose bodies have been read.

    Args:
        room: for those bodies.
    """

    def __init__(self, room: Room) -> None:
        self.loop = asyncio.get_running_loop()
        self.room = room
        self._waiting: set[object] = set()
        self._unheard: set[Visit] = set()
        self._beat: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def of(self, receive: Receive) -> "Visit":
        """To be entered (``with``) by the task that answers, for as long as it must not go on
        without its client."""
        return Visit(self, receive)

    def enter(self, visit: "Visit") -> None:
        self._unheard.add(visit)
        self._waiting.add(visit)
        if self._beat is None:
            self._begin()

    def leave(self, visit: "Visit") -> None:
        self._waiting.discard(visit)
        self._unheard.discard(visit)

    def take(self, request: object, size: int) -> bool:
        """
        One that hears by itself if its client goes, with a body of *size* bytes; False if there is
        no room for that. It will be forgotten (`forget`).
        """
        if size > self.room.left:
            return False
        self.room.left -= size
        self._waiting.add(request)
        if self._beat is None:
            self._begin()
        return True

    def forget(self, request: object, size: int) -> None:
        """What `take` was told; a second time does nothing."""
        if request in self._waiting:
            self._waiting.discard(request)
            self.room.left += size

    async def until_empty(self) -> None:
        """Within a beat of the last one's leaving."""
        await self._empty.wait()

    def _begin(self) -> None:
        self._empty.clear()
        self._beat = self.loop.call_later(BEAT_S, self._on_beat)

    def _on_beat(self) -> None:
        self._beat = None
        if not self._waiting:
            self._empty.set()
            return
        since = time.monotonic() - BEAT_S
        for visit in [visit for visit in self._unheard if visit.since < since]:
            self._unheard.discard(visit)
            visit.listen()
        self._beat = self.loop.call_later(BEAT_S, self._on_beat)


class Visit:
    """
    One request, as long as its answer is not there. ``has_left`` tells why the task was cancelled;
    who handles that calls `forgive`.
    """

    __slots__ = ("_listener", "_presence", "_receive", "_task", "has_left", "since")

    def __init__(self, presence: Presence, receive: Receive) -> None:
        self._presence = presence
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self.has_left = False
        self.since = time.monotonic()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._presence.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._presence.leave(self)
        self._task = None
        if self._listener is not None:
            self._listener.cancel()

    def listen(self) -> None:
        self._listener = asyncio.create_task(self._hear())

    def forgive(self) -> None:
        """The cancellation was ours: the task goes on."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()

    async def _hear(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue  # a server may send an empty end of the body once more
        if self._task is not None:
            self.has_left = True
            self._task.cancel()
