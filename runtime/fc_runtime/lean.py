"""
Warm calls for a server: `Lean`, what `AsyncRuntime.invoke` does, for the call that nearly all
calls of a server are (bytes in, an idle instance, a small answer soon), at a third of its cost.

What is saved: the reader that is added and removed for each call (`dispatch.tap` keeps it), a
timer for each call (one beat for all of them hands those that last over to `drive`, with its
looks at deadline, memory and log), and the wake-up of the loop when an instance goes from one
task of the same loop to the next. As `pool.warm` does, it decides nothing of its own: whatever is
not as expected goes on the general way, from where it stands.

Belongs to one running loop. `close` it there before that loop ends.
"""

import asyncio
import os
import time
from typing import Final

from fc_worker import messages as m, wire
from fc_worker.wire import PREFIX, PREFIX_BYTES, VERSION, Kind

from fc_runtime.aio import AsyncRuntime, TaskWaiter
from fc_runtime.dispatch.placement import Placement
from fc_runtime.dispatch.tap import READ_BYTES, Tap
from fc_runtime.outcome import RETURNED, Result, Usage
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.request import Request
from fc_runtime.pool.serving import Serving
from fc_runtime.pool.warm import SMALL_BYTES

BEAT_S: Final = 0.010
LASTING_NS: Final = 5_000_000  # from here on a call is watched over
PLAIN_TIMEOUT_NS: Final = 100_000_000  # below, a beat would be too coarse for the deadline
_INVOKE: Final = int(Kind.INVOKE)


class Lean:
    """Warm calls of *runtime* from the loop that is running now."""

    def __init__(self, runtime: AsyncRuntime) -> None:
        self._runtime = runtime
        self._serve = runtime._serve  # noqa: SLF001 (a third face of the same thing)
        self._core = runtime._core  # noqa: SLF001 (likewise)
        self._loop = asyncio.get_running_loop()
        self._taps: dict[Instance, Tap] = {}
        self._waiting: dict[Tap, int] = {}
        self._beat: asyncio.TimerHandle | None = None
        self._packed: dict[tuple[Pool, int], tuple[bytes, bytes]] = {}
        self.in_flight = 0

    async def invoke(self, name: str, event: bytes, request_id: str) -> Result:
        """
        As ``AsyncRuntime.invoke(name, event, request_id=request_id, check=False)``.

        Args:
            request_id: visible ASCII; as many different lengths of them as there are kinds.
        """
        core = self._core
        pool = core.pool(name)
        size = len(event)
        if (
            size > SMALL_BYTES
            or size > core.max_event_bytes
            or not pool.plain
            or pool.timeout_ns < PLAIN_TIMEOUT_NS
        ):
            return await self._runtime.invoke(name, event, request_id=request_id, check=False)
        instance = pool.lease_idle()
        if instance is None:
            grant = pool.lease(TaskWaiter)
            if isinstance(grant, TaskWaiter):
                grant = await grant.wait(pool)
            if type(grant) is not Instance or grant.may_write_late:
                return await self._serve(_request(pool, event, request_id), grant=grant)
            instance = grant
        placer = core.placer
        placement = None
        self.in_flight += 1
        try:
            if placer.enabled and self.in_flight == 1:
                placement = placer.borrow(instance.channel.pid or 0)
            begun = await self._carry(pool, instance, event, request_id, placement)
        except BaseException:  # cancelled: the answer, if one comes, must not meet the next caller
            if placement is not None:
                placer.give_back(placement)
            pool.abandon(instance)
            raise
        finally:
            self.in_flight -= 1
        if isinstance(begun, Serving):
            return await self._serve(begun.request, serving=begun)
        if placement is not None:
            placer.give_back(placement)
        return begun

    def instances(self, name: str) -> list[Instance]:
        """
        All of a function, those that come up or go included. Any thread.

        Raises FunctionNotFoundError, RuntimeClosedError.
        """
        return self._core.pool(name).roster.live_instances()

    def close(self) -> None:
        """No call may be under way."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        for tap in list(self._taps.values()):
            tap.close()

    # -- the parts -----------------------------------------------------------------------------

    async def _carry(
        self,
        pool: Pool,
        instance: Instance,
        event: bytes,
        request_id: str,
        placement: Placement | None,
    ) -> Result | Serving:
        core = self._core
        channel = instance.channel
        invocation = core.next_invocation()
        before, after = self._packed.get((pool, len(request_id))) or self._pack(pool, request_id)
        headers = before + request_id.encode() + after
        flags = wire.LIFT_AFFINITY if placement is not None else 0
        frame = (
            PREFIX.pack(len(event), len(headers), invocation, _INVOKE, VERSION, flags)
            + headers
            + event
        )
        tap = self._taps.get(instance) or self._tapped(instance)
        started_ns = time.monotonic_ns()
        sent = channel.write_small(frame)
        data: bytes | None = None
        if sent == len(frame):
            if placement is not None:
                # It runs on this very CPU, and nobody else is waiting for this loop: make room.
                data = channel.read_some(READ_BYTES)
                if data is None:
                    os.sched_yield()
                    data = channel.read_some(READ_BYTES)
            if data is None:
                self._waiting[tap] = started_ns
                if self._beat is None:
                    self._beat = self._loop.call_later(BEAT_S, self._on_beat)
                try:
                    data = await tap.next()
                finally:
                    del self._waiting[tap]
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
        tap.close()
        request = _request(pool, event, request_id)
        serving = Serving(core, request, instance, cold=False, invocation=invocation, flags=flags)
        serving.resume(started_ns, placement, sent, data)
        return serving

    def _tapped(self, instance: Instance) -> Tap:
        tap = Tap(self._loop, instance.channel, lambda: self._taps.pop(instance, None))
        self._taps[instance] = tap
        return tap

    def _pack(self, pool: Pool, request_id: str) -> tuple[bytes, bytes]:
        """What stands around an id of this length in the headers of *pool*'s calls."""
        for known, size in list(self._packed):
            if known.roster.end is not None:  # replaced: nobody asks for it again
                del self._packed[known, size]
        packed = wire.around(m.REQUEST_ID, len(request_id), pool.fixed_headers)
        self._packed[pool, len(request_id)] = packed
        return packed

    def _on_beat(self) -> None:
        self._beat = None
        if not self._waiting:
            return
        lasting_ns = time.monotonic_ns() - LASTING_NS
        for tap, started_ns in self._waiting.items():
            if started_ns < lasting_ns:
                tap.give_up()
        self._beat = self._loop.call_later(BEAT_S, self._on_beat)


def _request(pool: Pool, event: bytes, request_id: str) -> Request:
    headers = {m.REQUEST_ID: request_id, **pool.fixed_headers}
    return Request(pool, event, headers, request_id, pool.timeout_ns)
