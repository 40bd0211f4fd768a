"""
One invocation on one instance, from lease to release: what sync and async callers share.

`begin` makes the bytes and the limits, a driver carries them, `conclude` says what came of it and
gives the instance back, or ends it. `conclude` may take a few milliseconds, for kill and
verification, whenever the ending is not ANSWERED.
"""

import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fc_runtime.credentials import Credentials
from fc_runtime.dispatch import settle
from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.drive_sync import drive
from fc_runtime.dispatch.exchange import Exchange
from fc_runtime.dispatch.placement import Placement
from fc_runtime.dispatch.watch import Ending, Guarded
from fc_runtime.errors import OverloadedError
from fc_runtime.outcome import Outcome, Result, Usage
from fc_runtime.pool.instance import Exit, Instance
from fc_worker import messages as m, wire
from fc_worker.tree import is_exiting

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core
    from fc_runtime.pool.pool import Pool

STARTS: Final = 3  # tries, when a zygote dies under a start
STACK_WITHIN_MS: Final = 10  # for faulthandler to write the first byte
STACK_QUIET_MS: Final = 2  # nothing more for so long: that was all
STACK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Request:
    """One call of `invoke`, checked, before there is an instance for it."""

    pool: "Pool"
    event: bytes
    headers: dict[str, Any]
    request_id: str
    timeout_ns: int
    last_refusal: str = ""

    def same_failure(self, known: Result) -> Result:
        """What the last start came to, for a caller who comes too early for another."""
        self.pool.counts.add(known.outcome, cold=False)
        return replace(
            known,
            request_id=self.request_id,
            duration_ms=0.0,
            init_duration_ms=None,
            cold_start=False,
            usage=Usage(),
        )


class Declined(Exception):  # noqa: N818 (not an error: no handler code ran, ask another instance)
    """The instance could not take it, or ended before it began."""


