"""
One task that is held, from when its turn comes to what is written of it: run, marked as running if
it lasts, decided on, written down, and its destination told.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from fc_runtime.errors import StoreError
from fc_runtime.outcome import Result
from fc_runtime.pool.events import Log
from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.deciding import Course, Decider, destination_of
from fc_runtime.tasks.desk import Desk
from fc_runtime.tasks.destinations import Resolve, UndeliverableError
from fc_runtime.tasks.holding import Attempt, Change, Held, Mark
from fc_runtime.tasks.policy import Backoff
from fc_runtime.tasks.states import FINAL, Status
from fc_runtime.tasks.threads import in_thread
from fc_runtime.tasks.written import event_line

Run: TypeAlias = Callable[[Attempt], Awaitable[Result]]
MARK_S: Final = 0.1  # that it runs is written down after so long: most have ended by then
MOST_TELLING: Final = 16  # destinations at the same time: some take a thread each
_WRITING: Final = Backoff(first=0.2, most=5.0)


class Leaving(Exception):  # noqa: N818 (nothing is wrong)
    """The engine goes, or has lost what it held: what was not written will not be."""


@dataclass(slots=True, eq=False)
class Turn:
    """What is known of one that is held. ``stop`` and ``leave`` say why it was cancelled."""

    held: Held
    task: "asyncio.Task[None] | None" = None
    started_ms: int | None = None
    marked: bool = False
    stop: bool = False
    leave: bool = False
    lost: bool = False  # somebody else's by now
    running: bool = False  # can be cancelled without losing what came of it


@dataclass(slots=True, kw_only=True)
class Attempts:
    """How turns are taken; belongs to the engine's loop."""

    desk: Desk
    run: Run
    decider: Decider
    destinations: Resolve | None
    log: Log
    telling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_TELLING))
    counts: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    async def take(self, turn: Turn, ran: Callable[[Turn, float], None]) -> None:
        """
        All of it. Raises nothing: what cannot be written is somebody's who takes over.

        *ran*: told once it has run, with the seconds that it took: its place is free.
        """
        held = turn.held
        try:
            if held.has_ended:
                ran(turn, 0.0)
                await self._deliver(turn)
                return
            change = await self._attempted(turn, ran)
            status = await self._write(turn, change)
            if status in FINAL:
                self.ended[status.value] += 1
                self.desk.store.tell_ended(held.attempt.function, held.attempt.task_id)
                if status is change.status and destination_of(held, status) is not None:
                    turn.held = replace(
                        held, status=status, deliveries=change.deliveries, setbacks=0
                    )
                    await self._deliver(turn)
        except Leaving:
            return
        finally:
            if turn.lost:
                self.log.warning("task.lost", function=held.attempt.function, seq=held.attempt.seq)

    def cancel(self, turn: Turn) -> None:
        """For `Turn.stop` or `Turn.leave`: if it is running, its instance is ended."""
        if turn.running and turn.task is not None:
            turn.running = False
            turn.task.cancel()

    # -- running -------------------------------------------------------------------------------

    async def _attempted(self, turn: Turn, ran: Callable[[Turn, float], None]) -> Change:
        held, decider, loop = turn.held, self.decider, asyncio.get_running_loop()
        turn.started_ms = started_ms = now_ms()
        began = loop.time()
        try:
            if held.expires_ms <= started_ms:
                return decider.expired(held, started_ms)
            if turn.stop:
                return decider.stopped(held, None, started_ms, "")
            if turn.leave:
                return decider.given_back(held, started_ms, "", begun=False)
            marking = loop.call_later(MARK_S, self._mark, turn)
            self.counts["attempts"] += 1
            try:
                result = await self._ran(turn)
            finally:
                marking.cancel()
        finally:
            ran(turn, loop.time() - began)
        now = now_ms()
        lines = "" if turn.marked else event_line(Status.RUNNING, started_ms)
        chance = random.random()  # noqa: S311 (so that they do not come again together)
        course = Course(started_ms=started_ms, now=now, lines=lines, chance=chance)
        if result is None:
            if turn.stop:
                return decider.stopped(held, started_ms, now, lines)
            return decider.given_back(held, now, lines, begun=True)
        if isinstance(result, Exception):
            change = decider.failed(held, result, course)
            self.counts["setbacks"] += change.status is Status.RETRYING
            return change
        change = decider.ran(held, result, course)
        self.counts["retries"] += change.status is Status.RETRYING
        return change

    async def _ran(self, turn: Turn) -> Result | Exception | None:
        """What came of it; None if we ended it."""
        turn.running = True
        try:
            return await self.run(turn.held.attempt)
        except asyncio.CancelledError:
            if not (turn.stop or turn.leave):
                raise  # the loop is being torn down
            return None
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not end the engine)
            if type(error).__module__.partition(".")[0] != "fc_runtime":
                self.log.warning("task.not_run", seq=turn.held.attempt.seq, error=repr(error))
            return error
        finally:
            turn.running = False

    def _mark(self, turn: Turn) -> None:
        turn.marked = True
        mark = Mark(owner=self.decider.owner, held=turn.held, at_ms=turn.started_ms or now_ms())
        # Nobody waits for it: what is written at the end says it too.
        self.desk.mark(mark)

    # -- writing, telling ----------------------------------------------------------------------

    async def _write(self, turn: Turn, change: Change) -> Status:
        """Until it is written. Raises Leaving if it is not ours any more, or we go."""
        tries = 0
        while True:
            try:
                status = await self.desk.write(change)
            except StoreError as error:
                tries += 1
                self.log.warning("store.failed", error=str(error), tries=tries)
                await self._pause(turn, _WRITING.after(tries, 0.0))
                continue
            if status is None:
                turn.lost = True
                raise Leaving
            return status

    async def _pause(self, turn: Turn, seconds: float) -> None:
        turn.running = True
        try:
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return
        except asyncio.CancelledError:
            if turn.leave:
                raise Leaving from None
            if turn.stop:  # what has come of it stands: only the pause is shorter
                return
            raise
        finally:
            turn.running = False

    async def _deliver(self, turn: Turn) -> None:
        if turn.leave:
            raise Leaving
        held = turn.held
        error: Exception | None = None
        try:
            async with self.telling:
                await self._told(held)
        except Exception as raised:  # noqa: BLE001 (whatever a destination raises: told again later)
            error = raised
        self.counts["deliveries" if error is None else "deliveries_failed"] += 1
        change = self.decider.delivered(held, error, now_ms(), random.random())  # noqa: S311 (as above)
        await self._write(turn, change)

    async def _told(self, held: Held) -> None:
        where = destination_of(held, held.status)
        if where is None or self.destinations is None:
            raise UndeliverableError(f"{where}: this engine knows no destinations")
        attempt = held.attempt
        ended = await in_thread(lambda: self.desk.store.get(attempt.function, attempt.task_id))
        await self.destinations(where, ended).deliver(ended)
