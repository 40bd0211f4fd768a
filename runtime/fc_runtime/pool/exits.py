"""What becomes of a pool's instance when the supervisor has heard that it, or its zygote, ended."""

import time
from functools import partial

from fc_runtime.pool import nursery, undertaker
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State, Trigger


def on_exit(instance: Instance) -> None:
    """The supervisor has heard that it ended, asked to or not."""
    pool = instance.pool
    roster = pool.roster
    with roster.lock:
        state = instance.state
        if state is State.IDLE:
            roster.idle.remove(instance)
            instance.advance(Trigger.STOP)
            roster.setbacks.note_death(time.monotonic_ns())
            nursery.plan_top_up(pool)
            roster.changed.notify_all()
    if state in (State.IDLE, State.STOPPING):
        undertaker.bury(instance)
    if instance.doomed_ns:
        make_up_for(instance)


def on_orphaned(instance: Instance) -> None:
    """Its zygote is gone. If it serves it may finish; `Pool.release` sees to the rest."""
    pool = instance.pool
    roster = pool.roster
    with roster.lock:
        if instance.state not in (State.IDLE, State.STOPPING):
            return
        if instance.state is State.IDLE:
            roster.idle.remove(instance)
            instance.advance(Trigger.STOP)
            nursery.plan_top_up(pool)
    # Also one that has been told to go: nobody else will hear that it has.
    pool.core.supervisor.endings.threads.run(partial(_end_orphaned, instance))


def _end_orphaned(instance: Instance) -> None:
    undertaker.kill(instance, "orphaned")
    make_up_for(instance)


def make_up_for(instance: Instance) -> None:
    """It has had the time that a killed tree is given: another may start in its place."""
    pool = instance.pool
    with pool.roster.lock:
        pool.roster.dying.discard(instance)
        nursery.plan_top_up(pool)
