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
    ``heard`` is whom the next bytes are for, None if nobody waits.

    Args:
        tell: called with that one and what has come, b"" at the end.
        closed: called once, when it listens no more.
    """

    __slots__ = ("_closed", "_fd", "_loop", "_tell", "heard")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        tell: Callable[[object, bytes], None],
        closed: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._closed = closed
        self.heard: object = None
        self._fd = -1
        self._fd = os.dup(channel.response_fd)
        loop.add_reader(self._fd, self._on_readable)

    def close(self) -> None:
        """On the loop's thread; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(fd)
            os.close(fd)
            self._closed()

    def __del__(self) -> None:
        """Of a loop that was dropped with all that it listened to."""
        if self._fd >= 0:
            os.close(self._fd)

    def _on_readable(self) -> None:
        if self.heard is None:
            self.close()
            return
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return  # somebody else has read it: there is nothing to tell
        self._tell(self.heard, data)
