"""Runs what the store has: see `Engine`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fc_runtime.outcome import Result
from fc_runtime.pool.events import SILENCE, Log
from fc_runtime.tasks.destinations import Resolve
from fc_runtime.tasks.policy import Policy
from fc_runtime.tasks.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a task: what whoever runs it has to know."""

    seq: int
    function: str
    qualifier: str
    task_id: str
    request_id: str  # the same in every attempt
    event: bytes = field(repr=False)
    retry_count: int  # how often it may have been begun before: for ``context.retry_count``
    accepted_ms: int
    meta: Mapping[str, Any]


Run: TypeAlias = Callable[[Attempt], Awaitable[Result]]


class Engine:
    """
    Takes tasks from *store*, runs them by *run*, and writes down what came of it.

    Belongs to the loop in which `start` is awaited; several processes may each have one, on one
    database. Nothing in it blocks that loop.

    Args:
        run: one attempt; its result, whatever the outcome (``check=False``). Cancelled when the
            task is to be stopped: then the instance has to be ended, as `AsyncRuntime.invoke`
            does. FunctionNotFoundError and InvalidFunctionError end the task as Invalid; whatever
            else it raises is no fault of the function's: tried again, until the task is too old.
        concurrency: how many of a function may run at the same time, here; 0 leaves its tasks in
            the queue (until they expire). Asked on another thread, often: quick, and thread-safe.
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
    ) -> None: ...

    async def start(self) -> None:
        """Take over what dead ones of this host held, and begin. Raises StoreError."""

    async def stop(self, drain: float | None = None) -> None:
        """
        Take no more; return when nothing runs. What still runs after *drain* seconds (None: as
        long as it takes) is ended, and goes back to the queue, as does what had not begun.
        """

    def stats(self) -> dict[str, Any]:
        """
        JSON-able, of this process since its start: ``running``, ``ready`` (dequeued, not begun),
        by function in ``functions``; ``ended`` by status, ``attempts``, ``retries``, ``setbacks``,
        ``taken_over``, ``deliveries``, ``deliveries_failed``. For the whole queue: `Store.depth`.
        """
        return {}
