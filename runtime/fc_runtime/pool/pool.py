"""
The instances of one function, as registered once: who is idle, who serves, who waits.

Decide under the lock, act outside it. One lock, held for a few list operations. A caller gets, in
this order: the idle instance used last; leave to start one, while fewer than ``max_instances``
serve; a place in a bounded queue. What is given to a waiter is his: if he has gone meanwhile, it
goes to the next.

Standbys, recycling and retiring are done by others than the caller: `background` threads start
instances, the supervisor keeps the time.
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from fc_runtime.credentials import Credentials
from fc_runtime.dispatch.call import ROOMY_NS
from fc_runtime.errors import InvalidFunctionError, OverloadedError, RuntimeClosedError
from fc_runtime.function import Function
from fc_runtime.outcome import Crashed, InitializationFailed, Outcome, Result
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State, Trigger
from fc_runtime.pool.policy import STANDBY, RecyclePolicy, RestartPolicy, ScalingPolicy
from fc_runtime.pool.zygote import Zygote
from fc_worker import messages as m, wire
from fc_worker.messages import WorkerConfig

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

REQUEST_ID_BYTES: Final = 32  # of those made up by `Core.new_request_id`
TRIES: Final = 3  # to have instances up that die as soon as they are
LAST_WORDS_S: Final = 1.0  # for an instance told to go, before it is killed


class Leave(Enum):
    """What a caller may be given instead of an instance."""

    START = auto()  # start one yourself: a place is kept for you
    MOVED = auto()  # the function was registered anew: ask its new pool
    CLOSED = auto()


Grant: TypeAlias = Instance | Leave | Result  # a Result: why no instance would start


class Waiter(Protocol):
    """A caller in the queue. Touched only under the pool's lock."""

    grant: Grant | None

    def offer(self, grant: Grant) -> bool:
        """Take it; False if the caller has given up."""
        ...


@dataclass(slots=True)
class Counts:
    """What `Runtime.stats` tells of one function, since it was registered."""

    invocations: int = 0
    cold_starts: int = 0
    refused: int = 0
    late_bytes: int = 0  # written between two invocations, by threads of the handler
    outcomes: dict[type, int] = field(default_factory=dict)

    def add(self, outcome: Outcome, *, cold: bool) -> None:
        self.invocations += 1
        self.cold_starts += cold
        self.outcomes[type(outcome)] = self.outcomes.get(type(outcome), 0) + 1


