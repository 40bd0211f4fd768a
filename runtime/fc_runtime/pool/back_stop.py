"""
The deadline of a caller who does not look.

Whoever waits for a call is its watchdog (D7), and one on an event loop looks only while that loop
runs: not while something blocks it, and never again once it is stopped. So a call from a loop notes
on its channel until when it has to be over, and a second later somebody else looks: an instance
that still has said nothing is ended with all it started. One that has, which may have been its
answer, or only that it is ready, is given a minute. What its caller is told, if he comes back, is
the answer if it was there, else the deadline.

It costs a call two stores. The look is one for a pool, planned by a call that finds none planned,
so an idle runtime has none; a call with a shorter deadline than its function's waits for it.
"""

import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final

from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool

GRACE_S: Final = 1.0  # who looks by himself is never as late as that
PATIENCE_S: Final = 60.0
_UNDER_WAY: Final = frozenset({State.STARTING, State.LEASED})


def plan(pool: "Pool", in_s: float | None = None) -> None:
    """
    Called once a deadline has been noted, unless ``back_stop_planned`` of the roster says it is.

    Args:
        in_s: when to look; None: when a call that begins now is late.
    """
    pool.roster.back_stop_planned = True
    reference = weakref.ref(pool)  # the timer must not outlive a replaced pool

    def look_if_there() -> None:
        there = reference()
        if there is not None:
            _look(there)

    late_s = pool.timeout_ns / 1e9 + GRACE_S
    pool.core.supervisor.after(late_s if in_s is None else in_s, look_if_there)


def _look(pool: "Pool") -> None:
    """On the supervisor's thread."""
    roster = pool.roster
    roster.back_stop_planned = False  # before the look: who notes a deadline from now on, plans
    now = time.monotonic_ns()
    left: list[float] = []
    with roster.lock:
        live = list(roster.live)
    for instance in live:
        due_ns = instance.channel.due_ns
        if not due_ns or instance.doomed_ns or instance.state not in _UNDER_WAY:
            continue
        left_s = (due_ns - now) / 1e9 + GRACE_S
        if left_s > 0:
            left.append(left_s)
        elif left_s > -PATIENCE_S and instance.channel.has_said_something():
            left.append(GRACE_S)
        else:
            pool.core.supervisor.endings.threads.run(partial(_end, instance, due_ns))
    if left and not roster.back_stop_planned:
        plan(pool, min(left))


def _end(instance: Instance, due_ns: int) -> None:
    """On a thread: a tree takes its time."""
    if instance.channel.due_ns == due_ns and not instance.doomed_ns:  # else he has come back
        instance.pool.core.supervisor.endings.doom(instance, due_ns)
