"""One call of a server on its way through `lean`: what is known of it, and its bytes."""

import os
from collections.abc import Callable
from typing import Final, Protocol

from fc_worker import messages as m, wire
from fc_worker.wire import PLAIN_ASIDE, PREFIX, PREFIX_BYTES, VERSION, Kind

from fc_runtime.dispatch.placement import BRIEF_US, QUICK_US, Placement
from fc_runtime.dispatch.tap import READ_BYTES, Tap
from fc_runtime.outcome import RETURNED, Result, Usage
from fc_runtime.pool.core import Core
from fc_runtime.pool.grants import Grant, OnItsOwn
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.request import Request
from fc_runtime.pool.serving import Serving

_INVOKE: Final = int(Kind.INVOKE)


class Envelopes:
    """What stands around a request id in the headers of plain calls, for each pool and length."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[Pool, int], tuple[bytes, bytes]] = {}

    def of(self, pool: Pool, size: int) -> tuple[bytes, bytes]:
        return self._known.get((pool, size)) or self._made(pool, size)

    def _made(self, pool: Pool, size: int) -> tuple[bytes, bytes]:
        for known, length in list(self._known):
            if known.roster.end is not None:  # replaced: nobody asks for it again
                del self._known[known, length]
        around = self._known[pool, size] = wire.around(m.REQUEST_ID, size, pool.fixed_headers)
        return around


class Queue(Protocol):
    """`Lean`, as those who wait see it."""

    def offered(self, flight: "Flight", grant: Grant) -> None:
        """See `Flight.offer`."""


class Flight(OnItsOwn):
    """
    One call. In the queue it is its own `Waiter`. When it is ``over`` it has been landed, which is
    told to ``done``, or abandoned, which is told to nobody.
    """

    __slots__ = (
        *("_queue", "asked", "done", "error", "event", "flags", "grant", "instance", "invocation"),
        *("over", "placement", "pool", "request_id", "result", "sent", "serving", "started_ns"),
        "tap",
    )

    def __init__(
        self,
        queue: Queue,
        pool: Pool,
        event: bytes,
        request_id: str,
        done: "Callable[[Flight], object]",
    ) -> None:
        self._queue = queue
        self.pool = pool
        self.event = event
        self.request_id = request_id
        self.done = done
        self.over = False
        self.grant: Grant | None = None
        self.instance: Instance | None = None  # in the air: who serves it
        self.tap: Tap | None = None
        self.placement: Placement | None = None
        self.asked = False  # was anybody, how to wake the instance?
        self.started_ns = self.invocation = self.sent = self.flags = 0
        self.result: Result | None = None
        self.serving: Serving | None = None
        self.error: BaseException | None = None

    def offer(self, grant: Grant) -> None:
        """Under the pool's lock, on any thread."""
        if not self.over:
            self._queue.offered(self, grant)

    def frame(self, envelope: tuple[bytes, bytes]) -> bytes:
        """What the worker is sent. *envelope*: see `Envelopes`."""
        before, after = envelope
        headers = before + self.request_id.encode() + after
        event = self.event
        prefix = PREFIX.pack(
            len(event), len(headers), self.invocation, _INVOKE, VERSION, self.flags
        )
        return prefix + headers + event

    def took_us(self, data: bytes, most_bytes: int) -> int | None:
        """What the handler took, if *data* is its whole plain answer, of *most_bytes* at most."""
        if len(data) < PREFIX_BYTES:
            return None
        body_size, header_size, answered, kind, version, said = PREFIX.unpack_from(data)
        if (
            len(data) != PREFIX_BYTES + body_size
            or answered != self.invocation
            or version != VERSION
            or body_size > most_bytes
            or said & PLAIN_ASIDE
        ):
            return None
        return wire.plain_microseconds(kind, header_size, said)

    def returned(self, instance: Instance, payload: bytes, took_ns: int, took_us: int) -> None:
        """The handler has returned; *took_us* by the worker's clock."""
        instance.invocations += 1
        instance.took_us = took_us
        self.result = Result(
            payload,
            RETURNED,
            instance.take_log(cut=False),
            self.request_id,
            self.pool.name,
            took_ns / 1e6,
            None,
            False,
            Usage(took_us / 1e6, 0.0, instance.peak_bytes),
            instance.name,
        )
        self.pool.counts.add(RETURNED, cold=False)

    def request(self) -> Request:
        """For the general way."""
        pool = self.pool
        headers = {m.REQUEST_ID: self.request_id, **pool.fixed_headers}
        return Request(pool, self.event, headers, self.request_id, pool.timeout_ns)

    def carried_on(self, core: Core, instance: Instance) -> Serving:
        """The same call, for a driver."""
        return Serving(
            core,
            self.request(),
            instance,
            cold=False,
            invocation=self.invocation,
            flags=self.flags,
        )


def early_answer(instance: Instance, placement: Placement) -> bytes | None:
    """
    What has come right after the event was written, which was sent with *placement*: without
    asking the loop, and only if that is a matter of microseconds.
    """
    channel = instance.channel
    if placement.awake and not channel.readable_within(placement.patience_ns):
        instance.took_us = QUICK_US
    data = channel.read_some(READ_BYTES)
    if data is None and not placement.awake and instance.took_us < BRIEF_US:
        os.sched_yield()  # it runs on this very CPU: make room
        data = channel.read_some(READ_BYTES)
    return data
