"""
Which CPUs this process may use: while a handler runs all that it was born with, or those that the
function's module or initializer chose; while it waits for an event at times fewer, as its caller
would have it (`LIFT_AFFINITY`, `KEEP_APART` of `wire`).
"""

from contextlib import suppress
from os import sched_getaffinity, sched_setaffinity  # theirs, whatever a handler makes of `os`

from fc_worker.wire import KEEP_APART, LIFT_AFFINITY


class Affinity:
    """``narrowed``: by this process itself, since its last answer."""

    def __init__(self) -> None:
        self._apart: set[int] | None = None
        self.narrowed = False
        self.adopt()

    def adopt(self) -> None:
        """From now on what is allowed at this moment is all there is."""
        self._all = sched_getaffinity(0)

    def widen(self, flags: int) -> None:
        """To all CPUs, for an event that came with *flags*."""
        if flags & KEEP_APART and flags & LIFT_AFFINITY:  # narrowed by the caller: so, from now on
            lent = sched_getaffinity(0)
            self._apart = None if lent == self._all else lent  # if he has thought better of it
        self.narrowed = False
        with suppress(OSError):  # they were taken away, and replaced by others
            sched_setaffinity(0, self._all)

    def narrow(self) -> None:
        """To where its caller has put it last."""
        if self._apart is None:
            return
        try:
            sched_setaffinity(0, self._apart)
        except OSError:  # those CPUs were taken away meanwhile
            self._apart = None
        else:
            self.narrowed = True
