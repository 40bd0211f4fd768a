"""
Where workers run while callers queue for them: apart from the callers, where that is quicker.

The callers of one process run Python one at a time, so between them they fill one CPU. A worker
that is woken there takes it from them, and the scheduler often leaves it so: half of the calls are
made that could be, for seconds on end. So workers whose handlers are quick are kept off the CPU
that the callers are seen on most. The first event of a caller from the queue finds its worker's
affinity narrowed, and its frame says so: `wire.KEEP_APART`. From then on the worker narrows it by
itself once it has answered, and widens it before the next handler runs, in its own time and not the
callers'. The handler, and what it starts, always sees all CPUs.

It does not always pay. With one instance the worker is what everybody waits for, so there it is not
done; and where functions that take longer run too, or on a busy host, the other CPUs may have less
to give. So now and then two and a half thousand calls are made the other way, and it is left to the
scheduler until the next trial where that was clearly quicker. Clearly, as workers that were kept
apart stay so for a while by themselves: the two look alike where it pays most.
"""

import os
import statistics
import time
from collections import deque
from contextlib import suppress
from typing import Final

from fc_worker import wire

from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.placement import Apart, Placer, sched_getcpu

STEP: Final = 256  # calls: as long as nothing changes
SEEN_EVERY: Final = 4  # calls
TRIAL: Final = 10  # steps
SETTLE: Final = 4  # of which so many do not count: the scheduler takes its time
FIRST_TRIAL: Final = 8  # steps before it
SHORTEST: Final = 64  # steps from trial to trial
LONGEST: Final = 512  # twice as many each time that it was found to pay still
CLEARLY: Final = 1.25


class Crowd:
    """
    The policy, one for each pool. Callers ask it from their threads without a lock: what they may
    lose to each other is a count.

    Args:
        placer: how single calls are placed, if they are.
        most: instances at a time.
    """

    def __init__(self, placer: Placer, most: int) -> None:
        self.enabled = placer.enabled and most > 1
        self._elsewhere = placer.elsewhere
        self._seen: dict[int, int] = {}
        self._calls = 0
        self._began_ns = 0
        self._period = SHORTEST
        self._step = SHORTEST - FIRST_TRIAL
        self._tried: list[int] = []  # ns that steps took
        self._stood: deque[int] = deque(maxlen=TRIAL - SETTLE)
        self.pays = True
        self._home = min(self._elsewhere)
        self._apart: Apart | None = self._elsewhere[self._home]

    def part(self, channel: Channel) -> int:
        """
        Called for a caller from the queue, before his event is written: the flags for its frame.
        Only for handlers that take a few microseconds: longer ones want all CPUs.
        """
        self._calls += 1
        if not self._calls % SEEN_EVERY:
            cpu = sched_getcpu()
            self._seen[cpu] = self._seen.get(cpu, 0) + 1
            if self._calls >= STEP:
                self._end_step()
        apart, had = self._apart, channel.apart
        if apart is None:
            return 0
        if had is apart:
            return wire.KEEP_APART
        pid = channel.pid
        if pid is None:  # its zygote has not told yet
            return 0
        if had is not None and had.is_kept:
            # It may be about to go back there, later than it would be lent another: not this time.
            channel.apart = had.left
            return 0
        try:
            os.sched_setaffinity(pid, apart.cpus)
        except OSError:  # it is ending; or the host was moved to another cpuset
            return 0
        channel.apart = apart
        return wire.KEEP_APART | wire.LIFT_AFFINITY

    def _end_step(self) -> None:
        self._calls = 0
        now = time.monotonic_ns()
        took_ns, self._began_ns = now - self._began_ns, now
        if self._step >= TRIAL:
            self._stood.append(took_ns)
        elif self._step >= SETTLE:
            self._tried.append(took_ns)
        self._step += 1
        if self._step == TRIAL and self._tried:  # another caller may have been here just now
            self._decide()
        elif self._step >= self._period:
            self._step = 0
        seen, self._seen = self._seen, {}
        self._home = max(seen, key=seen.__getitem__, default=self._home)
        wanted = self.pays != (self._step < TRIAL)
        self._apart = self._elsewhere.get(self._home) if wanted else None

    def _decide(self) -> None:
        """Between what was just tried and what had stood right before."""
        stood_ns, tried_ns = statistics.median(self._stood), statistics.median(self._tried)
        self._tried.clear()
        apart_ns, free_ns = (stood_ns, tried_ns) if self.pays else (tried_ns, stood_ns)
        pays = apart_ns < free_ns * CLEARLY
        self._period = min(2 * self._period, LONGEST) if pays and self.pays else SHORTEST
        self.pays = pays


def let_go(channel: Channel) -> None:
    """Widen its mask from outside: the worker may not have got to it."""
    apart = channel.apart
    if apart is not None and channel.pid is not None:
        channel.apart = apart.left
        with suppress(OSError):  # it has ended
            os.sched_setaffinity(channel.pid, apart.every)
