"""
An event loop's own ear at an instance's answer pipe, kept from call to call.

`drive_async` adds a reader for every call and takes it away again, which on a warm call costs as
much as the call's own bytes. A tap stays. It listens on a duplicate of the descriptor that belongs
to the loop alone: whoever buries the instance, on whatever thread, closes the instance's own and
need not know of it. The tap closes itself at the end of the file, or when anything comes that
nobody waits for; what has come is left in the pipe, for the next who reads there to find.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from fc_runtime.dispatch.channel import Channel

READ_BYTES: Final = 64 * 1024


class Tap:
    """
    Args:
        closed: called once, when it listens no more.
    """

    __slots__ = ("_closed", "_fd", "_loop", "_waiter")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, channel: Channel, closed: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._closed = closed
        self._waiter: asyncio.Future[bytes | None] | None = None
        self._fd = os.dup(channel.response_fd)
        loop.add_reader(self._fd, self._on_readable)

    async def next(self) -> bytes | None:
        """What comes next, b"" at the end; None if `give_up` was called meanwhile."""
        waiter: asyncio.Future[bytes | None] = self._loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = None

    def give_up(self) -> None:
        """Whoever waits has waited long enough to be watched over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """On the loop's thread; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_reader(fd)
            os.close(fd)
            self._closed()

    def _on_readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()
            return
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return  # somebody else has read it: there is nothing to tell
        waiter.set_result(data)
