"""An engine on a thread of its own, for tests that ask from another; and attempts made to measure."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Self

from fc_runtime.outcome import RETURNED, Outcome, Raised, Result, Usage
from fc_runtime.tasks import Attempt, Backoff, Engine, Policy, Record, Store

WITHIN_S = 30.0
SOON = Backoff(first=0.01, most=0.02)
QUICK = Policy(retry=SOON, setback=SOON, delivery=SOON, beat=0.05, poll=0.05, tidy=0.05, lease=5.0)


def result(attempt: Attempt, outcome: Outcome = RETURNED, payload: bytes | None = None) -> Result:
    """What an attempt came to; by default it has returned its event."""
    body = attempt.event if payload is None else payload
    return Result(
        body, outcome, b"", attempt.request_id, attempt.function, 1.0, None, False, Usage(), "c-1"
    )


async def echo(attempt: Attempt) -> Result:
    """A function that returns its event."""
    return result(attempt)


async def fails(attempt: Attempt) -> Result:
    """A function that raises."""
    return result(attempt, Raised("ValueError", "no"), b'{"errorMessage": "no"}')


class Gate:
    """Attempts wait here until they are let through; who is in can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.seen: list[Attempt] = []
        self.cancelled: list[Attempt] = []
        self.inside = 0
        self.most_inside = 0

    async def __call__(self, attempt: Attempt) -> Result:
        self._loop = asyncio.get_running_loop()
        let: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            self.seen.append(attempt)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self._open.append(let)
            self._changed.notify_all()
        try:
            await let
        except asyncio.CancelledError:
            self.cancelled.append(attempt)
            raise
        finally:
            with self._changed:
                self.inside -= 1
                self._changed.notify_all()
        return result(attempt)

    def wait_for(self, reached: Callable[[Self], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: reached(self), WITHIN_S), self.seen

    def let_through(self) -> None:
        """All who wait just now."""
        with self._changed:
            waiting, self._open = self._open, []
        for let in waiting:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(lambda let=let: let.done() or let.set_result(None))


class Running:
    """``with Running(store, run): …``; leaving stops it, and waits for what runs."""

    def __init__(
        self,
        store: Store,
        run: Callable[[Attempt], Awaitable[Result]],
        concurrency: int | Callable[[str], int] = 10,
        **options: Any,
    ) -> None:
        self._store = store
        limit = concurrency if callable(concurrency) else lambda _name: concurrency
        self._make = lambda: Engine(store, run, concurrency=limit, **{"policy": QUICK, **options})
        self._begun: Future[None] = Future()
        self._drain: Future[float | None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.engine: Engine

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.result(WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, drain: float | None = None) -> None:
        if not self._drain.done():
            self._drain.set_result(drain)
        self._thread.join()

    async def _serve(self) -> None:
        self.engine = self._make()
        try:
            await self.engine.start()
        except BaseException as error:
            self._begun.set_exception(error)
            raise
        self._begun.set_result(None)
        await self.engine.stop(await asyncio.wrap_future(self._drain))


def wait_until(
    store: Store, function: str, task_id: str, reached: Callable[[Record], bool]
) -> Record:
    """The record, once it is as *reached* wants it: woken when it ends, and looked at meanwhile."""
    changed = threading.Event()
    forget = store.when_ended(function, task_id, changed.set)
    try:
        for _ in range(int(WITHIN_S / 0.02)):
            record = store.get(function, task_id)
            if reached(record):
                return record
            changed.wait(0.02)
    finally:
        forget()
    raise AssertionError(f"after {WITHIN_S} s it is {record}")


def ended(store: Store, task: Record) -> Record:
    """The record, once it has ended and its destination, if any, has been told."""
    return wait_until(
        store,
        task.function,
        task.task_id,
        lambda record: record.ended and record.destination_status != "Pending",
    )
