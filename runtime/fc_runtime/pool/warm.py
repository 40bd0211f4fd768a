"""
The warm call, unrolled: what `Serving`, `Call` and `Exchange` do for the call that nearly all
calls are (an idle instance, an event of at most a mebibyte, a good answer within a millisecond, in
one read), in one function and four system calls.

It decides nothing of its own. As soon as anything is not as expected, all that has happened so
far is handed to the general way, which goes on from there; the two must not be told apart by
their results, and tests/contract/test_warm_path.py holds them to it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m, wire
from fc_worker.lane import PIECE_BYTES
from fc_worker.wire import ASIDE_BYTES, PLAIN_ASIDE, PREFIX, PREFIX_BYTES, VERSION, Kind

from fc_runtime.dispatch.crowd import let_go
from fc_runtime.dispatch.placement import NOT_SOON, QUICK_US, Placement, pace_ns
from fc_runtime.dispatch.watch import FIRST_MS
from fc_runtime.outcome import RETURNED, Result, Usage
from fc_runtime.pool.grants import Grant, Leave
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.request import Request
from fc_runtime.pool.serving import Serving

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core
    from fc_runtime.pool.pool import Pool

SMALL_BYTES: Final = 48 * 1024  # with prefix and headers it fits a pipe of the default size
WARM_BYTES: Final = PIECE_BYTES  # what is larger goes through the window a piece at a time
BYTES_A_NS: Final = 4  # what two sides that are awake take of a body, one after the other
_INVOKE: Final = int(Kind.INVOKE)
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Refused:
    """What was given instead: for the general way."""

    grant: Grant


class Errand:
    """
    One such call. It is begun by its caller; or, if he is in the queue, by whoever hands him the
    instance: then the worker is at it while he wakes up.
    """

    __slots__ = (
        *("_core", "_event", "_flags", "_invocation", "_pool", "_request_id", "_sent"),
        *("_size", "_started_ns"),
    )

    def __init__(self, core: "Core", pool: "Pool", event: bytes) -> None:
        self._core = core
        self._pool = pool
        self._event = event
        self._started_ns = 0
        self._sent = -1

    @property
    def is_begun(self) -> bool:
        return self._sent >= 0

    @property
    def is_touched(self) -> bool:
        """Begun; or whoever did was interrupted, and nobody knows what the instance was sent."""
        return self._started_ns > 0

    def begin(self, instance: Instance, flags: int) -> None:
        """Write the event. Does not wait."""
        core, event = self._core, self._event
        self._flags = flags
        self._invocation = invocation = core.next_invocation()
        self._request_id = request_id = core.new_request_id()
        before, after = self._pool.packed_headers
        headers = before + request_id.encode() + after
        size = len(event)
        if size < ASIDE_BYTES:
            prefix = PREFIX.pack(size, len(headers), invocation, _INVOKE, VERSION, flags)
            frame = prefix + headers + event
        else:
            instance.window.send_event(event)
            flags |= wire.ASIDE
            frame = PREFIX.pack(size, len(headers), invocation, _INVOKE, VERSION, flags) + headers
        self._size = len(frame)
        self._started_ns = time.monotonic_ns()
        self._sent = instance.channel.write_small(frame)

    def begin_for_another(self, instance: Instance) -> None:
        """The same, by whoever hands the instance to this one's caller."""
        crowd, channel = self._pool.crowd, instance.channel
        if not crowd.enabled or instance.took_us >= QUICK_US:
            self.begin(instance, 0)
            return
        try:
            self.begin(instance, crowd.part(channel))
        except BaseException:  # Ctrl-C: what was lent for this frame, the next one knows nothing of
            let_go(channel)
            raise

    def finish(
        self, instance: Instance, placement: Placement | None, asked: bool
    ) -> Result | Serving:
        """
        The answer, which gives the instance back; or the call, for a driver to carry on.

        Args:
            asked: was the instance idle, and was it asked how to wake it?
        """
        core, pool, channel = self._core, self._pool, instance.channel
        data = None
        if self._sent == self._size:
            # On the same CPU the worker runs before write returns: there is nothing to wait for.
            asleep = placement is not None and not placement.awake
            if placement is not None and placement.awake:
                within_ns = placement.patience_ns + len(self._event) // BYTES_A_NS
                if not channel.readable_within(within_ns):
                    instance.took_us = QUICK_US  # or it was not awake: not again at once
            data = channel.read_some(_READ_BYTES)
            if data is None and asleep:
                # It is to run on this very CPU: make room instead of going to sleep, or the answer
                # would wake us up on another one, and the next call would start from there.
                os.sched_yield()
                data = channel.read_some(_READ_BYTES)
            if data is None and channel.wait_readable(FIRST_MS):
                data = channel.read_some(_READ_BYTES)
        ended_ns = time.monotonic_ns()
        if data and len(data) >= PREFIX_BYTES:
            body_size, header_size, answered, kind, version, said = PREFIX.unpack_from(data)
            microseconds = wire.plain_microseconds(kind, header_size, said)
            payload = None
            if (
                microseconds is not None
                and answered == self._invocation
                and version == VERSION
                and body_size <= core.max_response_bytes
            ):
                if not said & PLAIN_ASIDE:
                    payload = data[PREFIX_BYTES:] if len(data) == PREFIX_BYTES + body_size else None
                elif len(data) == PREFIX_BYTES and body_size <= PIECE_BYTES:
                    payload = instance.window.receive_result(body_size).body()
            if payload is not None and microseconds is not None:
                took_ns = ended_ns - self._started_ns
                if asked and core.placer.in_trial and self._size + len(data) < ASIDE_BYTES // 2:
                    before_ns = self._started_ns - instance.idle_since_ns
                    core.placer.learn(placement, pace_ns(took_ns - microseconds * 1000, before_ns))
                instance.invocations += 1
                instance.took_us = microseconds
                result = Result(
                    payload,
                    RETURNED,
                    instance.take_log(cut=False),
                    self._request_id,
                    pool.name,
                    took_ns / 1e6,
                    None,
                    False,
                    Usage(microseconds / 1e6, 0.0, instance.peak_bytes),
                    instance.name,
                )
                pool.counts.add(RETURNED, cold=False)
                pool.release(instance)
                return result
        return self._carried_on(instance, placement, data)

    def _carried_on(
        self, instance: Instance, placement: Placement | None, data: bytes | None
    ) -> Serving:
        pool = self._pool
        if self._flags & wire.KEEP_APART:
            instance.took_us = QUICK_US  # or more, as it seems: not again at once
        headers = {m.REQUEST_ID: self._request_id, **pool.fixed_headers}
        serving = Serving(
            self._core,
            Request(pool, self._event, headers, self._request_id, pool.timeout_ns),
            instance,
            cold=False,
            invocation=self._invocation,
            flags=self._flags,
        )
        serving.resume(self._started_ns, placement, self._sent, data)
        return serving


