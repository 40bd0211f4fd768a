"""
Runs what the store has. Three loops and a task for each that is held, on one event loop; whatever
touches the database is done by the store's writer.

    take  ─▶ lines (a function's turn, its places) ─▶ attempts (run, decide, write, tell)
    beat  ─▶ who is to be stopped; who is dead, and what he held
    tidy  ─▶ what has expired; what may be deleted
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fc_runtime.errors import StoreError
from fc_runtime.pool.events import SILENCE, Log
from fc_runtime.tasks.attempts import Attempts, Run, Turn
from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.deciding import Decider
from fc_runtime.tasks.desk import Desk
from fc_runtime.tasks.destinations import Resolve
from fc_runtime.tasks.holding import Ask, Beat, Held, Taken
from fc_runtime.tasks.lines import Lines
from fc_runtime.tasks.loops import call, cancelled, repeat, until
from fc_runtime.tasks.owners import new_owner
from fc_runtime.tasks.policy import Policy
from fc_runtime.tasks.store import Store
from fc_runtime.tasks.tidying import PURGED_A_TIME

AFTERWARDS_S: Final = 30.0  # for what was ended to be gone, and written


class Engine:
    """
    Takes tasks from *store*, runs them by *run*, and writes down what came of it.

    Belongs to the loop in which `start` is awaited; several processes may each have one, on one
    database. Nothing in it blocks that loop.

    Args:
        run: one attempt; its result, whatever the outcome (``check=False``). Cancelled when the
            task is to be stopped: then the instance has to be ended, as `AsyncRuntime.invoke`
            does. FunctionNotFoundError, InvalidFunctionError and EventTooLargeError end the task
            as Invalid; whatever else it raises is no fault of the function's: tried again, until
            the task is too old.
        concurrency: how many of a function may run at the same time, here; 0 leaves its tasks in
            the queue (until they expire). Asked on any thread, often: quick, and thread-safe.
        destinations: from what `Submission.on_success` says to who is told.
        node: a name that no other process has at the same time, and the next life of this one has
            again: what that one held is then taken over at once, and not when its lease runs out.
            On one machine it is not needed: whether a process there is alive can be seen.
    """

    def __init__(
        self,
        store: Store,
        run: Run,
        *,
        concurrency: Callable[[str], int],
        destinations: Resolve | None = None,
        policy: Policy | None = None,
        node: str = "",
        log: Log = SILENCE,
    ) -> None:
        self._policy = policy or Policy()
        self._owner = new_owner(node)
        self._desk = Desk(store)
        self._log = log
        self._lines = Lines(concurrency, self._policy.most_running)
        self._attempts = Attempts(
            desk=self._desk,
            run=run,
            decider=Decider(owner=self._owner.owner, policy=self._policy, limits=store.limits),
            destinations=destinations,
            log=log,
        )
        self._turns: dict[int, Turn] = {}
        self._after = ""  # the function whose turn it was last
        self._next_due_ms: int | None = None
        self._wake = asyncio.Event()
        self._signalled = False
        self._loops: list[asyncio.Task[None]] = []
        self._forget: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Take over what dead ones of this host held, and begin. Raises StoreError."""
        store, loop = self._desk.store, asyncio.get_running_loop()
        await self._look()
        self._forget = [
            store.when_changed(partial(self._on_changed, loop)),
            store.when_stopping(partial(self._on_stopping, loop)),
        ]
        policy = self._policy
        self._loops = [
            loop.create_task(repeat(self._take, None, "take", self._log)),
            loop.create_task(repeat(self._tidy, policy.tidy, "tidy", self._log)),
            loop.create_task(repeat(self._look, policy.beat, "beat", self._log)),
        ]

    async def stop(self, drain: float | None = None) -> None:
        """
        Take no more; return when nothing runs. What still runs after *drain* seconds (None: as
        long as it takes) is ended, and goes back to the queue, as does what had not begun.
        """
        for forget in self._forget:
            forget()
        await cancelled(self._loops[:-1])  # the last one, the heart, goes on
        for turn in self._lines.drain():
            await self._give_back(turn)
        await self._ended(drain)
        for turn in self._turns.values():
            turn.leave = True
            self._attempts.cancel(turn)
        await self._ended(AFTERWARDS_S)
        await cancelled(self._loops)
        self._loops = []
        try:
            await self._desk.leave(self._owner)
        except StoreError as error:  # somebody takes over, when the lease has run out
            self._log.warning("store.failed", error=str(error))

    def stats(self) -> dict[str, Any]:
        """
        JSON-able, of this process since its start: ``running``, ``ready`` (dequeued, not begun),
        by function in ``functions``; ``ended`` by status; ``attempts``, ``retries``, ``setbacks``,
        ``taken_over``, ``deliveries``, ``deliveries_failed``. For the whole queue: `Store.depth`.
        """
        functions = self._lines.counts()
        names = "attempts retries setbacks taken_over deliveries deliveries_failed".split()
        return {
            "running": self._lines.running,
            "ready": sum(one["ready"] for one in functions.values()),
            "functions": functions,
            "ended": dict(self._attempts.ended),
            **{name: self._attempts.counts[name] for name in names},
        }

    # -- taking --------------------------------------------------------------------------------

    async def _take(self) -> None:
        """All that there is room for, and then until there may be more."""
        self._wake.clear()
        self._next_due_ms = None
        wraps = bool(self._after)
        while (free := 2 * self._policy.most_running - len(self._turns)) > 0:
            held_before = list(self._turns.values())
            taken = await self._desk.take(
                Ask(
                    owner=self._owner,
                    lease_s=self._policy.lease,
                    after=self._after,
                    rooms=self._lines.room,
                    taken=self._lines.taken(),
                    free=free,
                    kept=self._lines.kept,
                )
            )
            self._after = taken.after
            if taken.lost:
                self._lose(held_before)
            self._received(taken)
            if taken.blocked:
                break
            if not taken.after:
                if not wraps and not self._worth_another(taken):
                    break
                wraps = False
        await until(self._wake, self._patience_s())

    def _received(self, taken: Taken) -> None:
        self._lines.deep |= taken.deep
        self._lines.deep -= taken.shallow
        if taken.next_due_ms is not None:
            self._next_due_ms = min(self._next_due_ms or taken.next_due_ms, taken.next_due_ms)
        for held in taken.held:
            self._lines.add(self._turn(held))
        self._begin()

    def _worth_another(self, taken: Taken) -> bool:
        return bool(taken.held) and any(self._lines.room(name) > 0 for name in taken.deep)

    def _patience_s(self) -> float:
        if self._next_due_ms is None:
            return self._policy.poll
        return min(self._policy.poll, max(0.0, (self._next_due_ms - now_ms()) / 1000))

    def _turn(self, held: Held) -> Turn:
        turn = Turn(held)
        self._turns[held.attempt.seq] = turn
        return turn

    def _begin(self) -> None:
        for turn in self._lines.begin():
            self._began(turn)

    def _began(self, turn: Turn) -> None:
        turn.task = asyncio.get_running_loop().create_task(self._attempts.take(turn, self._ran))
        turn.task.add_done_callback(partial(self._over, turn))

    def _ran(self, turn: Turn, seconds: float) -> None:
        if self._lines.ran(turn, seconds):
            self._wake.set()
        self._begin()

    def _over(self, turn: Turn, task: "asyncio.Task[None]") -> None:
        if len(self._turns) >= 2 * self._policy.most_running:
            self._wake.set()
        self._turns.pop(turn.held.attempt.seq, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("task.failed", seq=turn.held.attempt.seq, error=repr(error))

    # -- looking around ------------------------------------------------------------------------

    async def _look(self) -> None:
        held_before = list(self._turns.values())
        seen = await self._desk.beat(
            Beat(owner=self._owner, lease_s=self._policy.lease, holds=bool(self._turns))
        )
        if seen.lost:
            self._lose(held_before)
        for seq in seen.to_stop:
            self._stop_one(seq)
        if seen.taken_over:
            self._attempts.counts["taken_over"] += seen.taken_over
            self._log.warning("tasks.taken_over", count=seen.taken_over)
            self._wake.set()

    async def _tidy(self) -> None:
        for held in await self._desk.take_expired(self._owner, self._policy.lease):
            self._began(self._lines.begin_now(self._turn(held)))
        while await self._desk.purge() == PURGED_A_TIME:
            pass
        while await self._desk.shrink():
            pass

    def _stop_one(self, seq: int) -> None:
        turn = self._turns.get(seq)
        if turn is None or turn.stop:
            return
        turn.stop = True
        if turn.task is None:
            self._began(self._lines.begin_now(turn))
        else:
            self._attempts.cancel(turn)

    def _lose(self, turns: list[Turn]) -> None:
        """Others thought us dead, and run what we held: nothing of it is ours to write."""
        if not turns:  # as when a life begins
            return
        self._log.warning("tasks.lost", count=len(turns))
        for turn in turns:
            turn.leave = turn.lost = True
            if turn.task is None:
                self._lines.discard(turn)
                self._turns.pop(turn.held.attempt.seq, None)
            else:
                self._attempts.cancel(turn)

    def _on_changed(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._signalled:
            self._signalled = True
            call(loop, self._on_signal)

    def _on_signal(self) -> None:
        self._signalled = False
        self._wake.set()

    def _on_stopping(self, loop: asyncio.AbstractEventLoop, seq: int) -> None:
        call(loop, self._stop_one, seq)

    # -- ending --------------------------------------------------------------------------------

    async def _give_back(self, turn: Turn) -> None:
        self._turns.pop(turn.held.attempt.seq, None)
        change = self._attempts.decider.given_back(turn.held, now_ms(), "", begun=False)
        try:
            await self._desk.write(change)
        except StoreError as error:
            self._log.warning("store.failed", error=str(error))

    async def _ended(self, within_s: float | None) -> None:
        tasks = [turn.task for turn in self._turns.values() if turn.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
