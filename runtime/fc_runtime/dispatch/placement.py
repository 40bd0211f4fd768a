"""
How a warm call wakes its worker (D6): by the best of four ways, tried now and then.

*Placed.* Waking a process on an idle CPU of a virtual machine costs 40 to 150 µs, on the CPU that
is already awake a few. So for the wake-up, and only for it, the worker's affinity is narrowed to
the caller's CPU; the frame tells the worker to widen it again before the handler runs, and if it
has not been woken within the first millisecond the caller does. The handler, and what it starts,
always sees all CPUs. Never while another invocation is under way that was woken on this CPU: then
spreading out is what serves the callers.

*Awake.* With calls that follow each other at once and handlers of a few microseconds, neither side
goes to sleep: each looks for what the other has to say for at most 50 µs, thrice that when the
worker has just been moved to another CPU, and a little longer for large bodies. Only where a caller
is the only one, and has shown that it is in a hurry (`BRISK_NS`): nothing is burnt for others.

*Watched.* The same by the caller alone, who need not be in that much of a hurry (`SOON_NS`). The
worker sleeps between two calls, so whoever the caller in his turn works for, a client in another
process, has its CPU meanwhile.

*Free.* Left to the scheduler, which does the first by itself with one CPU, or with the others busy.

Which one is best depends on the machine and on what else it does. So now and then a few calls are
made each way, and what had the lower median stands until the next trial. Compared is the time from
one answer to the next (`pace_ns`), as what a way does to such a client is to be seen there only.
"""

import ctypes
import os
from contextlib import suppress
from enum import IntEnum
from typing import Final

from fc_worker import wire

TRIAL: Final = 8  # calls each way
AT_FIRST: Final = 64  # calls before the first trial: until then everything takes longer
PERIOD: Final = 1536  # calls from trial to trial: less than one in fifty is made a slower way
AWAKE_NS: Final = 50_000
AWAKE_AT_FIRST_NS: Final = 150_000
BRISK_NS: Final = 100_000  # from one answer to the next event
SOON_NS: Final = 1_000_000  # idem: the caller alone may stay awake
NOT_SOON: Final = SOON_NS  # and whatever is more
MOST_PACE_NS: Final = 200_000  # of the time between two calls, what a way is held responsible for
QUICK_US: Final = 20  # what the last call's handler took
BRIEF_US: Final = 200  # idem: for less a loop lets the worker have its CPU
sched_getcpu: Final = ctypes.PyDLL(None).sched_getcpu  # keeps the GIL: 0.1 µs, never blocks


class Way(IntEnum):
    PLACED = 0
    FREE = 1
    AWAKE = 2
    WATCHED = 3


# By these names, as up to CPython 3.11 an Enum's member takes 0.3 µs to be found.
_PLACED, _FREE, _AWAKE, _WATCHED = Way
_IN_TRIAL: Final = len(Way) * TRIAL  # calls


class Placement:
    """
    What one wake-up has borrowed: the mask of its worker, for one ``cpu``; or, with ``awake``, the
    time that the caller does not sleep. ``flag`` is what the worker is told.
    """

    __slots__ = ("_cpus", "_pid", "awake", "cpu", "flag", "patience_ns")

    def __init__(
        self, pid: int, cpus: set[int], cpu: int, *, awake: bool = False, moved: bool = True
    ) -> None:
        self._pid = pid
        self._cpus = cpus
        self.cpu = cpu
        self.awake = awake
        self.flag = wire.LIFT_AFFINITY if moved else 0
        self.patience_ns = AWAKE_NS
        if awake:
            self.flag |= wire.STAY_AWAKE
            if moved:  # another CPU, which may be asleep
                self.patience_ns = AWAKE_AT_FIRST_NS

    def let_go(self) -> None:
        """Widen the mask from outside: the worker did not get to it."""
        if self.flag & wire.LIFT_AFFINITY:
            with suppress(OSError):
                os.sched_setaffinity(self._pid, self._cpus)


class Apart:
    """
    Some of *every* CPU, for a worker to wait on (see `crowd`); ``left`` stands for one that has
    been told to wait somewhere, and is not any more.
    """

    __slots__ = ("cpus", "every", "left")

    def __init__(self, cpus: set[int], every: set[int]) -> None:
        self.cpus = cpus
        self.every = every
        self.left: Apart = self if cpus == every else Apart(every, every)

    @property
    def is_kept(self) -> bool:
        return self.left is not self


def way_of(placement: Placement | None) -> Way:
    """In which a call was made that was given this."""
    if placement is None:
        return _FREE
    if not placement.awake:
        return _PLACED
    return _AWAKE if placement.flag & wire.STAY_AWAKE else _WATCHED


def pace_ns(took_ns: int, idle_ns: int) -> int:
    """
    What is compared of a call: what it *took* besides its handler, and how long its instance had
    been *idle* before, as far as that can be the last call's doing.
    """
    return took_ns + min(idle_ns, MOST_PACE_NS)


