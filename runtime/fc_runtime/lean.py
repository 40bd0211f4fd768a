"""
Warm calls from a loop: `Lean`, what `AsyncRuntime.invoke` does with the call that nearly all calls
are (bytes in, a small answer soon), at a fraction of the general way's cost.

What is saved: the reader that is added and removed for each call (`dispatch.tap` keeps it), a
timer for each call (one beat for all of them hands those that last over to `drive`, with its
looks at deadline, memory and log), a task or two for each call (a `Flight` calls back), and the
turn of the loop between one call's answer and the next call's event: whoever is next in the queue
for an instance has his event written in the very callback that has read the answer before. As
`pool.warm` does, it decides nothing of its own: whatever is not as expected goes on the general
way, from where it stands.

    start → queue → in the air → landed: with a result, or to be carried on by `finish`

Belongs to one running loop. `close` it there before that loop ends.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Final

from fc_worker.wire import PREFIX_BYTES

from fc_runtime.dispatch.placement import BRIEF_US, pace_ns
from fc_runtime.dispatch.tap import Tap
from fc_runtime.flight import Envelopes, Flight, early_answer
from fc_runtime.outcome import Result
from fc_runtime.pool import back_stop
from fc_runtime.pool.core import Core
from fc_runtime.pool.grants import Grant
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.warm import SMALL_BYTES, idle_ns

BEAT_S: Final = 0.010
AT_ONCE_IN_A_ROW: Final = 16  # calls of `fly` that were answered without a turn of the loop
LASTING_NS: Final = 5_000_000  # from here on a call is watched over
PLAIN_TIMEOUT_NS: Final = 100_000_000  # below, a beat would be too coarse for the deadline


class Lean:
    """
    Warm calls from the loop that is running now. `aio.lean_of` has one for each.

    Args: the general way, as `AsyncRuntime.invoke`, and as its ``_serve``, which is further on;
        what to do when a call has to queue.
    """

    def __init__(
        self,
        core: Core,
        invoke: Callable[..., Awaitable[Result]],
        serve: Callable[..., Awaitable[Result]],
        look_around: Callable[[], None],
    ) -> None:
        self._core = core
        self._look_around = look_around
        self._invoke = invoke
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._taps: dict[Instance, Tap] = {}
        self._in_air: dict[Flight, None] = {}  # oldest first
        self._offered: deque[Flight] = deque()
        self._releasing = False
        self._beat: asyncio.TimerHandle | None = None
        self._envelopes = Envelopes()
        self.in_flight = self._at_once = 0

    async def invoke(self, name: str, event: bytes, request_id: str) -> Result:
        """
        The result, whatever the outcome; of a call that `takes` is wrong about, by the general way.

        Args:
            request_id: visible ASCII; as many different lengths of them as there are kinds.
        """
        if (pool := self.takes(name, len(event))) is not None:
            return await self.fly(pool, event, request_id)
        return await self._invoke(name, event, request_id=request_id, check=False)

    async def fly(self, pool: Pool, event: bytes, request_id: str) -> Result:
        """As `invoke`, for an event that *pool* `takes`."""
        flight = self.start(pool, event, request_id, _nobody)
        if flight.over:
            self._at_once += 1
            if self._at_once == AT_ONCE_IN_A_ROW:  # else others would never have their turn
                self._at_once = 0
                await self._or_abandon(flight, asyncio.sleep(0))
        else:
            self._at_once = 0
            landed: asyncio.Future[None] = self._loop.create_future()

            def done(_flight: Flight) -> None:
                if not landed.done():
                    landed.set_result(None)

            flight.done = done
            await self._or_abandon(flight, landed)
        return flight.result or await self.finish(flight)

    async def _or_abandon(self, flight: Flight, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except BaseException:  # cancelled: what it holds must not be lost
            self.abandon(flight)
            raise

    def takes(self, name: str, size: int) -> Pool | None:
        """Whose an event of *size* bytes is, if it is one for `start`. FunctionNotFoundError."""
        core = self._core
        pool = core.pool(name)
        small = size <= SMALL_BYTES and size <= core.max_event_bytes
        plain = pool.plain and pool.timeout_ns >= PLAIN_TIMEOUT_NS
        return pool if small and plain else None

    def start(
        self, pool: Pool, event: bytes, request_id: str, done: Callable[[Flight], object]
    ) -> Flight:
        """
        Begin a call that *pool* `takes`.

        Args:
            done: called once, on the loop, when it has landed; perhaps before this returns.
        Raises: what `Pool.lease` raises.
        """
        flight = Flight(self, pool, event, request_id, done)
        leased = pool.lease(lambda: flight)
        self.in_flight += 1
        if isinstance(leased, Flight):
            self._look_around()
        else:
            flight.grant = leased
            self._take(flight)
        return flight

    async def finish(self, flight: Flight) -> Result:
        """The result of one that has landed, carried on by the general way where need be."""
        if flight.result is not None:
            return flight.result
        if flight.error is not None:
            raise flight.error
        serving = flight.serving
        if serving is not None:
            return await self._serve(serving.request, serving=serving)
        return await self._serve(flight.request(), grant=flight.grant)

    def abandon(self, flight: Flight) -> None:
        """
        Nobody waits for it any more: its answer, if one comes, must not meet the next caller. Safe
        to call twice.
        """
        if flight.over:
            if flight.serving is not None:
                flight.serving.abandon()
            elif flight.instance is None:  # it has not used what it was given, if anything
                flight.pool.withdraw(flight)
            return
        flight.over = True
        self.in_flight -= 1
        instance = flight.instance
        if instance is None:
            flight.pool.withdraw(flight)
            return
        self._came_down(flight)
        self._give_back(flight)
        flight.pool.abandon(instance)

    def instances(self, name: str) -> list[Instance]:
        """
        All of a function, those that come up or go included. Any thread.

        Raises FunctionNotFoundError, RuntimeClosedError.
        """
        return self._core.pool(name).roster.live_instances()

    def close(self) -> None:
        """
        On its loop: calls in the air go on by the general way. Or when that is closed: nobody will
        ever wait for them.
        """
        if self._loop.is_closed():
            for flight in [*self._in_air, *self._offered]:
                self.abandon(flight)
            self._offered.clear()
        for flight in list(self._in_air):
            self._landed(flight, None)
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        for tap in list(self._taps.values()):
            tap.close()

    def offered(self, flight: Flight, grant: Grant) -> None:
        """Under the pool's lock, on any thread: only noted here. See `Flight.offer`."""
        flight.grant = grant
        self._offered.append(flight)
        is_here = get_ident() == self._thread  # no system call, unlike asking for the running loop
        if is_here and self._releasing:
            return
        try:
            if is_here:
                self._loop.call_soon(self._take_offered)
            else:
                self._loop.call_soon_threadsafe(self._take_offered)
        except RuntimeError:  # the loop was closed under its callers
            with suppress(ValueError):  # `close` has found it by now
                self._offered.remove(flight)
            flight.grant = None

    def _take_offered(self) -> None:
        while self._offered:  # other threads only add to it
            self._take(self._offered.popleft())

    def _take(self, flight: Flight) -> None:
        """It has been given something: up in the air, if that is an instance."""
        if flight.over:
            return  # and has given it back
        instance = flight.grant
        if type(instance) is not Instance or instance.may_write_late:
            self._land(flight)
            return
        flight.instance = instance
        try:
            self._launch(flight, instance)
        except BaseException as error:  # noqa: BLE001 (no descriptors left: told by `finish`)
            self._fail(flight, error)

    # -- in the air ----------------------------------------------------------------------------

    def _launch(self, flight: Flight, instance: Instance) -> None:
        core = self._core
        channel = instance.channel
        pool = flight.pool
        tap = flight.tap = self._taps.get(instance) or self._tapped(instance)
        placement = None
        if self.in_flight == 1 and core.placer.enabled and channel.pid is not None:
            placement = core.placer.borrow(channel.pid, idle_ns=idle_ns(instance))
            flight.asked = True
        if placement is not None:
            flight.placement, flight.flags = placement, placement.flag
        flight.invocation = core.next_invocation()
        frame = flight.frame(self._envelopes.of(pool, len(flight.request_id)))
        flight.started_ns = time.monotonic_ns()
        channel.due_ns = flight.started_ns + pool.timeout_ns
        if not pool.roster.back_stop_planned:
            back_stop.plan(pool)
        self._in_air[flight] = None
        tap.heard = flight
        sent = flight.sent = channel.write_small(frame)
        if sent != len(frame):
            self._landed(flight, None)
            return
        if placement is not None:  # so nobody else's call is waiting for this loop
            data = early_answer(instance, placement)
            if data is not None:
                self._landed(flight, data)
                return
        if self._beat is None:
            self._beat = self._loop.call_later(BEAT_S, self._on_beat)

    def _landed(self, flight: Flight, data: bytes | None) -> None:
        """*data* is what came first, b"" at the end; None if it has to be watched over."""
        ended_ns = time.monotonic_ns()
        self._came_down(flight)
        instance = flight.instance
        if instance is None:
            raise AssertionError("an answer without an instance")
        core = self._core
        microseconds = flight.took_us(data, core.max_response_bytes) if data else None
        if data and microseconds is not None:
            took_ns = ended_ns - flight.started_ns
            if flight.asked and core.placer.in_trial:
                before_ns = flight.started_ns - instance.idle_since_ns
                paced_ns = pace_ns(took_ns - microseconds * 1000, before_ns)
                core.placer.learn(flight.placement, paced_ns)
            if flight.placement is not None:
                self._give_back(flight)
            instance.channel.due_ns = 0
            flight.returned(instance, data[PREFIX_BYTES:], took_ns, microseconds)
            self._releasing = True
            try:
                flight.pool.release(instance)
            finally:
                self._releasing = False
            if self._offered:  # the next event first: the instance is idle meanwhile
                self._take_offered()
            self._land(flight)
            return
        instance.took_us = BRIEF_US
        if flight.tap is not None:
            flight.tap.close()
        flight.serving = flight.carried_on(core, instance)
        flight.serving.resume(flight.started_ns, flight.placement, flight.sent, data)
        flight.placement = None  # it gives it back
        self._land(flight)

    def _land(self, flight: Flight) -> None:
        flight.over = True
        self.in_flight -= 1
        flight.done(flight)

    def _fail(self, flight: Flight, error: BaseException) -> None:
        if flight.over:
            raise error
        flight.error = error
        self._came_down(flight)
        self._give_back(flight)
        if flight.instance is not None:
            flight.pool.abandon(flight.instance)
        self._land(flight)

    def _came_down(self, flight: Flight) -> None:
        self._in_air.pop(flight, None)
        if flight.tap is not None and flight.tap.heard is flight:
            flight.tap.heard = None

    def _give_back(self, flight: Flight) -> None:
        if flight.placement is not None:
            self._core.placer.give_back(flight.placement)
            flight.placement = None

    def _tapped(self, instance: Instance) -> Tap:
        closed = partial(self._taps.pop, instance, None)
        tap = self._taps[instance] = Tap(self._loop, instance.channel, self._on_data, closed)
        return tap

    def _on_data(self, flight: object, data: bytes) -> None:
        if not isinstance(flight, Flight):
            raise TypeError("an answer for nobody")
        try:
            self._landed(flight, data)
        except BaseException as error:  # noqa: BLE001 (told by `finish`: somebody waits for it)
            self._fail(flight, error)

    def _on_beat(self) -> None:
        self._beat = None
        lasting_ns = time.monotonic_ns() - LASTING_NS
        for flight in [one for one in self._in_air if one.started_ns < lasting_ns]:
            self._landed(flight, None)
        if self._in_air:
            self._beat = self._loop.call_later(BEAT_S, self._on_beat)


def _nobody(_flight: Flight) -> None:
    """Who started it has not begun to wait."""
