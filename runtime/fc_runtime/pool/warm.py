"""
The warm call, unrolled: what `Serving`, `Call` and `Exchange` do for the call that nearly all
calls are (an idle instance, a small event, a good answer within a millisecond, in one read), in
one function and four system calls.

It decides nothing of its own. As soon as anything is not as expected, all that has happened so
far is handed to the general way, which goes on from there; the two must not be told apart by
their results, and tests/unit/runtime/test_warm.py holds them to it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m, wire
from fc_worker.wire import PREFIX, PREFIX_BYTES, VERSION, Kind

from fc_runtime.dispatch.placement import AWAKE_NS, BRISK_NS, QUICK_US, Placement
from fc_runtime.dispatch.watch import FIRST_MS
from fc_runtime.outcome import RETURNED, Result, Usage
from fc_runtime.pool.grants import Grant
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.request import Request
from fc_runtime.pool.serving import Serving

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core
    from fc_runtime.pool.pool import Pool

SMALL_BYTES: Final = 48 * 1024  # with prefix and headers it fits a pipe of the default size
_INVOKE: Final = int(Kind.INVOKE)
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Refused:
    """What was given instead: for the general way."""

    grant: Grant


def try_warm(
    core: "Core", pool: "Pool", event: bytes, wait: Callable[["Pool"], Grant]
) -> Result | Serving | Refused:
    """
    The result; or the call under way, for a driver to carry on; or what the pool gave that is no
    instance for this way: nothing has been done then.

    The caller has checked that *event* is bytes of at most `SMALL_BYTES`, and that everything
    else is as the function's own definition has it.

    Args:
        wait: what the pool gives to whoever finds no idle instance, in the queue if need be.
    """
    instance = pool.lease_idle()
    if instance is None:
        grant = wait(pool)
        if type(grant) is not Instance or grant.may_write_late:
            return Refused(grant)
        instance = grant
    placer = core.placer
    placement = None
    try:
        pid = instance.channel.pid
        if placer.enabled and pid is not None:  # its zygote may not have told yet
            placement = placer.borrow(
                pid,
                brisk=instance.took_us < QUICK_US
                and pool.roster.serving == 1
                and time.monotonic_ns() - instance.idle_since_ns < BRISK_NS,
            )
        begun = _carry(core, pool, instance, event, placement)
    except BaseException:  # Ctrl-C: the answer, if one comes, must not meet the next caller
        if placement is not None:
            placer.give_back(placement)
        pool.abandon(instance)
        raise
    if placement is not None and type(begun) is Result:
        placer.give_back(placement)
    return begun


def _carry(
    core: "Core", pool: "Pool", instance: Instance, event: bytes, placement: Placement | None
) -> Result | Serving:
    channel = instance.channel
    invocation = core.next_invocation()
    request_id = core.new_request_id()
    before, after = pool.packed_headers
    headers = before + request_id.encode() + after
    flags = 0 if placement is None else placement.flag
    size = len(event)
    frame = PREFIX.pack(size, len(headers), invocation, _INVOKE, VERSION, flags) + headers + event
    started_ns = time.monotonic_ns()
    sent = channel.write_small(frame)
    data = None
    if sent == len(frame):
        # On the same CPU the worker runs before write returns: then there is nothing to wait for.
        awake = placement is not None and placement.awake
        if awake and not channel.readable_within(AWAKE_NS):
            instance.took_us = QUICK_US  # or it was not awake: either way, not again at once
        data = channel.read_some(_READ_BYTES)
        if data is None and placement is not None and not awake:
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
        if (
            microseconds is not None
            and len(data) == PREFIX_BYTES + body_size
            and answered == invocation
            and version == VERSION
            and body_size <= core.max_response_bytes
        ):
            took_ns = ended_ns - started_ns
            if core.placer.in_trial:
                core.placer.learn(placement, took_ns - microseconds * 1000)
            instance.invocations += 1
            instance.took_us = microseconds
            result = Result(
                data[PREFIX_BYTES:],
                RETURNED,
                instance.take_log(cut=False),
                request_id,
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
    request = Request(
        pool,
        event,
        {m.REQUEST_ID: request_id, **pool.fixed_headers},
        request_id,
        pool.timeout_ns,
    )
    serving = Serving(core, request, instance, cold=False, invocation=invocation, flags=flags)
    serving.resume(started_ns, placement, sent, data)
    return serving