def idle_ns(instance: Instance) -> int:
    """For how long, if its caller is the only one; see `Placer.borrow`."""
    if instance.took_us < QUICK_US and instance.pool.roster.serving == 1:
        return time.monotonic_ns() - instance.idle_since_ns
    return NOT_SOON


def try_warm(
    core: "Core", pool: "Pool", event: bytes, wait: Callable[["Pool", Errand], Grant]
) -> Result | Serving | Refused:
    """
    The result; or the call under way, for a driver to carry on; or what the pool gave that is no
    instance for this way: nothing has been done then.

    The caller has checked that *event* is bytes of at most `WARM_BYTES`, and that everything
    else is as the function's own definition has it.

    Args:
        wait: what the pool gives to whoever finds no idle instance, in the queue if need be.
    """
    errand = Errand(core, pool, event)
    asked = False
    instance = pool.lease_idle()
    is_idle = instance is not None
    if instance is None:
        grant = wait(pool, errand)
        if type(grant) is not Instance or (grant.may_write_late and not errand.is_begun):
            return Refused(grant)
        instance = grant
    instance.errand = errand
    placer = core.placer
    placement = None
    try:
        if not errand.is_begun:
            if errand.is_touched:
                pool.abandon(instance)
                return Refused(Leave.MOVED)
            pid = instance.channel.pid
            if placer.enabled and pid is not None:  # its zygote may not have told yet
                placement = placer.borrow(pid, idle_ns=idle_ns(instance))
                asked = is_idle
            errand.begin(instance, 0 if placement is None else placement.flag)
        begun = errand.finish(instance, placement, asked)
    except BaseException:  # Ctrl-C: the answer, if one comes, must not meet the next caller
        if placement is not None:
            placer.give_back(placement)
        if instance.errand is errand:  # else it is somebody else's by now
            pool.abandon(instance)
        raise
    if placement is not None and type(begun) is Result:
        placer.give_back(placement)
    return begun
