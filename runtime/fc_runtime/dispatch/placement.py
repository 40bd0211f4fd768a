"""
Place the worker where its caller is (D6), where that pays.

Waking a process on an idle CPU of a virtual machine costs 40 to 150 µs, on the CPU that is
already awake a few. So for the wake-up, and only for it, the worker's affinity is narrowed to the
caller's CPU; the frame tells the worker to widen it again before the handler runs, and if it has
not been woken within the first millisecond the caller does. The handler, and what it starts,
always sees all CPUs.

That takes two system calls, which are wasted where the scheduler does the same by itself: with
one CPU, with the others busy. So it is tried: now and then a few calls are made with it and a few
without, and what had the lower median stands until the next trial. Compared is what is left of a
call's time when the handler's own is taken off, so handlers do not disturb it.

Never while another invocation is under way that was woken on this CPU: then spreading out is what
serves the callers.
"""

import ctypes
import os
from contextlib import suppress
from typing import Final

TRIAL: Final = 8  # calls each way
PERIOD: Final = 1024  # calls from trial to trial: less than one in a hundred is made the slower way
_sched_getcpu: Final = ctypes.PyDLL(None).sched_getcpu  # keeps the GIL: 0.1 µs, never blocks


class Placement:
    """The borrowed mask of one worker during one wake-up."""

    __slots__ = ("_cpus", "_pid", "cpu")

    def __init__(self, pid: int, cpus: set[int], cpu: int) -> None:
        self._pid = pid
        self._cpus = cpus
        self.cpu = cpu

    def let_go(self) -> None:
        """Widen the mask from outside: the worker did not get to it."""
        with suppress(OSError):
            os.sched_setaffinity(self._pid, self._cpus)


def step_aside(pid: int) -> None:
    """
    Have *pid*, which is about to be killed, die on another CPU than the caller's. Its end takes a
    millisecond or two, and on the same CPU it would take them before the caller goes on.
    """
    with suppress(OSError):  # it has ended; or there is no other CPU
        os.sched_setaffinity(pid, os.sched_getaffinity(0) - {_sched_getcpu()})


class Placer:
    """The policy, one for each runtime."""

    def __init__(self, *, enabled: bool) -> None:
        self._cpus = os.sched_getaffinity(0)
        self._single = [{cpu} for cpu in range(max(self._cpus) + 1)]
        self._in_flight = [0] * (max(self._cpus) + 1)
        self._turn = -1
        self._pays = True
        self._placed: list[int] = []
        self._free: list[int] = []
        self.enabled = enabled and len(self._cpus) > 1

    def borrow(self, pid: int) -> Placement | None:
        """Narrow the sleeping worker *pid* to this CPU, if that is wanted now."""
        turn = self._turn = (self._turn + 1) % PERIOD
        if not turn:  # a new trial: what the last one left is stale
            self._placed.clear()
            self._free.clear()
        if not (self._pays if turn >= 2 * TRIAL else turn < TRIAL):
            return None
        cpu = _sched_getcpu()
        try:
            if self._in_flight[cpu]:
                return None
            os.sched_setaffinity(pid, self._single[cpu])
        except (OSError, IndexError):  # it is ending; or the host moved us to another cpuset
            return None
        self._in_flight[cpu] += 1
        return Placement(pid, self._cpus, cpu)

    def give_back(self, placement: Placement) -> None:
        """The invocation that was woken with it has ended."""
        self._in_flight[placement.cpu] -= 1

    def learn(self, placement: Placement | None, overhead_ns: int) -> None:
        """What a call took besides its handler; told of the calls of a trial."""
        if not self.in_trial:
            return
        (self._free if placement is None else self._placed).append(overhead_ns)
        if len(self._placed) >= TRIAL and len(self._free) >= TRIAL - 1:
            middle = TRIAL // 2
            self._pays = sorted(self._placed)[middle] < sorted(self._free)[middle]
            self._placed.clear()
            self._free.clear()

    @property
    def in_trial(self) -> bool:
        return self.enabled and self._turn < 2 * TRIAL
