"""
Who goes: instances that are told to, or made to, and at last the zygote of a pool that nobody
uses any more.

What is decided under the roster's lock takes an instance off the stack and makes it STOPPING;
from then on it is ended here, outside the lock, and nobody waits for it. Only one that is known
to have ended is buried: another stays `live`, in sight of `Core.close`. Nothing here starts
anything.
"""

import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final

from fc_runtime.pool.grants import Leave
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State, Trigger

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool

LAST_WORDS_S: Final = 1.0  # for an instance told to go, before it is killed
_NOT_TO_BURY: Final = frozenset({State.DEAD, State.LEASED})
DIED: Final = "died"  # by itself, and that has been heard
STOP_REASONS: Final = {Leave.MOVED: "replaced", Leave.CLOSED: "closed"}
IN_GOOD_ORDER: Final = frozenset({"closed", "idle", "replaced", "worn_out"})


def dismiss(instance: Instance, reason: str) -> None:
    """
    End an instance that nobody holds, without waiting for it. One in good order is told to
    go, after its `pre_stop`; one that left something behind, or is not trusted, is killed with
    its tree. Of one that has died there is nothing to end.
    """
    if reason == DIED:
        bury(instance)
        return
    core = instance.pool.core
    instance.stop_reason = reason
    if reason in IN_GOOD_ORDER:
        function = instance.pool.function
        if function.pre_stop is None or not core.hooks.before_stop(instance, _send_off):
            _send_off(instance, True)
    else:
        core.supervisor.aside(partial(kill, instance, reason))


def _send_off(instance: Instance, well: bool) -> None:
    """Tell it to go; make it go, if it is not *well* enough to hear that."""
    supervisor = instance.pool.core.supervisor
    if not well:
        supervisor.aside(partial(kill, instance, instance.stop_reason))
        return
    instance.channel.hang_up()
    supervisor.after(LAST_WORDS_S, partial(_insist, instance))
    if instance.exited.is_set():
        bury(instance)


def kill(instance: Instance, reason: str) -> None:
    """End it with its tree, and wait for that. On an `endings` thread."""
    instance.pool.core.supervisor.endings.end(instance, reason)
    bury(instance)


def let_go(instance: Instance) -> None:
    """Of one whose caller has found it dead, or has ended it."""
    if instance.exit is None and instance.zygote.gone:  # nobody would tell of its end
        instance.pool.core.supervisor.endings.threads.run(partial(kill, instance, "orphaned"))
    else:
        bury(instance)


def bury(instance: Instance) -> None:
    """Let go of one that has ended; one that has not, as far as we know, is kept in sight."""
    pool = instance.pool
    roster = pool.roster
    with roster.lock:
        if instance.exit is None or instance.held or instance.state in _NOT_TO_BURY:
            return
        instance.advance(Trigger.EXITED)
        roster.dying.discard(instance)
    endings = pool.core.supervisor.endings
    try:
        endings.dispose(instance)
    finally:  # not before: a pool that is empty has no descriptor open
        with roster.lock:
            roster.live.discard(instance)
            plan_expiry(pool)
            roster.changed.notify_all()
    endings.tell(instance)  # after that: whoever hears of it may close the runtime
    leave_if_empty(pool)


def plan_expiry(pool: "Pool") -> None:
    """Under the lock: look again when the next one will have been idle for too long."""
    roster = pool.roster
    if roster.expiry_planned or roster.end is not None:
        return
    now = time.monotonic_ns()
    if roster.idle:
        since_ns = min(instance.idle_since_ns for instance in roster.idle)
    elif pool.keeper.has_one and roster.is_deserted():
        since_ns = now  # a zygote that nobody came out of alive is not kept for good either
    else:
        return
    reference = weakref.ref(pool)  # the timer must not outlive a replaced pool

    def expire_if_there() -> None:
        there = reference()
        if there is not None:
            _expire(there)

    pool.core.supervisor.after((since_ns + roster.scaling.idle_ns - now) / 1e9, expire_if_there)
    roster.expiry_planned = True


def leave_if_empty(pool: "Pool") -> None:
    """The last one turns off the light: in a closed pool, and in one that is out of use."""
    roster = pool.roster
    if roster.live or not (roster.asleep or roster.end is not None):
        return
    if pool.keeper.hang_up_if_deserted() and roster.end is not None:
        pool.core.drop(pool)


def _insist(instance: Instance) -> None:
    if not instance.disposed:
        reason = instance.stop_reason or "closed"
        instance.pool.core.supervisor.endings.threads.run(partial(kill, instance, reason))


def _expire(pool: "Pool") -> None:
    """On the supervisor's thread: retire who has been idle for too long."""
    roster = pool.roster
    scaling = roster.scaling
    with roster.lock:
        roster.expiry_planned = False
        now = time.monotonic_ns()
        warm = roster.is_in_use(now)
        oldest_first = sorted(roster.idle, key=lambda instance: instance.idle_since_ns)
        surplus = scaling.surplus(
            [instance.idle_since_ns for instance in oldest_first], roster.serving, now, warm=warm
        )
        leaving = oldest_first[:surplus]
        for instance in leaving:
            roster.idle.remove(instance)
            instance.advance(Trigger.STOP)
        for instance in roster.idle:
            if instance.idle_since_ns + scaling.idle_ns <= now:
                instance.idle_since_ns = now  # kept on purpose: look again in a while
        roster.asleep = not (roster.idle or roster.serving or roster.warming)
        if not roster.asleep:
            plan_expiry(pool)
    for instance in leaving:
        dismiss(instance, "idle")
    leave_if_empty(pool)