def step_aside(pid: int) -> None:
    """
    Have *pid*, which is about to be killed, die on another CPU than the caller's. Its end takes a
    millisecond or two, and on the same CPU it would take them before the caller goes on.
    """
    with suppress(OSError):  # it has ended; or there is no other CPU
        os.sched_setaffinity(pid, os.sched_getaffinity(0) - {sched_getcpu()})


class Placer:
    """The policy, one for each runtime."""

    def __init__(self, *, enabled: bool) -> None:
        self._cpus = os.sched_getaffinity(0)
        self._single = [{cpu} for cpu in range(max(self._cpus) + 1)]
        self.elsewhere = {cpu: Apart(self._cpus - {cpu}, self._cpus) for cpu in self._cpus}
        self._apart = False  # are caller and worker on two CPUs, since they were awake?
        self._in_flight = [0] * (max(self._cpus) + 1)
        self._turn = PERIOD - 1 - AT_FIRST
        self._best = self._best_soon = _PLACED
        self._best_asleep = _PLACED  # of those that are open to every call
        self._took: tuple[list[int], ...] = tuple([] for _ in Way)
        self._awake = 0
        self._staying = Placement(0, self._cpus, -1, awake=True, moved=False)  # nobody is moved
        self._watching = Placement(0, self._cpus, -1, awake=True, moved=False)
        self._watching.flag = 0
        self.enabled = enabled and len(self._cpus) > 1

    def borrow(self, pid: int, *, idle_ns: int = NOT_SOON) -> Placement | None:
        """
        Wake the sleeping worker *pid* in the way that is wanted now; None: by just writing to it.

        Args:
            idle_ns: how long ago the call before has ended, if it took less than `QUICK_US` and
                nobody else calls.
        """
        turn = self._turn = (self._turn + 1) % PERIOD
        if turn < _IN_TRIAL:
            if not turn:  # a new trial: what the last one left is stale
                self._forget()
            way = Way(turn // TRIAL)
            if (way is _AWAKE and idle_ns >= BRISK_NS) or (way is _WATCHED and idle_ns >= SOON_NS):
                way = self._best_asleep
        elif idle_ns < BRISK_NS:
            way = self._best
        else:
            way = self._best_soon if idle_ns < SOON_NS else self._best_asleep
        if way is _AWAKE:
            return self._awaken(pid)
        self._apart = False
        if way is _FREE:
            return None
        if way is _WATCHED:
            return self._watch()
        cpu = sched_getcpu()
        try:
            if self._in_flight[cpu]:
                return None
            os.sched_setaffinity(pid, self._single[cpu])
        except (OSError, IndexError):  # it is ending; or the host moved us to another cpuset
            return None
        self._in_flight[cpu] += 1
        return Placement(pid, self._cpus, cpu)

    def _awaken(self, pid: int) -> Placement | None:
        """On one CPU neither would get to see the other awake."""
        if self._awake:
            return None
        placement = self._staying
        if not self._apart:
            with suppress(OSError, KeyError):  # it is ending; or the host moved us
                os.sched_setaffinity(pid, self.elsewhere[sched_getcpu()].cpus)
                self._apart = True
                placement = Placement(pid, self._cpus, -1, awake=True)
        self._awake += 1
        return placement

    def _watch(self) -> Placement | None:
        if self._awake:
            return None
        self._awake += 1
        return self._watching

    def give_back(self, placement: Placement) -> None:
        """The invocation that was woken with it has ended."""
        if placement.awake:
            self._awake -= 1
        else:
            self._in_flight[placement.cpu] -= 1

    def learn(self, placement: Placement | None, pace_ns: int) -> None:
        """The `pace_ns` of a call that has asked; told of the calls of a trial."""
        if not self.in_trial:
            return
        took = self._took[way_of(placement)]
        if len(took) < TRIAL:
            took.append(pace_ns)
            self._decide()

    def _decide(self) -> None:
        """By the trial so far: of each way that enough calls were made."""
        medians = {
            way: sorted(took)[len(took) // 2]
            for way, took in zip(Way, self._took, strict=True)
            if len(took) >= TRIAL - 1
        }
        if _PLACED in medians and _FREE in medians:
            placed = medians[_PLACED] < medians[_FREE]
            self._best_asleep = _PLACED if placed else _FREE
            self._best = min(medians, key=lambda way: (medians[way], way == _PLACED))
            medians.pop(_AWAKE, None)
            self._best_soon = min(medians, key=lambda way: (medians[way], way == _PLACED))

    def _forget(self) -> None:
        for took in self._took:
            took.clear()
        self._best = self._best_soon = self._best_asleep  # until it has been tried again

    @property
    def in_trial(self) -> bool:
        return self.enabled and self._turn < _IN_TRIAL