class Pool:
    def __init__(self, function: Function, config: WorkerConfig, core: "Core") -> None:
        self.function = function
        self.config = config
        self.memory_bytes = function.memory_mb * 1024 * 1024
        self.timeout_ns = int(function.timeout * 1e9)
        # For the warm path: the headers of a call that has nothing of its own but its id.
        self.plain = not callable(function.credentials) and self.timeout_ns > ROOMY_NS
        static = function.credentials if isinstance(function.credentials, Credentials) else None
        self.fixed_headers = fixed_headers(static, self.timeout_ns)
        self.packed_headers = wire.around(m.REQUEST_ID, REQUEST_ID_BYTES, self.fixed_headers)
        self.counts = Counts()
        self._core = core
        self._supervisor = core.supervisor
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._idle: list[Instance] = []
        self._live: set[Instance] = set()
        self._serving = 0  # leased, or being started by their caller
        self._warming = 0
        self._waiters: deque[Waiter] = deque()
        self._zygote: Zygote | None = None
        self._zygote_lock = threading.Lock()
        self._end: Leave | None = None
        self._failures = 0
        self._failure: Result | None = None
        self._trouble: Result | Exception | None = None  # of the last start that went wrong
        self._troubles = 0
        self._retry_at_ns = 0
        self._used_ns = 0
        self._expiry_planned = False
        self._asleep = False
        self._top_up_planned = False
        self._wears_out = function.max_invocations is not None
        self._recycle = RecyclePolicy(function.max_invocations)
        self._restart = RestartPolicy()
        self._scaling = ScalingPolicy(function.min_instances, int(function.idle_timeout * 1e9))

    # -- lease and release ---------------------------------------------------------------------

    def lease(self, make_waiter: Callable[[], Waiter]) -> Grant | Waiter:
        """
        An instance, or leave, at once; or a waiter that will be given one.

        Raises OverloadedError when the queue is full. Costs one lock when an instance is idle.
        """
        instance = self.lease_idle(late_writers=True)
        if instance is not None:
            return instance
        waiter = None
        try:
            with self._lock:
                if self._end is not None:
                    return self._end
                failure = self._known_failure()
                if failure is not None and not self._idle:
                    return failure
                if (
                    self._serving >= self.function.max_instances
                    and len(self._waiters) >= self._core.max_queue
                ):
                    self.counts.refused += 1
                    raise OverloadedError(
                        f"{self.function.name}: {self._serving} invocations running and "
                        f"{len(self._waiters)} waiting; raise max_instances or max_queue, or retry"
                    )
                waiter = make_waiter()
                self._waiters.append(waiter)
                self._hand_out()
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
        instance = None
        try:
            with self._lock:
                if not self._idle or self._waiters or self._serving >= self.function.max_instances:
                    return None
                if self._idle[-1].may_write_late and not late_writers:
                    return None
                instance = self._idle.pop()
                instance.advance(Trigger.LEASE)
                self._serving += 1
                if not self._idle and not self._top_up_planned:
                    self._plan_top_up()
                return instance
        except BaseException:  # Ctrl-C: nobody would ever give it back
            if instance is not None:
                self.abandon(instance)
            raise

    def withdraw(self, waiter: Waiter) -> None:
        """The caller gives up waiting; what he has been given all the same goes back."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            grant = waiter.grant
        if isinstance(grant, Instance):
            self.release(grant)
        elif grant is Leave.START:
            self.cancel_start()

    def release(self, instance: Instance, why_stop: str | None = None) -> None:
        """The caller is done with it: back on the stack, unless there is a reason not to."""
        now = time.monotonic_ns()
        with self._lock:
            self._serving -= 1
            self._used_ns = now
            reason = why_stop
            if reason is None and (self._end or self._wears_out or instance.zygote.gone):
                reason = self._why_not_keep(instance)
            if reason is None:
                instance.advance(Trigger.RELEASE)
                instance.idle_since_ns = now
                self._idle.append(instance)
                self._failures = 0
                if self._waiters:
                    self._hand_out()
                if not self._expiry_planned:
                    self._plan_expiry()
                if self._end is not None:
                    self._changed.notify_all()
                return
            instance.advance(Trigger.STOP)
            self._hand_out()
            self._plan_top_up()
            self._changed.notify_all()
        self.dismiss(instance, reason)

    def cancel_start(self, failure: Result | None = None) -> None:
        """The place kept for a start is free again; *failure* is why none came of it."""
        with self._lock:
            self._serving -= 1
            self._note_failure(failure)
            self._hand_out()
            self._changed.notify_all()
        self._leave_if_empty()

    def failed_start(self, instance: Instance, failure: Result | None, *, served: bool) -> None:
        """
        As `cancel_start`, for an instance that has been begun. Its tree has been ended.
        Not *served*: it was warmed up in nobody's time, so there is no place to free.
        """
        with self._lock:
            if instance.state is not State.STOPPING:
                instance.advance(Trigger.STOP)
        if served:
            self.cancel_start(failure)
        self._bury(instance)

    def discard_start(self, instance: Instance) -> None:
        """One was started for a caller who has left meanwhile."""

        def end() -> None:
            self._supervisor.end(instance, "abandoned")
            self.failed_start(instance, None, served=True)

        self._supervisor.background.run(end)

    def abandon(self, instance: Instance) -> None:
        """Its caller left in the middle of a call."""

        def end() -> None:
            self._supervisor.end(instance, "abandoned")
            self.lost(instance)

        if instance.state is State.LEASED:
            self._supervisor.background.run(end)

    def started(self, instance: Instance) -> None:
        """It said READY to the caller who started it: now he holds it."""
        with self._lock:
            instance.advance(Trigger.READY)
            instance.advance(Trigger.LEASE)
            self._failures = 0
            self._failure = None

    def lost(self, instance: Instance) -> None:
        """Its caller found it dead, or has ended it."""
        with self._lock:
            self._serving -= 1
            self._used_ns = time.monotonic_ns()
            instance.advance(Trigger.STOP)
            self._hand_out()
            self._plan_top_up()
            self._changed.notify_all()
        self._bury(instance)

    # -- under the lock ------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give what there is to those who wait, in their order."""
        while self._waiters:
            grant: Grant
            if self._end is not None:
                grant = self._end
            elif self._serving >= self.function.max_instances:
                return
            elif self._idle:
                grant = self._idle[-1]
            elif (failure := self._known_failure()) is not None:
                grant = failure
            elif len(self._waiters) > self._warming:
                grant = Leave.START
            else:
                return  # one is coming up for each of them
            if not self._waiters.popleft().offer(grant):
                continue
            if isinstance(grant, Instance):
                self._idle.pop()
                grant.advance(Trigger.LEASE)
                self._serving += 1
            elif grant is Leave.START:
                self._serving += 1

    def _why_not_keep(self, instance: Instance) -> str | None:
        if self._end is not None:
            return "replaced" if self._end is Leave.MOVED else "closed"
        if instance.zygote.gone:
            return "orphaned"
        return self._recycle.reason(instance.invocations)

    def _known_failure(self) -> Result | None:
        """Why an instance would not start, as long as it is too early to try again."""
        if self._failure is not None and time.monotonic_ns() < self._retry_at_ns:
            return self._failure
        return None

    def _note_failure(self, failure: Result | None) -> None:
        if failure is None or not isinstance(failure.outcome, InitializationFailed):
            return
        now = time.monotonic_ns()
        burst = now < self._retry_at_ns  # begun together with one that failed: counts once
        self._failures += not burst
        cause = failure.outcome.cause
        if isinstance(cause, Crashed) and cause.signal is not None and self._failures == 1:
            return  # killed from outside, it may be: no reason to refuse other callers
        self._failure = failure
        if not burst:
            delay_s = self._restart.delay_s(self._failures)
            self._retry_at_ns = now + int(delay_s * 1e9)

    def _missing(self) -> int:
        """How many instances should be started now."""
        if self._end is not None:
            return 0
        warm = time.monotonic_ns() - self._used_ns < self._scaling.idle_ns and self._used_ns > 0
        wanted = self._scaling.wanted_idle(self._serving, warm=warm)
        ready = len(self._idle) + self._warming
        room = self.function.max_instances + STANDBY - self._serving - ready
        return max(0, min(wanted - ready, room))

    def _plan_top_up(self) -> None:
        if not self._top_up_planned and self._missing() > 0:
            self._top_up_planned = True
            # By way of the supervisor: a caller, under the lock, has no time to start a thread.
            self._supervisor.after(self._restart.delay_s(self._failures), self._top_up)

    def _plan_expiry(self) -> None:
        if self._expiry_planned or self._end is not None:
            return
        now = time.monotonic_ns()
        if self._idle:
            since_ns = min(instance.idle_since_ns for instance in self._idle)
        elif self._zygote is not None and not (self._live or self._serving or self._warming):
            since_ns = now  # a zygote that nobody came out of alive is not kept for good either
        else:
            return
        self._expiry_planned = True
        expire = weakref.WeakMethod(self._expire)  # the timer must not outlive a replaced pool

        def expire_if_there() -> None:
            method = expire()
            if method is not None:
                method()

        self._supervisor.after((since_ns + self._scaling.idle_ns - now) / 1e9, expire_if_there)

    # -- starting ------------------------------------------------------------------------------

    def start_instance(self) -> Instance:
        """A new instance, being forked. Raises OverloadedError if the host has no room for it."""
        for _ in range(3):
            zygote = self._running_zygote()
            try:
                instance = Instance(
                    self._core.next_id(), self, zygote, self._core.max_response_bytes
                )
            except (ConnectionResetError, BrokenPipeError):
                zygote.ended.wait(1.0)
                continue  # it has just ended: the next one is fresh
            except OSError as error:
                raise OverloadedError(f"cannot start an instance: {error}") from error
            with self._lock:
                self._live.add(instance)
                self._asleep = False
            return instance
        raise OverloadedError(f"{self.function.name}: its zygote keeps dying")

    def warm(self, count: int, done: Callable[[Result | None], None] | None = None) -> None:
        """Have *count* instances ready; *done* hears for each how it went (None: it is ready)."""
        with self._lock:
            ready = len(self._idle) + self._serving + self._warming
            missing = max(0, min(count, self.function.max_instances + STANDBY) - ready)
            self._warming += missing
        for _ in range(missing):
            self._supervisor.background.run(lambda: self._warm_one(done))

    def wait_until_warm(self, count: int, within_s: float) -> Result | None:
        """
        Until *count* instances are there, or one failed to come up: then why.

        Raises what kept one from being tried: OverloadedError, or what a credentials callable did.
        """
        until = time.monotonic() + within_s
        with self._lock:
            troubles = self._troubles
            if self._known_failure() is not None:
                return self._failure
        for _ in range(TRIES):
            self.warm(count)
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_up(count) or self._end is not None or not self._warming,
                    max(0.0, until - time.monotonic()),
                )
                if self._end is not None:
                    raise RuntimeClosedError(f"{self.function.name} was unregistered meanwhile")
                if self._is_up(count):
                    return None
                trouble = self._trouble if self._troubles > troubles else None
                if isinstance(trouble, Exception):
                    raise trouble
                if trouble is not None:
                    return trouble
                if self._warming:
                    raise OverloadedError(f"not warm within {within_s:g} s")
            # It came up and is gone again.
        raise OverloadedError(f"{self.function.name}: its instances do not stay up")

    def _is_up(self, count: int) -> bool:
        return len(self._idle) + self._serving >= count

    def _top_up(self) -> None:
        with self._lock:
            self._top_up_planned = False
            missing = self._missing()
            self._warming += missing
        for _ in range(missing):
            self._supervisor.background.run(self._warm_one)

    def _warm_one(self, done: Callable[[Result | None], None] | None = None) -> None:
        """On a background thread: start one and put it on the stack."""
        instance = failure = obstacle = None
        try:
            instance, failure = self._core.warm_up(self)
        except Exception as error:  # noqa: BLE001 (no room, or whatever a credentials callable raises)
            obstacle = error
            self._supervisor.log.warning(
                "instance.not_started", function=self.function.name, cause=type(error).__name__
            )
        keep = False
        with self._lock:
            self._warming -= 1
            if instance is not None:
                instance.advance(Trigger.READY)
                keep = self._end is None and not instance.zygote.gone
                if keep:
                    instance.idle_since_ns = time.monotonic_ns()
                    self._idle.insert(0, instance)  # unused ones serve last
                    self._failure = None  # but it counts as a success only once it has served
                else:
                    instance.advance(Trigger.STOP)
            self._note_failure(failure)
            if obstacle is not None:
                self._failures += 1
            if obstacle is not None or failure is not None:
                self._trouble = obstacle or failure
                self._troubles += 1
            self._hand_out()
            self._plan_expiry()
            if instance is None:
                self._plan_top_up()
            self._changed.notify_all()
        if instance is not None and not keep:
            self.dismiss(instance, "closed")
        self._leave_if_empty()
        if done is not None:
            done(failure)

    def _running_zygote(self) -> Zygote:
        with self._zygote_lock:
            zygote = self._zygote
            if zygote is None or zygote.gone:
                if self._end is not None and self._core.closed:
                    raise RuntimeClosedError("this runtime is closed")
                if not Path(self.config.code).is_dir():
                    raise InvalidFunctionError(
                        "code", self.config.code, "the folder has gone since it was registered"
                    )
                zygote = self._zygote = Zygote(self.config)
                self._supervisor.watch(zygote)
                self._supervisor.log.info(
                    "zygote.started", function=self.function.name, pid=zygote.pid
                )
            return zygote

    # -- ending --------------------------------------------------------------------------------

    def dismiss(self, instance: Instance, reason: str) -> None:
        """
        End an instance that nobody holds, without waiting for it. One in good order is told to
        go; one that left something behind, or is not trusted, is killed with its tree.
        """
        instance.stop_reason = reason
        if reason in _IN_GOOD_ORDER:
            instance.channel.hang_up()
            self._supervisor.after(LAST_WORDS_S, lambda: self._insist(instance))
            if instance.exited.is_set():
                self._bury(instance)
        else:
            self._supervisor.background.run(lambda: self.kill(instance, reason))

    def kill(self, instance: Instance, reason: str) -> None:
        self._supervisor.end(instance, reason)
        self._bury(instance)

    def _insist(self, instance: Instance) -> None:
        if not instance.disposed:
            self._supervisor.background.run(
                lambda: self.kill(instance, instance.stop_reason or "closed")
            )

    def on_exit(self, instance: Instance) -> None:
        """The supervisor has heard that it ended."""
        with self._lock:
            state = instance.state
            if state is State.IDLE:
                self._idle.remove(instance)
                instance.advance(Trigger.STOP)
                self._failures += 1  # nobody asked it to
                self._plan_top_up()
                self._changed.notify_all()
        if state in (State.IDLE, State.STOPPING):
            self._bury(instance)

    def on_orphaned(self, instance: Instance) -> None:
        """Its zygote is gone. If it serves it may finish; `release` sees to the rest."""
        with self._lock:
            if instance.state not in (State.IDLE, State.STOPPING):
                return
            if instance.state is State.IDLE:
                self._idle.remove(instance)
                instance.advance(Trigger.STOP)
                self._plan_top_up()
        # Also one that has been told to go: nobody else will hear that it has.
        self._supervisor.background.run(lambda: self.kill(instance, "orphaned"))

    def _bury(self, instance: Instance) -> None:
        """Let go of one that has ended; one that has not, as far as we know, is kept in sight."""
        with self._lock:
            if instance.exit is None or instance.state in (State.DEAD, State.LEASED):
                return
            instance.advance(Trigger.EXITED)
            self._live.discard(instance)
            self._plan_expiry()
            self._changed.notify_all()
        self._supervisor.dispose(instance)
        self._leave_if_empty()

    def _expire(self) -> None:
        """On the supervisor's thread: retire who has been idle for too long."""
        with self._lock:
            self._expiry_planned = False
            now = time.monotonic_ns()
            warm = now - self._used_ns < self._scaling.idle_ns
            oldest_first = sorted(self._idle, key=lambda instance: instance.idle_since_ns)
            surplus = self._scaling.surplus(
                [instance.idle_since_ns for instance in oldest_first],
                self._serving,
                now,
                warm=warm,
            )
            leaving = oldest_first[:surplus]
            for instance in leaving:
                self._idle.remove(instance)
                instance.advance(Trigger.STOP)
            for instance in self._idle:
                if instance.idle_since_ns + self._scaling.idle_ns <= now:
                    instance.idle_since_ns = now  # kept on purpose: look again in a while
            self._asleep = not (self._idle or self._serving or self._warming)
            if not self._asleep:
                self._plan_expiry()
        for instance in leaving:
            self.dismiss(instance, "idle")
        self._leave_if_empty()

    def close(self, end: Leave) -> None:
        """No more leases; idle ones go, serving ones when they are released."""
        with self._lock:
            if self._end is not None and end is not Leave.CLOSED:
                return
            self._end = end
            leaving, self._idle = self._idle, []
            for instance in leaving:
                instance.advance(Trigger.STOP)
            self._hand_out()
            self._changed.notify_all()
        for instance in leaving:
            self.dismiss(instance, "replaced" if end is Leave.MOVED else "closed")
        self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        """The last one turns off the light: in a closed pool, and in one that is out of use."""
        if self._live or not (self._asleep or self._end is not None):
            return
        with self._zygote_lock, self._lock:
            if self._live or self._warming or self._serving:
                return  # whoever is about to start one counts as serving, or warming, by now
            zygote, self._zygote = self._zygote, None
            self._asleep = False
        if zygote is not None:
            zygote.hang_up()
        if self._end is not None:
            self._core.drop(self)

    def forget(self) -> None:
        """In a forked child of the host: close the child's copies of our descriptors."""
        for instance in self._live:
            instance.close()
        if self._zygote is not None:
            self._zygote.forget()

    def hang_up_zygote(self) -> None:
        with self._zygote_lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.hang_up()

    @property
    def longest_call_s(self) -> float:
        """What one call may take, its start included."""
        return self.function.initialization_timeout + self.function.timeout

    def wait_until_unused(self, within_s: float) -> bool:
        """Is nobody served any more, within that time?"""
        with self._changed:
            return self._changed.wait_for(lambda: not self._serving, within_s)

    def wait_until_empty(self, within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._live and not self._warming, within_s)

    def live_instances(self) -> list[Instance]:
        with self._lock:
            return list(self._live)

    # -- telling -------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            return {
                "idle": len(self._idle),
                "serving": self._serving,
                "warming": self._warming,
                "processes": len(self._live),
                "waiting": len(self._waiters),
            }


_IN_GOOD_ORDER: Final = frozenset({"closed", "idle", "replaced", "unregistered", "worn_out"})


def fixed_headers(credentials: Credentials | None, timeout_ns: int) -> dict[str, Any]:
    """The headers of an invocation, all but its id."""
    headers: dict[str, Any] = {m.TIMEOUT_NS: timeout_ns}
    if credentials is not None:
        headers[m.CREDENTIALS] = (
            credentials.access_key_id,
            credentials.access_key_secret,
            credentials.security_token,
        )
    return headers
