"""
Processes about to be killed, taught not to push in: their ends come after their killer's answer.

The end of a process is up to two milliseconds of its own CPU time, and one that is woken up to end
takes the CPU from its killer if it pleases the scheduler. One that is scheduled as a batch does
not: it gets the same share, but waits until somebody has time for it (docs/adr/0012).
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

AT_A_TIME: Final = 64  # processes that are got ready for their end: time is short
_AS_USUAL: Final = os.sched_param(0)


class Manners:
    """
    What has been taught, for the few milliseconds until they are killed or go on.

    A number may meanwhile have become somebody else's: he would be scheduled as a batch until
    then, and is changed back with the others.
    """

    __slots__ = ("_taught",)

    def __init__(self) -> None:
        self._taught: set[int] = set()

    def teach(self, pids: Iterable[int]) -> None:
        """Those that are scheduled as everybody is. Who has asked to be scheduled otherwise is."""
        for pid in pids:
            with suppress(OSError):  # it has ended; or is not ours to change
                if os.sched_getscheduler(pid) == os.SCHED_OTHER:
                    os.sched_setscheduler(pid, os.SCHED_BATCH, _AS_USUAL)
                    self._taught.add(pid)

    def unteach(self) -> None:
        """They go on as before."""
        with suppress(KeyError):  # there are no more; other threads may be at it too
            while True:
                pid = self._taught.pop()
                with suppress(OSError):
                    if os.sched_getscheduler(pid) == os.SCHED_BATCH:
                        os.sched_setscheduler(pid, os.SCHED_OTHER, _AS_USUAL)
