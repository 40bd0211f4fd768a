"""What `invoke_async` hands back: a task to ask for, to wait for, to stop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial

from fc_runtime.errors import TaskEndedError
from fc_runtime.outcome import Result, Usage
from fc_runtime.tasks.deciding import NOT_KEPT
from fc_runtime.tasks.loops import call, until
from fc_runtime.tasks.records import Record
from fc_runtime.tasks.states import Status
from fc_runtime.tasks.store import Store
from fc_runtime.tasks.threads import in_thread

FIRST_LOOK_S = 0.05
LAST_LOOK_S = 1.0


class Task:
    """One asynchronous invocation. Any thread; also while it is another process that runs it."""

    def __init__(self, store: Store, function: str, task_id: str) -> None:
        self._store = store
        self.function = function
        self.id = task_id

    def record(self) -> Record:
        """All that is known of it now. Raises TaskNotFoundError, StoreError."""
        return self._store.get(self.function, self.id)

    @property
    def status(self) -> Status:
        """As `record`."""
        return self._store.get(self.function, self.id, bodies=False).status

    def result(self, timeout: float | None = None, *, check: bool = True) -> Result:
        """
        Wait for its end, and hand back what its last attempt came to. The log is not kept.

        Args:
            timeout: seconds to wait; None for as long as it takes.
            check: raise the outcome's error, as `Runtime.invoke` does.
        Raises: TimeoutError: it has not ended by then, and goes on. InvocationError subclasses.
            TaskEndedError: it was stopped, or expired, or its result was too long to be kept.
        """
        ended = threading.Event()
        forget = self._store.when_ended(self.function, self.id, ended.set)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            for pause_s in looks():
                record = self.record()
                if record.ended:
                    return result_of(record, check=check)
                left_s = pause_s if deadline is None else min(pause_s, deadline - time.monotonic())
                if left_s <= 0:
                    raise TimeoutError(f"{self!r}: it is {record.status}")
                ended.wait(left_s)
        finally:
            forget()
        raise AssertionError("there is always another look")

    def stop(self) -> Record:
        """See `Store.stop`."""
        return self._store.stop(self.function, self.id)

    def retry(self) -> Record:
        """See `Store.retry`."""
        return self._store.retry(self.function, self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} of {self.function!r}>"


class AsyncTask:
    """`Task` for asyncio."""

    def __init__(self, store: Store, function: str, task_id: str) -> None:
        self._store = store
        self.function = function
        self.id = task_id

    async def record(self) -> Record:
        """See `Task.record`."""
        return await in_thread(lambda: self._store.get(self.function, self.id))

    async def status(self) -> Status:
        """See `Task.status`."""
        return (await self.record()).status

    async def result(self, timeout: float | None = None, *, check: bool = True) -> Result:  # noqa: ASYNC109 (as `Task` has it)
        """See `Task.result`."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        forget = self._store.when_ended(self.function, self.id, partial(call, loop, ended.set))
        deadline = None if timeout is None else loop.time() + timeout
        try:
            for pause_s in looks():
                record = await self.record()
                if record.ended:
                    return result_of(record, check=check)
                left_s = pause_s if deadline is None else min(pause_s, deadline - loop.time())
                if left_s <= 0:
                    raise TimeoutError(f"{self!r}: it is {record.status}")
                await until(ended, left_s)
        finally:
            forget()
        raise AssertionError("there is always another look")

    async def stop(self) -> Record:
        """See `Store.stop`."""
        return await asyncio.wrap_future(self._store.stop_soon(self.function, self.id))

    async def retry(self) -> Record:
        """See `Store.retry`."""
        return await asyncio.wrap_future(self._store.retry_soon(self.function, self.id))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} of {self.function!r}>"


def looks() -> Iterator[float]:
    """How long to wait, each time, for what nobody tells us: that another process has ended it."""
    pause_s = FIRST_LOOK_S
    while True:
        yield pause_s
        pause_s = min(LAST_LOOK_S, pause_s * 1.5)


def result_of(record: Record, *, check: bool) -> Result:
    """What its last attempt came to. Raises as `Task.result` does."""
    outcome = record.outcome
    if record.status not in (Status.SUCCEEDED, Status.FAILED) or outcome is None:
        why = next((event.detail for event in reversed(record.events) if event.detail), "")
        raise TaskEndedError(
            f"{record.function}: task {record.task_id} is {record.status}: {why}".rstrip(": "),
            record.status.value,
        )
    if record.error_type == NOT_KEPT:
        raise TaskEndedError(
            f"{record.function}: task {record.task_id} succeeded; {record.events[-1].detail}",
            record.status.value,
        )
    result = Result(
        payload=record.payload or b"",
        outcome=outcome,
        log=b"",
        request_id=record.request_id,
        function=record.function,
        duration_ms=float(record.duration_ms or 0),
        init_duration_ms=None,
        cold_start=False,
        usage=Usage(),
        instance_id=record.instance_id,
    )
    return result.raise_for_outcome() if check else result
