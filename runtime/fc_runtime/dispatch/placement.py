"""
Place the worker where its caller is (D6).

Waking a process on an idle CPU of a virtual machine costs 40 to 150 µs, on the CPU that is
already awake a few. So for the wake-up, and only for it, the worker's affinity is narrowed to the
caller's CPU; the frame tells the worker to widen it again before the handler runs, and if it has
not been woken within the first millisecond the caller does. The handler, and what it starts,
always sees all CPUs.

Not done with one CPU, nor while another invocation is being woken on the same CPU: then spreading
out is what serves the caller.
"""

import ctypes
import os
from contextlib import suppress
from typing import Final

_sched_getcpu: Final = ctypes.PyDLL(None).sched_getcpu  # keeps the GIL: 0.1 µs, never blocks


class Placement:
    """The borrowed mask of one worker during one wake-up."""

    __slots__ = ("_cpus", "_pid")

    def __init__(self, pid: int, cpus: set[int]) -> None:
        self._pid = pid
        self._cpus = cpus

    def let_go(self) -> None:
        """Widen the mask from outside: the worker did not get to it."""
        with suppress(OSError):
            os.sched_setaffinity(self._pid, self._cpus)


class Placer:
    """The policy, one for each runtime."""

    def __init__(self, *, enabled: bool) -> None:
        self._cpus = os.sched_getaffinity(0)
        self._single = [{cpu} for cpu in range(max(self._cpus) + 1)]
        self._in_flight = [0] * (max(self._cpus) + 1)
        self.enabled = enabled and len(self._cpus) > 1

    def borrow(self, pid: int) -> tuple[Placement | None, int]:
        """Narrow the sleeping worker *pid* to this CPU; (what to give back, the CPU)."""
        cpu = _sched_getcpu()
        try:
            if self._in_flight[cpu]:
                return None, -1
            os.sched_setaffinity(pid, self._single[cpu])
        except (OSError, IndexError):  # it is ending; or the host moved us to another cpuset
            return None, -1
        self._in_flight[cpu] += 1
        return Placement(pid, self._cpus), cpu

    def give_back(self, cpu: int) -> None:
        """The invocation woken on *cpu* has ended."""
        self._in_flight[cpu] -= 1
