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
    Who has been taught, for the millisecond until they are killed or go on.

    A number that has become somebody else's since it was listed is his who is taught then; he goes
    back with the others, unless those were killed.
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
        """They go on as before, with the threads that they have started meanwhile."""
        with suppress(KeyError):  # there are no more; other threads may be at it too
            while True:
                pid = self._taught.pop()
                with suppress(OSError):
                    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
                        if os.sched_getscheduler(thread) == os.SCHED_BATCH:
                            os.sched_setscheduler(thread, os.SCHED_OTHER, _AS_USUAL)
