"""
One invocation on one instance, from lease to release: what sync and async callers share.

`begin` makes the bytes and the limits, a driver carries them, `conclude` says what came of it and
gives the instance back, or ends it. `conclude` may take a few milliseconds, for kill and
verification, whenever the ending is not ANSWERED.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fc_worker import messages as m, wire

from fc_runtime.dispatch import settle
from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.exchange import Exchange
from fc_runtime.dispatch.placement import Placement
from fc_runtime.dispatch.watch import Ending, Guarded
from fc_runtime.outcome import RETURNED, Outcome, Result, Usage
from fc_runtime.pool import autopsy
from fc_runtime.pool.instance import Exit, Instance
from fc_runtime.pool.request import Request

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

STARTS: Final = 3  # tries, when a zygote dies under a start
_EVENTS: Final = {ending: f"invocation.{ending.name.lower()}" for ending in Ending}


class Declined(Exception):  # noqa: N818 (not an error: no handler code ran, ask another instance)
    """The instance could not take it, or ended before it began."""


class Serving:
    """Holds *instance* until `conclude` or `abandon`."""

    __slots__ = (
        "_cold",
        "_core",
        "_for_caller",
        "_held",
        "_last_moments",
        "_placement",
        "call",
        "instance",
        "request",
    )

    def __init__(
        self,
        core: "Core",
        request: Request,
        instance: Instance,
        *,
        cold: bool,
        invoke: bool = True,
        invocation: int = 0,
        flags: int = 0,
    ) -> None:
        self._core = core
        self.request = request
        self._cold = cold
        self._for_caller = invoke
        self._held = True
        self._placement: Placement | None = None
        self.instance = instance
        pool = request.pool
        channel = instance.channel
        exchange = Exchange(instance.decoder, invocation or core.next_invocation(), instance.window)
        placement = None
        started_ns = time.monotonic_ns()
        deadline_ns = started_ns + request.timeout_ns
        if cold:
            limit_ns = int(pool.function.initialization_timeout * 1e9)
            told = {**request.headers, m.TIMEOUT_NS: limit_ns, m.INSTANCE: instance.name}
            told.pop(m.HTTP, None)
            exchange.ask_to_initialize(told)
            deadline_ns = started_ns + limit_ns
        elif not invocation:
            if core.placer.enabled and channel.pid is not None:
                self._placement = placement = core.placer.borrow(channel.pid)
                if placement is not None:
                    flags = wire.LIFT_AFFINITY
            if instance.may_write_late:
                pool.counts.late_bytes += len(instance.take_log(cut=False))
        if invoke:
            exchange.ask_to_invoke(request.headers, request.event, flags)
        self._last_moments = autopsy.LastMoments(instance)
        self.call = Call(
            channel,
            exchange,
            Guarded(
                instance.cell,
                pool.memory_bytes,
                pool.limits.processes,
                instance.log_fd,
                pool.function.scratch_mb,
            ),
            started_ns=started_ns,
            deadline_ns=deadline_ns,
            timeout_ns=request.timeout_ns,
            placement=placement,
            ahead=self._last_moments.ahead(),
            in_time=self._last_moments.are_over,
        )

    def resume(
        self,
        started_ns: int,
        placement: Placement | None,
        sent: int,
        data: bytes | None,
    ) -> None:
        """Take over from `warm`: what it has borrowed, sent, and read."""
        self._placement = placement
        self.call.resume(started_ns, placement, sent, data)

    def conclude(self, ending: Ending) -> Result:
        """What came of it. Raises Declined if no handler code ran and another try is due."""
        call = self.call
        if ending is Ending.GONE and self.instance.doomed_ns:
            ending = Ending.TIMED_OUT  # by `back_stop`, while nobody looked
            call.ended_ns = call.deadline_ns
        if ending is not Ending.ANSWERED:
            return self._conclude_failure(ending)
        self.let_go()
        self._last_moments.are_over()
        reply = call.exchange.reply
        if reply is None:
            return self._conclude_start()
        headers = reply.headers
        status = headers[m.STATUS]
        if status == m.STATUS_EXITING:
            return self._conclude_failure(Ending.GONE)
        instance = self.instance
        pool = self.request.pool
        if m.CHILDREN in headers and instance.cell.ran_out_of_memory():
            # The kernel took a child of the handler's, who may not even have noticed.
            return self._conclude_failure(Ending.OUT_OF_MEMORY)
        if status == m.STATUS_DECLINED:
            self._core.supervisor.endings.end(instance, "unclean")
            self._held = False
            pool.lost(instance)
            raise Declined(headers.get(m.UNCLEAN, ""))
        if self._cold:
            pool.started(instance)
            self._note_start()
        instance.invocations += 1
        instance.may_write_late = m.THREADED in headers
        usage = settle.usage_of(headers, max(call.peak_bytes, instance.peak_bytes))
        instance.peak_bytes = usage.peak_memory_bytes
        outcome, payload = settle.answered(call)
        result = self._result(outcome, payload, instance.take_log(cut=call.log_was_cut), usage)
        unclean = headers.get(m.UNCLEAN) or self._strangers(headers)
        if m.LEFT_BEHIND in headers or m.CHILDREN in headers:
            instance.zygote.sweep()
        self._held = False
        if pool.freezes and not unclean:
            self._core.hooks.freeze(instance, self.request)
        else:
            pool.release(instance, f"unclean_{unclean}" if unclean else None)
        return result

    def _conclude_start(self) -> Result:
        """READY came, and it says no: the worker ends by itself."""
        call = self.call
        if call.headers()[m.STATUS] == m.STATUS_EXITING:
            return self._conclude_failure(Ending.GONE)
        instance = self.instance
        if call.headers()[m.STATUS] == m.STATUS_DECLINED:
            self._core.supervisor.endings.end(instance, "not_initialized")
            self._give_back_dead(None)
            raise Declined(call.headers().get(m.UNCLEAN, ""))
        outcome, payload = settle.answered(call)
        log = instance.take_log(cut=call.log_was_cut)
        result = self._result(outcome, payload, log, Usage(peak_memory_bytes=call.peak_bytes))
        self._core.supervisor.endings.end(instance, "not_initialized")
        self._held = False
        self.request.pool.failed_start(instance, result, served=self._for_caller)
        return result

    @property
    def answered_well(self) -> bool:
        """Is all that `conclude` will do a matter of microseconds?"""
        reply = self.call.exchange.reply
        return reply is not None and reply.headers[m.STATUS] <= m.STATUS_REJECTED

    def conclude_warm_up(self, ending: Ending) -> Result | None:
        """None if the instance is ready, else why not; then it has been ended and buried."""
        if ending is not Ending.ANSWERED:
            return self._conclude_failure(ending)
        self.let_go()
        self._last_moments.are_over()
        if self.call.headers()[m.STATUS] != m.STATUS_RETURNED:
            return self.conclude(ending)
        self._note_start()
        unheard = self.instance.take_log(cut=self.call.log_was_cut)
        if unheard:
            self._core.supervisor.log.debug(
                "instance.initialized",
                function=self.request.pool.name,
                instance=self.instance.id,
                log_bytes=len(unheard),
            )
        return None

    def abandon(self) -> None:
        """The caller leaves in the middle: nobody waits for the answer any more."""
        if not self._held:
            return  # it had been given back before
        self._held = False
        supervisor = self._core.supervisor
        try:
            supervisor.soon(partial(supervisor.endings.threads.run, self._end_abandoned))
        except RecursionError:
            self._held = True  # whoever called for this one has a frame more
            raise
        self.request.pool.counts.invocations += 1

    # -- the parts -----------------------------------------------------------------------------

    def _end_abandoned(self) -> None:
        self.let_go()
        self._core.supervisor.endings.end(self.instance, "abandoned")
        self._give_back_dead(None)

    def _note_start(self) -> None:
        """What its READY tells."""
        instance = self.instance
        ready = self.call.exchange.ready
        instance.note_peak(ready)
        if ready is not None and m.IMPORTED in ready.headers and not instance.zygote.thread_source:
            pool = self.request.pool
            pool.keeper.learning.heard(pool, ready.headers[m.IMPORTED])

    def let_go(self) -> None:
        if self._placement is not None:
            self._core.placer.give_back(self._placement)
            self._placement = None
        self.call.let_go()

    def _conclude_failure(self, ending: Ending) -> Result:
        call = self.call
        instance = self.instance
        core = self._core
        function = self.request.pool.function
        initializing = call.exchange.cold_now
        call.ended_ns = call.ended_ns or time.monotonic_ns()
        stack = self._last_moments.stack() if ending is Ending.TIMED_OUT else ""
        natural = ending is Ending.GONE and autopsy.dies_by_itself(core, instance)
        exited: Exit | None = None
        if natural:
            exited = instance.exit
        elif ending is Ending.TIMED_OUT:
            if not instance.doomed_ns:
                core.supervisor.endings.doom(instance, call.deadline_ns)
        else:
            exited = core.supervisor.endings.end(instance, ending.name.lower())
        self.let_go()  # only now: the kill comes first
        if ending in (Ending.GONE, Ending.BROKEN) and self._was_never_read():
            self._give_back_dead(None)
            raise Declined("it had ended, or spoilt its channel, before it took the event")
        if initializing and instance.channel.pid is None and ending is not Ending.TIMED_OUT:
            if exited is None or not exited.of_zygote or exited.code is None:
                self._give_back_dead(None)
                raise Declined("" if exited is None else exited.reason)
            natural = True  # its zygote did not come back from a preload, and the next one will not
        exit_code, reason = autopsy.cause_of_death(core, call, ending, exited, natural=natural)
        if call.headers().get(m.STATUS) == m.STATUS_EXITING:
            initializing = call.exchange.reply is None
        instance.note_peak(call.exchange.ready)
        instance.note_peak(call.exchange.reply)
        peak = max(call.peak_bytes, instance.peak_bytes)
        process = ""
        if ending in (Ending.GONE, Ending.OUT_OF_MEMORY) and instance.cell.ran_out_of_memory():
            ending = Ending.OUT_OF_MEMORY
            peak = max(peak, self.request.pool.memory_bytes)
            process = autopsy.who_was_killed(instance, call, natural=natural)
        outcome, payload = settle.failed(
            call,
            ending,
            initializing=initializing,
            limit_s=(
                function.initialization_timeout if initializing else self.request.timeout_ns / 1e9
            ),
            limit_bytes=self.request.pool.memory_bytes,
            peak_bytes=peak,
            exit_code=exit_code,
            reason=reason,
            stack=stack,
            source=core.holding.isolation.source,
            process=process,
        )
        log = instance.last_log(cut=call.log_was_cut)
        if stack:
            log += autopsy.timeout_record(self.request.request_id, stack)
        result = self._result(outcome, payload, log, Usage(peak_memory_bytes=peak))
        self._give_back_dead(result)
        self._last_moments.make_sure()
        core.supervisor.log.info(
            _EVENTS[ending],
            function=self.request.pool.name,
            request_id=self.request.request_id,
            instance=instance.id,
            duration_ms=round(result.duration_ms, 3),
        )
        return result

    def _strangers(self, headers: Mapping[str, Any]) -> str | None:
        """A word, if the cell of one that was not quick (`QUICK_NS`) holds somebody besides."""
        if m.RUN_NS not in headers:
            return None
        instance = self.instance
        has_init = instance.init_pidfd >= 0 or instance.channel.pid is None  # then it may have one
        return "strangers" if instance.cell.holds_more_than(1 + has_init) else None

    def _was_never_read(self) -> bool:
        """
        Is all that we sent still in the pipe, and its reader dead? Then the handler has not seen
        the event, whatever the instance did to itself after its last answer.
        """
        exchange = self.call.exchange
        if self._cold or exchange.reply is not None:
            return False
        return self.instance.channel.unread() == exchange.sent_bytes

    def _give_back_dead(self, result: Result | None) -> None:
        pool = self.request.pool
        ready = self.call.exchange.ready
        self._held = False
        if not self._cold:
            pool.lost(self.instance)
        elif ready is not None and ready.headers[m.STATUS] == m.STATUS_RETURNED:
            pool.started(self.instance)
            pool.lost(self.instance)
        else:
            pool.failed_start(self.instance, result, served=self._for_caller)

    def _result(self, outcome: Outcome, payload: bytes, log: bytes, usage: Usage) -> Result:
        call = self.call
        began_ns = call.began_ns or call.started_ns
        init_ns = call.init_ns()
        if self._cold and init_ns is None:
            init_ns = call.ended_ns - call.started_ns
        if self._for_caller:
            self.request.pool.counts.add(outcome, cold=self._cold)
        duration_ns = call.ended_ns - began_ns
        if self._cold:  # READY and RESULT may come in one read: then only the worker can tell
            told_ns = call.headers().get(m.RUN_NS, 0)
            duration_ns = max(duration_ns, min(told_ns, call.ended_ns - call.started_ns))
        return Result(
            payload=payload,
            outcome=outcome,
            log=log,
            request_id=self.request.request_id,
            function=self.request.pool.name,
            duration_ms=duration_ns / 1e6,
            init_duration_ms=None if init_ns is None else init_ns / 1e6,
            cold_start=self._cold,
            usage=usage,
            instance_id=self.instance.name,
            http=call.exchange.http if outcome is RETURNED else None,
            init_log_bytes=settle.init_log_bytes(call, len(log)) if self._cold else 0,
        )


def hold(core: "Core", request: Request, instance: Instance, *, cold: bool) -> Serving:
    """Begin on an instance that has just been given; whatever goes wrong, it is not lost."""
    try:
        return Serving(core, request, instance, cold=cold)
    except BaseException:
        if cold:
            request.pool.discard_start(instance)
        else:
            request.pool.abandon(instance)
        raise
