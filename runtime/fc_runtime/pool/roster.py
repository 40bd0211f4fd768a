"""
Who is idle, who serves, who is coming up, who waits: the state of one pool, under its one lock.

All that is decided from it in one piece is decided while holding `lock`, by whoever needs it
(`pool`, `nursery`, `undertaker`), in a few list operations; acted on it is outside. Nothing here
starts, ends or signals anything.

Invariants: `idle` are the `live` instances in state IDLE, the one used last at the end. `serving`
counts the callers who hold an instance or start one, `warming` the starts in nobody's time; each
place is freed by who took it. Nobody waits while there is something to give. Once `end` is set,
nothing is added to `idle`.
"""

import threading
import time
from collections import deque
from typing import Final

from fc_runtime.function import Function
from fc_runtime.pool.endings import GONE_WITHIN_S
from fc_runtime.pool.grants import Grant, Leave, Waiter
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import LEASE, RELEASE
from fc_runtime.pool.policy import STANDBY, RestartPolicy, ScalingPolicy
from fc_runtime.pool.setbacks import Setbacks

DYING_NS: Final = int(GONE_WITHIN_S * 1e9)  # later it is told of as a survivor, or has been


class Roster:
    __slots__ = (
        "asleep",
        "back_stop_planned",
        "changed",
        "dying",
        "end",
        "expiry_planned",
        "idle",
        "live",
        "lock",
        "max_instances",
        "scaling",
        "serving",
        "setbacks",
        "top_up_planned",
        "used_ns",
        "waiters",
        "warming",
    )

    def __init__(self, function: Function) -> None:
        self.max_instances = function.max_instances
        self.scaling = ScalingPolicy(function.min_instances, int(function.idle_timeout * 1e9))
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.idle: list[Instance] = []
        self.live: set[Instance] = set()  # all that have been begun and are not disposed of
        self.dying: set[Instance] = set()  # killed at a deadline, and not heard to be gone
        self.serving = 0
        self.warming = 0
        self.waiters: deque[Waiter] = deque()
        self.setbacks = Setbacks(RestartPolicy())
        self.end: Leave | None = None  # what callers are told since `Pool.close`
        self.used_ns = 0  # when an instance was last given back
        self.asleep = False  # out of use: its zygote may go once nobody is left
        self.top_up_planned = False
        self.back_stop_planned = False
        self.expiry_planned = False

    # -- under the lock ------------------------------------------------------------------------

    def hand_out(self) -> None:
        """Give what there is to those who wait, in their order."""
        while self.waiters:
            grant: Grant
            if self.end is not None:
                grant = self.end
            elif self.serving >= self.max_instances:
                return
            elif self.idle:
                grant = self.idle[-1]
            elif (failure := self.setbacks.known_failure(time.monotonic_ns())) is not None:
                grant = failure
            elif len(self.waiters) > self.warming:
                grant = Leave.START
            else:
                return  # one is coming up for each of them
            self._give(self.waiters.popleft(), grant)

    def _give(self, waiter: Waiter, grant: Grant) -> None:
        """
        Counted before he is told: he may be awake, and have given it back, at once. If he has given
        up, or cannot be told, it is the next one's.
        """
        serves = grant is Leave.START
        if isinstance(grant, Instance):
            self.idle.pop()
            grant.advance(LEASE)
            serves = True
        self.serving += serves
        try:
            waiter.offer(grant)
        except BaseException:  # Ctrl-C
            if waiter.grant is None:
                self.waiters.appendleft(waiter)
            raise
        finally:
            if waiter.grant is None:
                self.serving -= serves
                if isinstance(grant, Instance):
                    grant.advance(RELEASE)
                    self.idle.append(grant)

    def successor(self, instance: Instance) -> Waiter | None:
        """Who is first in the queue, if he takes *instance* right from whom it has served."""
        waiter = self.waiters[0]
        errand = waiter.errand
        if errand is None or instance.may_write_late or self.serving > self.max_instances:
            return None
        waiter.grant = instance
        instance.errand = errand
        del self.waiters[0]
        return waiter

    def note_dying(self, instance: Instance) -> None:
        """If it was killed at a deadline, and somebody will tell of its end: before any standby."""
        told = instance.exit is None and not instance.zygote.gone
        if instance.doomed_ns and told and self.used_ns - instance.doomed_ns < DYING_NS:
            self.dying.add(instance)

    def missing(self) -> int:
        """How many instances should be started now."""
        if self.end is not None:
            return 0
        warm = self.is_in_use(time.monotonic_ns())
        wanted = self.scaling.wanted_idle(self.serving, warm=warm)
        ready = len(self.idle) + self.warming
        room = self.max_instances + STANDBY - self.serving - ready
        return max(0, min(wanted - ready, room))

    def is_in_use(self, now_ns: int) -> bool:
        """Has it served within the idle time? Then a standby is worth its memory."""
        return self.used_ns > 0 and now_ns - self.used_ns < self.scaling.idle_ns

    def missing_of(self, count: int) -> int:
        """How many to start to have *count* of them, serving ones included."""
        ready = len(self.idle) + self.serving + self.warming
        return max(0, min(count, self.max_instances + STANDBY) - ready)

    def is_up(self, count: int) -> bool:
        return len(self.idle) + self.serving >= count

    def is_deserted(self) -> bool:
        """Is nobody there, and nobody about to come? Who starts one serves, or warms, by now."""
        return not (self.live or self.warming or self.serving)

    def snapshot(self) -> dict[str, int]:
        """As `Runtime.stats` tells it; of one instant only while the lock is held."""
        return {
            "idle": len(self.idle),
            "serving": self.serving,
            "warming": self.warming,
            "processes": len(self.live),
            "waiting": len(self.waiters),
        }

    # -- taking the lock -----------------------------------------------------------------------

    def live_instances(self) -> list[Instance]:
        with self.lock:
            return list(self.live)

    def wait_until_unused(self, within_s: float) -> bool:
        """Is nobody served any more, within that time?"""
        with self.changed:
            return self.changed.wait_for(lambda: not self.serving, within_s)

    def wait_until_empty(self, within_s: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: not self.live and not self.warming, within_s)
