"""
Which CPUs this process may use: while a handler runs all that it was born with; while it waits for
an event at times fewer, as its caller would have it (`LIFT_AFFINITY`, `KEEP_APART` of `wire`).
"""

from os import sched_getaffinity, sched_setaffinity  # theirs, whatever a handler makes of `os`

from fc_worker.wire import KEEP_APART, LIFT_AFFINITY


class Affinity:
    """``narrowed``: by this process itself, since its last answer."""

    def __init__(self) -> None:
        self._all = sched_getaffinity(0)
        self._apart: set[int] | None = None
        self.narrowed = False

    def widen(self, flags: int) -> None:
        """To all CPUs, for an event that came with *flags*."""
        if flags & KEEP_APART and flags & LIFT_AFFINITY:  # narrowed by the caller: so, from now on
            self._apart = sched_getaffinity(0)
        self.narrowed = False
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
