"""
The instances of one function, as registered once, as its callers and the supervisor see them.

Decide under the lock, act outside it. One lock, held for a few list operations. A caller gets, in
this order: the idle instance used last; leave to start one, while fewer than ``max_instances``
serve; a place in a bounded queue. What is given to a waiter is his: if he has gone meanwhile, it
goes to the next. Each grant is given back by exactly one call: an instance by `release`, `lost` or
`abandon`; leave to start one by `cancel_start`, `failed_start` or `discard_start`, or, once it is
`started`, as an instance.

The state is in `roster`. Who comes up is in `nursery`, who goes in `undertaker`, the zygote in
`keeper`. `lease_idle` and `release` are on every call's way: they are written out here, whole.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from fc_worker import messages as m, wire
from fc_worker.messages import WorkerConfig

from fc_runtime.credentials import Credentials
from fc_runtime.dispatch.call import ROOMY_NS
from fc_runtime.dispatch.crowd import Crowd
from fc_runtime.errors import OverloadedError
from fc_runtime.function import Function
from fc_runtime.outcome import Result
from fc_runtime.pool import nursery, undertaker
from fc_runtime.pool.grants import Counts, Grant, Leave, Waiter
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.keeper import ZygoteKeeper
from fc_runtime.pool.lifecycle import LEASE, RELEASE, State, Trigger
from fc_runtime.pool.policy import RecyclePolicy, limits_of, longest_call_s
from fc_runtime.pool.request import fixed_headers
from fc_runtime.pool.roster import Roster

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

W = TypeVar("W", bound=Waiter)
REQUEST_ID_BYTES: Final = 32  # of those made up by `Core.new_request_id`


class Pool:
    def __init__(self, function: Function, config: WorkerConfig, core: "Core") -> None:
        self.function = function
        self.name = function.key
        self.core = core
        self.limits = limits_of(function)
        self.memory_bytes = self.limits.memory_bytes
        self.timeout_ns = int(function.timeout * 1e9)
        # For the warm path: the headers of a call that has nothing of its own but its id.
        self.freezes = function.pre_freeze is not None
        self.plain = (
            not callable(function.credentials) and self.timeout_ns > ROOMY_NS and not self.freezes
        )
        static = function.credentials if isinstance(function.credentials, Credentials) else None
        self.fixed_headers = fixed_headers(static, self.timeout_ns)
        self.packed_headers = wire.around(m.REQUEST_ID, REQUEST_ID_BYTES, self.fixed_headers)
        self.counts = Counts()
        self.roster = Roster(function)
        self.keeper = ZygoteKeeper(function, config, self.roster, core)
        self.crowd = Crowd(core.placer, function.max_instances)
        self._wears_out = function.max_invocations is not None
        self._recycle = RecyclePolicy(function.max_invocations)

    @property
    def longest_call_s(self) -> float:  # its start and the hooks after it included
        return longest_call_s(self.function)

    # -- an instance, and back -----------------------------------------------------------------

    def lease(self, make_waiter: Callable[[], W]) -> Grant | W:
        """
        An instance, or leave, at once; or a waiter that will be given one.

        Raises OverloadedError when the queue is full. Costs one lock when an instance is idle.
        """
        while (instance := self.lease_idle(late_writers=True)) is not None:
            if not instance.may_write_late or not instance.channel.wait_readable(0):
                return instance
            self.abandon(instance)  # a thread of its handler has closed the pipe, or written to it
        roster = self.roster
        waiter = None
        try:
            with roster.lock:
                if roster.end is not None:
                    return roster.end
                failure = roster.setbacks.known_failure(time.monotonic_ns())
                if failure is not None and not roster.idle:
                    return failure
                if (
                    roster.serving >= roster.max_instances
                    and len(roster.waiters) >= self.core.max_queue
                ):
                    self.counts.refused += 1
                    raise OverloadedError(
                        f"{self.name}: {roster.serving} invocations running and "
                        f"{len(roster.waiters)} waiting; raise max_instances or max_queue, or retry"
                    )
                waiter = make_waiter()
                roster.waiters.append(waiter)
                roster.hand_out()
                return waiter
        except BaseException:  # Ctrl-C: nobody would take what this one is given
            if waiter is not None:
                self.withdraw(waiter)
            raise

    def lease_idle(self, late_writers: bool = False) -> Instance | None:
        """
        As `lease`, if one is idle; else None, and nothing has changed. One that may have written
        to its log since its last answer counts only with *late_writers*.
        """
        roster = self.roster
        instance = None
        try:
            with roster.lock:
                idle = roster.idle
                if not idle or roster.waiters or roster.serving >= roster.max_instances:
                    return None
                if idle[-1].may_write_late and not late_writers:
                    return None
                instance = idle[-1]
                instance.advance(LEASE)  # no call from here on, so no Ctrl-C, until it is counted
                del idle[-1]
                roster.serving += 1
                if not idle and not roster.top_up_planned:
                    nursery.plan_top_up(self, nursery.HEAD_START_S)
                return instance
        except BaseException:  # Ctrl-C: nobody would ever give it back
            if instance is not None:
                self.abandon(instance)
            raise

    def withdraw(self, waiter: Waiter) -> None:
        """He gives up waiting; what he was given all the same goes back. Safe to call twice."""
        with self.roster.lock:
            if waiter in self.roster.waiters:
                self.roster.waiters.remove(waiter)
            grant, waiter.grant = waiter.grant, None
        if grant is Leave.START:
            self.cancel_start()
        elif isinstance(grant, Instance):
            if waiter.errand is None:
                self.release(grant)
            else:  # somebody may be writing to it right now
                self.core.supervisor.aside(partial(self._take_back, waiter, grant))

    def _take_back(self, waiter: Waiter, instance: Instance) -> None:
        if waiter.wait_until_begun():
            self._end_abandoned(instance)
        else:
            self.release(instance)

    def release(self, instance: Instance, why_stop: str | None = None) -> None:
        """
        The caller is done with it: back on the stack, unless there is a reason not to; or to
        whoever is next in the queue, with his event in it if that is a plain one.
        """
        roster = self.roster
        now = time.monotonic_ns()
        successor = None
        try:
            with roster.lock:
                roster.used_ns = now
                reason = why_stop
                if reason is None and (
                    roster.end or self._wears_out or instance.zygote.gone or instance.exit
                ):
                    reason = self._why_not_keep(instance)
                if reason is None:
                    setbacks = roster.setbacks
                    if setbacks.in_a_row and instance.born_ns > setbacks.last_ns:
                        setbacks.in_a_row = 0
                    if roster.waiters:
                        successor = roster.successor(instance)
                    if successor is None:
                        instance.advance(RELEASE)
                        roster.serving -= 1
                        instance.idle_since_ns = now
                        instance.errand = None
                        roster.idle.append(instance)
                        if roster.waiters:
                            roster.hand_out()
                        if not roster.expiry_planned:
                            undertaker.plan_expiry(self)
                        return
                else:
                    instance.advance(Trigger.STOP)
                    roster.serving -= 1
                    roster.hand_out()
                    nursery.plan_top_up(self)
                    roster.changed.notify_all()
        finally:
            if successor is not None:
                try:
                    successor.begin(instance)
                finally:
                    successor.wake()
        if reason is not None:
            undertaker.dismiss(instance, reason)

    def _why_not_keep(self, instance: Instance) -> str | None:
        if instance.exit is not None:  # killed since its answer, which was heard while it served
            return undertaker.DIED
        if self.roster.end is not None:
            return undertaker.STOP_REASONS[self.roster.end]
        if instance.zygote.gone:
            return "orphaned"
        return self._recycle.reason(instance.invocations)

    def abandon(self, instance: Instance) -> None:
        """Its caller left in the middle of a call, wherever that was; see `Supervisor.soon`."""
        if instance.state is State.LEASED:
            soon, run = self.core.supervisor.soon, self.core.supervisor.endings.threads.run
            soon(partial(run, partial(self._end_abandoned, instance)))

    def _end_abandoned(self, instance: Instance) -> None:
        self.core.supervisor.endings.end(instance, "abandoned")
        self.lost(instance)

    def lost(self, instance: Instance) -> None:
        """Its caller found it dead, or has ended it."""
        roster = self.roster
        with roster.lock:
            roster.serving -= 1
            roster.used_ns = time.monotonic_ns()
            instance.advance(Trigger.STOP)
            roster.hand_out()
            roster.note_dying(instance)
            nursery.plan_top_up(self)
            roster.changed.notify_all()
        undertaker.let_go(instance)

    # -- leave to start one, and what came of it -----------------------------------------------

    def started(self, instance: Instance) -> None:
        """It said READY to the caller who started it: now he holds it. Twice is once."""
        with self.roster.lock:
            if instance.state is State.STARTING:  # else Ctrl-C came right after it
                instance.advance(Trigger.READY_AND_HELD)
            self.roster.setbacks.note_start()

    def cancel_start(self, failure: Result | None = None) -> None:
        """The place kept for a start is free again; *failure* is why none came of it."""
        roster = self.roster
        with roster.lock:
            roster.serving -= 1
            if failure is not None:
                roster.setbacks.note_failure(failure, time.monotonic_ns())
            roster.hand_out()
            roster.changed.notify_all()
        undertaker.leave_if_empty(self)

    def failed_start(self, instance: Instance, failure: Result | None, *, served: bool) -> None:
        """
        As `cancel_start`, for an instance that has been begun. Its tree has been ended.
        Not *served*: it was warmed up in nobody's time, so there is no place to free.
        """
        with self.roster.lock:
            if instance.state is not State.STOPPING:
                instance.advance(Trigger.STOP)
        if served:
            self.cancel_start(failure)
        undertaker.bury(instance)

    def discard_start(self, instance: Instance) -> None:
        """One was started for a caller who has left meanwhile."""

        def end() -> None:
            self.core.supervisor.endings.end(instance, "abandoned")
            self.failed_start(instance, None, served=True)

        self.core.supervisor.aside(end)

    # -- the end -------------------------------------------------------------------------------

    def close(self, end: Leave) -> None:
        """No more leases; idle ones go, serving ones when they are released."""
        roster = self.roster
        with roster.lock:
            if roster.end is not None and end is not Leave.CLOSED:
                return
            roster.end = end
            leaving, roster.idle = roster.idle, []
            for instance in leaving:
                instance.advance(Trigger.STOP)
            roster.hand_out()
            roster.changed.notify_all()
        for instance in leaving:
            undertaker.dismiss(instance, undertaker.STOP_REASONS[end])
        undertaker.leave_if_empty(self)

    def forget(self) -> None:
        """In a forked child of the host: close the child's copies of our descriptors."""
        for instance in self.roster.live:
            instance.forget()
        self.keeper.forget()
