"""
The store as those who ask for tasks see it: accept, get, list, stop, retry. Who runs them is
`engine`; both may be in different processes, on one database.
"""

import threading
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import Future
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from fc_runtime.errors import (
    EventTooLargeError,
    FcRuntimeError,
    OverloadedError,
    StoreError,
)
from fc_runtime.tasks import accepting, changing
from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.fullness import COUNTED, Fullness
from fc_runtime.tasks.opening import opened, reading, reason
from fc_runtime.tasks.reading import Query, read
from fc_runtime.tasks.records import Depth, Limits, Page, Record, Submission
from fc_runtime.tasks.schema import IS_HELD, TASKS
from fc_runtime.tasks.states import Status
from fc_runtime.tasks.writer import Writer

T = TypeVar("T")
_OVERHEAD_BYTES: Final = 1024  # of one that is handed over, besides its event


class Store:
    """
    Tasks in a database: ``sqlite:////absolute/path.db``, ``postgresql+psycopg://user@host/name``.

    Thread-safe; its methods wait for the database, and are not for an event loop, but for those
    that return a future (``await asyncio.wrap_future(store.accept_soon(…))``). Several processes
    may have the same database open. Close it, or use it in a ``with``.

    Raises: InvalidFunctionError, StoreError.
    """

    def __init__(self, url: str, *, limits: Limits | None = None) -> None:
        self.limits = Limits() if limits is None else limits
        self.database = opened(url)
        self.writer = Writer(self.database)
        self.fullness = Fullness(self.limits)
        self._lock = threading.Lock()
        self._when_changed: list[Callable[..., None]] = []
        self._when_stopping: list[Callable[..., None]] = []
        self._waiting: dict[tuple[str, str], MutableSequence[Callable[[], None]]] = {}

    # -- accepting -----------------------------------------------------------------------------

    def accept(self, submission: Submission) -> Record:
        """
        Take it: when this returns it is on the disk, and will be run at least once.

        Raises: TaskExistsError: this function has a task of that id. EventTooLargeError.
            OverloadedError: too many wait. StoreError: it may have been taken, or not.
        """
        return self.accept_soon(submission).result()

    def accept_soon(self, submission: Submission) -> "Future[Record]":
        """As `accept`, for a loop: returns at once, and what it raises is in the future."""
        size = len(submission.event)
        refusal: FcRuntimeError | None = None
        if size > self.limits.event_bytes:
            refusal = EventTooLargeError(
                f"{submission.function}: the event has {size} bytes, "
                f"the limit of an asynchronous invocation is {self.limits.event_bytes}"
            )
        elif self.writer.pending_bytes + size > self.limits.pending_bytes:
            refusal = OverloadedError(
                f"{self.writer.pending_bytes} bytes wait to be written: the disk is too slow"
            )
        if refusal is not None:
            refused: Future[Record] = Future()
            refused.set_exception(refusal)
            return refused
        future = self.writer.ask(self._accept, submission, size + _OVERHEAD_BYTES)
        future.add_done_callback(self._accepted)
        return future

    def _accept(
        self, connection: Connection, submissions: Sequence[Submission]
    ) -> Sequence[Record | FcRuntimeError]:
        return accepting.accept(connection, self.fullness, submissions)

    def _accepted(self, future: "Future[Record]") -> None:
        if future.exception() is None:
            self.tell_changed()

    # -- reading -------------------------------------------------------------------------------

    def get(self, function: str, task_id: str, *, bodies: bool = True) -> Record:
        """
        One task, with event and payload unless *bodies* is False.

        Raises: TaskNotFoundError, StoreError.
        """
        return self._read(lambda connection: read(connection, function, task_id, bodies=bodies))

    def list(self, query: Query) -> Page:
        """Those that *query* asks for, one page. Raises StoreError."""
        return self._read(query.page)

    def depth(self) -> Depth:
        """How full the queue is. Counts what waits: for metrics, not for every call."""
        return self._read(_depth)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with reading(self.database) as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise StoreError(f"the store of tasks could not be read: {reason(error)}") from error

    # -- stopping, and once more ---------------------------------------------------------------

    def stop(self, function: str, task_id: str) -> Record:
        """
        End it: one that waits is Stopped at once, one that runs is Stopping until its instance
        is told to go, here or in whichever process has it, a second later. One that has ended
        stays as it is. Raises TaskNotFoundError, StoreError.
        """
        return self.stop_soon(function, task_id).result()

    def stop_soon(self, function: str, task_id: str) -> "Future[Record]":
        """As `stop`, for a loop."""
        future = self.writer.ask(self._stop, (function, task_id))
        future.add_done_callback(self._touched)
        return future

    def retry(self, function: str, task_id: str) -> Record:
        """
        Run one that has ended once more: from the start, with all its attempts, and its age
        counted from now. Raises TaskNotFoundError, StoreError; InvalidFunctionError if it has not
        ended.
        """
        return self.retry_soon(function, task_id).result()

    def retry_soon(self, function: str, task_id: str) -> "Future[Record]":
        """As `retry`, for a loop."""
        future = self.writer.ask(self._retry, (function, task_id))
        future.add_done_callback(self._touched)
        return future

    def _touched(self, future: "Future[Record]") -> None:
        if future.exception() is None:
            record = future.result()
            self.tell_changed()
            if record.status is Status.STOPPING:
                self._tell(self._when_stopping, record.seq)
            if record.ended:
                self.tell_ended(record.function, record.task_id)

    def _stop(
        self, connection: Connection, names: Sequence[tuple[str, str]]
    ) -> Sequence[Record | FcRuntimeError]:
        return [changing.stop(connection, self.fullness, *name) for name in names]

    def _retry(
        self, connection: Connection, names: Sequence[tuple[str, str]]
    ) -> Sequence[Record | FcRuntimeError]:
        return [changing.retry(connection, self.fullness, *name) for name in names]

    # -- who is told ---------------------------------------------------------------------------

    def when_changed(self, tell: Callable[[], None]) -> Callable[[], None]:
        """
        Have *tell* called, on any thread, when this process has put something in the queue.
        Returns what takes that back.
        """
        return self._listen(self._when_changed, tell)

    def when_stopping(self, tell: Callable[[int], None]) -> Callable[[], None]:
        """Likewise, with its ``seq``, when this process has asked one that is held to stop."""
        return self._listen(self._when_stopping, tell)

    def tell_changed(self) -> None:
        """See `when_changed`."""
        self._tell(self._when_changed)

    def _listen(
        self, listeners: MutableSequence[Callable[..., None]], tell: Callable[..., None]
    ) -> Callable[[], None]:
        with self._lock:
            listeners.append(tell)

        def forget() -> None:
            with self._lock:
                if tell in listeners:
                    listeners.remove(tell)

        return forget

    def _tell(self, listeners: Sequence[Callable[..., None]], *what: object) -> None:
        with self._lock:
            told = tuple(listeners)
        for tell in told:
            tell(*what)

    def when_ended(
        self, function: str, task_id: str, tell: Callable[[], None]
    ) -> Callable[[], None]:
        """
        Have *tell* called, on any thread, when this process has seen it end. Ask before you look.
        Returns what takes that back.
        """
        key = (function, task_id)
        with self._lock:
            self._waiting.setdefault(key, []).append(tell)

        def forget() -> None:
            with self._lock:
                waiting = self._waiting.get(key, [])
                if tell in waiting:
                    waiting.remove(tell)
                if not waiting:
                    self._waiting.pop(key, None)

        return forget

    def tell_ended(self, function: str, task_id: str) -> None:
        """See `when_ended`."""
        with self._lock:
            waiting = tuple(self._waiting.get((function, task_id), ()))
        for tell in waiting:
            tell()

    # -- ending --------------------------------------------------------------------------------

    def close(self) -> None:
        """What was asked for is written first. Stop the engine before. Safe to call twice."""
        self.writer.close()
        self.database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.database.url.render_as_string(hide_password=True)}>"


def _depth(connection: Connection) -> Depth:
    waiting: dict[str, int] = {}
    oldest_ms = now = now_ms()
    for function, count, due_ms in connection.execute(COUNTED):
        waiting[function] = count
        oldest_ms = min(oldest_ms, due_ms)
    held = connection.execute(select(func.count()).select_from(TASKS).where(IS_HELD)).scalar_one()
    return Depth(
        waiting=sum(waiting.values()),
        held=int(held),
        oldest_due_s=(now - oldest_ms) / 1000,
        waiting_by_function=waiting,
    )
