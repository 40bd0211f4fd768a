"""
Where workers run while callers queue for them: apart from the callers, where that is quicker.

The callers of one process run Python one at a time, so between them they fill one CPU. A worker
that is woken there takes it from them, and the scheduler often leaves it so: half of the calls are
made that could be, for seconds on end. So workers whose handlers are quick are kept off the CPU
that the callers are seen on most. The first event of a caller from the queue finds its worker's
affinity narrowed, and its frame says so: `wire.KEEP_APART`. From then on the worker narrows it by
itself once it has answered, and widens it before the next handler runs, in time that no caller
waits for. The handler, and what it starts, always sees all CPUs.

It does not always pay: with one instance the worker is what everybody waits for, and on a busy host
the other CPUs may have less to give. So now and then a few hundred calls are made each way, and it
is left to the scheduler until the next trial where that was clearly quicker. Clearly, as workers
that were kept apart stay so for a while by themselves: the two look alike where it pays most.
"""

import os
import time
from contextlib import suppress
from typing import Final

from fc_worker import wire

from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.placement import sched_getcpu

STEP: Final = 256  # calls: as long as nothing changes
SEEN_EVERY: Final = 4  # calls
TRIES: Final = 3  # each way, in turn; a pause of the callers spoils one of them
_TRIAL: Final = TRIES * 4  # steps, of which every other one is for settling
FIRST_TRIAL: Final = 8  # steps before it
PERIOD: Final = 256  # steps from trial to trial
CLEARLY: Final = 1.15


class Crowd:
    """
    The policy, one for each runtime. Callers ask it from their threads without a lock: what they
    may lose to each other is a count.
    """

    def __init__(self, *, enabled: bool) -> None:
        cpus = os.sched_getaffinity(0)
        self._cpus = cpus
        self._without = {cpu: cpus - {cpu} for cpu in cpus}
        self._seen: dict[int, int] = {}
        self._calls = 0
        self._step = PERIOD - FIRST_TRIAL
        self._began_ns = 0
        self._took: tuple[list[int], list[int]] = ([], [])  # left to the scheduler, and apart
        self._home = min(cpus)
        self.pays = True
        self._apart: set[int] | None = self._without[self._home]
        self.enabled = enabled and len(cpus) > 1

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
        apart = self._apart
        if apart is None:
            return 0
        if channel.apart is apart:
            return wire.KEEP_APART
        pid = channel.pid
        if pid is None:  # its zygote has not told yet
            return 0
        try:
            os.sched_setaffinity(pid, apart)
        except OSError:  # it is ending; or the host was moved to another cpuset
            return 0
        channel.apart = apart
        return wire.KEEP_APART | wire.LIFT_AFFINITY

    def let_go(self, channel: Channel) -> None:
        """Widen the mask from outside: the worker may not have got to it."""
        channel.apart = None
        if channel.pid is not None:
            with suppress(OSError):
                os.sched_setaffinity(channel.pid, self._cpus)

    def _end_step(self) -> None:
        now = time.monotonic_ns()
        took_ns, self._began_ns = now - self._began_ns, now
        self._calls = 0
        if self._step < _TRIAL and self._step % 2:
            self._took[_is_apart(self._step)].append(took_ns)
        self._step = (self._step + 1) % PERIOD
        if self._step == 0:
            for took in self._took:
                took.clear()
        elif self._step == _TRIAL:
            free_ns, apart_ns = map(min, self._took)
            self.pays = apart_ns < free_ns * CLEARLY
        seen, self._seen = self._seen, {}
        self._home = max(seen, key=seen.__getitem__, default=self._home)
        wanted = self.pays if self._step >= _TRIAL else _is_apart(self._step)
        self._apart = self._without.get(self._home) if wanted else None


def _is_apart(step: int) -> bool:
    """Of the steps of a trial: two this way, two that way."""
    return step // 2 % 2 == 1
