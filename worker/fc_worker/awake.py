"""Not going to sleep between two events, where the next one is likely to come at once."""

import time
from collections.abc import Callable
from select import POLLIN, poll  # theirs, whatever a handler makes of `select`
from typing import Final

AWAKE_NS: Final = 50_000  # less than being woken costs where staying awake pays at all


class Ear:
    """At the pipe *fd*, whatever has become of it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll: Callable[[int], object] | None = None

    def stay_awake(self) -> None:
        """Until there is something to read, but not for long; other threads may run meanwhile."""
        ask, clock = self._poll or self._listen(), time.monotonic_ns
        until_ns = clock() + AWAKE_NS
        while not ask(0) and clock() < until_ns:
            continue

    def _listen(self) -> Callable[[int], object]:
        """Not before it is wanted: many a worker is gone after one call."""
        poller = poll()
        poller.register(self._fd, POLLIN)
        self._poll = poller.poll
        return self._poll