class Serving:
    """Holds *instance* until `conclude` or `abandon`."""

    __slots__ = ("_cold", "_core", "_placement", "_for_caller", "request", "call", "instance")

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
        self._placement: Placement | None = None
        self.instance = instance
        pool = request.pool
        channel = instance.channel
        exchange = Exchange(instance.decoder, invocation or core.next_invocation())
        placement = None
        started_ns = time.monotonic_ns()
        deadline_ns = started_ns + request.timeout_ns
        if cold:
            limit_ns = int(pool.function.initialization_timeout * 1e9)
            exchange.ask_to_initialize({**request.headers, m.TIMEOUT_NS: limit_ns})
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
        self.call = Call(
            channel,
            exchange,
            Guarded(core.isolation, pool.memory_bytes, instance.log_fd),
            started_ns=started_ns,
            deadline_ns=deadline_ns,
            timeout_ns=request.timeout_ns,
            placement=placement,
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
        self._let_go()
        call = self.call
        if ending is not Ending.ANSWERED:
            return self._conclude_failure(ending)
        reply = call.exchange.reply
        if reply is None:
            return self._conclude_start()
        headers = reply.headers
        status = headers[m.STATUS]
        if status == m.STATUS_EXITING:
            return self._conclude_failure(Ending.GONE)
        instance = self.instance
        pool = self.request.pool
        if status == m.STATUS_DECLINED:
            self._core.supervisor.end(instance, "unclean")
            pool.lost(instance)
            raise Declined(headers.get(m.UNCLEAN, ""))
        if self._cold:
            pool.started(instance)
            instance.note_peak(call.exchange.ready)
        instance.invocations += 1
        instance.may_write_late = m.THREADED in headers
        usage = settle.usage_of(headers, max(call.peak_bytes, instance.peak_bytes))
        instance.peak_bytes = usage.peak_memory_bytes
        outcome, payload = settle.answered(call)
        result = self._result(outcome, payload, instance.take_log(cut=call.log_was_cut), usage)
        unclean = headers.get(m.UNCLEAN)
        pool.release(instance, f"unclean_{unclean}" if unclean else None)
        return result

    def _conclude_start(self) -> Result:
        """READY came, and it says no: the worker ends by itself."""
        call = self.call
        if call.headers()[m.STATUS] == m.STATUS_EXITING:
            return self._conclude_failure(Ending.GONE)
        instance = self.instance
        outcome, payload = settle.answered(call)
        log = instance.take_log(cut=call.log_was_cut)
        result = self._result(outcome, payload, log, Usage(peak_memory_bytes=call.peak_bytes))
        self._core.supervisor.end(instance, "not_initialized")
        self.request.pool.failed_start(instance, result, served=self._for_caller)
        return result

    @property
    def answered_well(self) -> bool:
        """Is all that `conclude` will do a matter of microseconds?"""
        reply = self.call.exchange.reply
        return reply is not None and reply.headers[m.STATUS] <= m.STATUS_REJECTED

    def conclude_warm_up(self, ending: Ending) -> Result | None:
        """None if the instance is ready, else why not; then it has been ended and buried."""
        self._let_go()
        if ending is not Ending.ANSWERED:
            return self._conclude_failure(ending)
        if self.call.headers()[m.STATUS] != m.STATUS_RETURNED:
            return self.conclude(ending)
        self.instance.note_peak(self.call.exchange.ready)
        unheard = self.instance.take_log(cut=self.call.log_was_cut)
        if unheard:
            self._core.supervisor.log.debug(
                "instance.initialized",
                function=self.request.pool.function.name,
                instance=self.instance.id,
                log_bytes=len(unheard),
            )
        return None

    def abandon(self) -> None:
        """The caller leaves in the middle: nobody waits for the answer any more."""
        self._let_go()
        pool = self.request.pool
        self._core.supervisor.background.run(self._end_abandoned)
        pool.counts.invocations += 1

    # -- the parts -----------------------------------------------------------------------------

    def _end_abandoned(self) -> None:
        self._core.supervisor.end(self.instance, "abandoned")
        self._give_back_dead(None)

    def _let_go(self) -> None:
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
        stack = ""
        if ending is Ending.TIMED_OUT:
            stack = settle.readable_stack(self._ask_for_stack())
        natural = ending is Ending.GONE and self._exits_by_itself()
        exited = instance.exit if natural else core.supervisor.end(instance, ending.name.lower())
        if initializing and instance.channel.pid is None and ending is not Ending.TIMED_OUT:
            self._give_back_dead(None)
            raise Declined("" if exited is None else exited.reason)
        exit_code, reason = self._account_of(ending, exited, natural=natural)
        if call.headers().get(m.STATUS) == m.STATUS_EXITING:
            initializing = call.exchange.reply is None
        instance.note_peak(call.exchange.ready)
        instance.note_peak(call.exchange.reply)
        peak = max(call.peak_bytes, instance.peak_bytes)
        outcome, payload = settle.failed(
            call,
            ending,
            initializing=initializing,
            limit_s=function.initialization_timeout if initializing else self.request.timeout_ns / 1e9,
            limit_bytes=self.request.pool.memory_bytes,
            peak_bytes=peak,
            exit_code=exit_code,
            reason=reason,
            stack=stack,
            source=core.isolation.source,
        )
        if stack:
            instance.append_log(_timeout_record(self.request.request_id, stack))
        log = instance.take_log(cut=call.log_was_cut)
        result = self._result(outcome, payload, log, Usage(peak_memory_bytes=peak))
        self._give_back_dead(result)
        core.supervisor.log.info(
            f"invocation.{ending.name.lower()}",
            function=function.name,
            request_id=self.request.request_id,
            instance=instance.id,
            duration_ms=round(result.duration_ms, 3),
        )
        return result

    def _exits_by_itself(self) -> bool:
        """The pipe is closed: is that because the process is dying? Then see it to its end."""
        instance = self.instance
        pid = instance.channel.pid
        if pid is not None and not instance.exited.is_set() and not is_exiting(pid):
            return False
        return self._core.supervisor.wait_for_exit(instance) is not None

    def _account_of(
        self, ending: Ending, exited: Exit | None, *, natural: bool
    ) -> tuple[int | None, str]:
        """Exit code and reason of a crash; what we did ourselves is not its exit code."""
        headers = self.call.headers()
        if headers.get(m.STATUS) == m.STATUS_EXITING:
            said = f"{headers.get(m.ERROR_TYPE)}: {headers.get(m.ERROR_MESSAGE)}"
            return headers.get(m.EXIT_CODE, 1), said
        if ending is Ending.BROKEN:
            return None, f"broke the protocol: {self.call.breach}"
        if not natural:
            return None, "closed its channel"
        if exited is None:
            return None, "its zygote was gone, nobody knows how"
        if exited.code == -signal.SIGKILL and self._core.closed:
            return exited.code, "the runtime was closed"
        return exited.code, exited.reason

    def _give_back_dead(self, result: Result | None) -> None:
        pool = self.request.pool
        ready = self.call.exchange.ready
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
            function=self.request.pool.function.name,
            duration_ms=duration_ns / 1e6,
            init_duration_ms=None if init_ns is None else init_ns / 1e6,
            cold_start=self._cold,
            usage=usage,
        )

    def _ask_for_stack(self) -> str:
        """Where it hangs, in its own words, which need neither its GIL nor its cooperation."""
        channel = self.instance.channel
        if channel.pid is None:
            return ""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(channel.pidfd, m.STACK_SIGNAL)
            signal.pidfd_send_signal(channel.pidfd, signal.SIGCONT)  # it may have been stopped
        poller = select.poll()
        poller.register(self.instance.stack_fd, select.POLLIN)
        dump = b""
        wait_ms = STACK_WITHIN_MS
        while len(dump) < STACK_BYTES and poller.poll(wait_ms):
            piece = os.read(self.instance.stack_fd, STACK_BYTES)
            if not piece:
                break  # the process has ended
            dump += piece
            wait_ms = STACK_QUIET_MS
        return dump.decode("utf-8", "backslashreplace")


def _timeout_record(request_id: str, stack: str) -> str:
    """What FC's Python runtime logs at a timeout (spec 5.B), in the format of its loggers."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    head = f"{stamp}.{int(now % 1 * 1000):03d}Z {request_id} [ERROR] "
    return f"{head}Dumping stack trace after function timeout\n{stack}\n"


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


def warm_up(core: "Core", pool: "Pool") -> tuple[Instance | None, Result | None]:
    """
    Start and initialise an instance in nobody's time: it, or why it would not come up.

    Raises OverloadedError if the host has no room for it.
    """
    function = pool.function
    request_id = core.new_request_id()
    headers = request_headers(request_id, core.credentials_of(function))
    request = Request(pool, b"", headers, request_id, int(function.timeout * 1e9))
    for _ in range(STARTS):
        serving = Serving(core, request, pool.start_instance(), cold=True, invoke=False)
        ending = drive(serving.call)
        try:
            failure = serving.conclude_warm_up(ending)
        except Declined:
            continue
        return (serving.instance, None) if failure is None else (None, failure)
    raise OverloadedError(f"{function.name}: no process would start")


def request_headers(request_id: str, credentials: Credentials | None) -> dict[str, Any]:
    headers: dict[str, Any] = {m.REQUEST_ID: request_id}
    if credentials is not None:
        headers[m.CREDENTIALS] = (
            credentials.access_key_id,
            credentials.access_key_secret,
            credentials.security_token,
        )
    return headers
