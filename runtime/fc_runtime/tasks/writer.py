"""
The one thread that writes: whatever is asked of it while it commits goes into its next commit.

A commit waits for the disk (or for PostgreSQL's), some milliseconds; so what it costs is shared by
all who wait. Works of one kind in one commit are done by one call, that can make one statement of
many. If a commit fails for a reason of one of its works, they are done again, each on its own, so
that it fails alone.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from fc_runtime.errors import FcRuntimeError, RuntimeClosedError, StoreError
from fc_runtime.pool.threads import start_thread
from fc_runtime.tasks.opening import reason

T = TypeVar("T")
R = TypeVar("R")
Work: TypeAlias = Callable[[Connection, Sequence[T]], Sequence[R | FcRuntimeError]]

MOST_IN_A_COMMIT: Final = 500
TRIES: Final = 3  # two daemons may get in each other's way; PostgreSQL then undoes one of them


@dataclass(slots=True)
class _Item:
    work: Work[Any, Any]
    value: Any
    done: "Future[Any]"
    size: int


class Writer:
    """Any thread may ask. `close` does what was asked before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.pending_bytes = 0
        self._thread = start_thread("fc-runtime-tasks-store", self._serve)

    def ask(self, work: Work[T, R], value: T, size: int = 0) -> "Future[R]":
        """
        Have *work* do *value*, together with others.

        The future is done once it is on the disk: with what *work* made of it, or what it refused
        it with. StoreError: the database could not be written. RuntimeClosedError.

        Args:
            size: bytes that wait for it meanwhile.
        """
        done: Future[R] = Future()
        done.set_running_or_notify_cancel()  # it is done whoever waits
        with self._changed:
            if self._closed:
                done.set_exception(RuntimeClosedError("the store of tasks is closed"))
                return done
            self.pending_bytes += size
            self._items.append(_Item(work, value, done, size))
            self._changed.notify()
        return done

    def close(self) -> None:
        """What was asked is done first. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    return
                count = min(len(self._items), MOST_IN_A_COMMIT)
                items = [self._items.popleft() for _ in range(count)]
            self._commit(items)
            with self._changed:
                self.pending_bytes -= sum(item.size for item in items)
            del items  # or an idle thread would keep alive whatever it has last worked for

    def _commit(self, items: list[_Item]) -> None:
        try:
            told = self._tried(items)
        except SQLAlchemyError as error:
            if len(items) > 1 and not isinstance(error, OperationalError):
                for item in items:
                    self._commit([item])
                return
            text = f"the store of tasks could not be written: {reason(error)}"
            told = [StoreError(text) for _ in items]  # each has a traceback of its own
        except Exception as error:  # noqa: BLE001 (a bug; the thread has to outlive it, and who asked is told)
            if len(items) > 1:
                for item in items:
                    self._commit([item])
                return
            items[0].done.set_exception(error)
            return
        for item, answer in zip(items, told, strict=True):
            if isinstance(answer, FcRuntimeError):
                item.done.set_exception(answer)
            else:
                item.done.set_result(answer)

    def _tried(self, items: list[_Item]) -> list[Any]:
        for left in reversed(range(TRIES)):
            try:
                with self._engine.begin() as connection:
                    return _done(connection, items)
            except (OperationalError, IntegrityError) as error:
                if not left or not _is_passing(error):
                    raise
        raise AssertionError("the last try raises")


def _done(connection: Connection, items: list[_Item]) -> list[Any]:
    """What each came to, in order; those of one kind by one call, in the order of the kinds."""
    kinds: dict[Work[Any, Any], list[int]] = {}
    for index, item in enumerate(items):
        kinds.setdefault(item.work, []).append(index)
    told: list[Any] = [None] * len(items)
    for work, indexes in kinds.items():
        answers = work(connection, [items[index].value for index in indexes])
        for index, answer in zip(indexes, answers, strict=True):
            told[index] = answer
    return told


def _is_passing(error: OperationalError | IntegrityError) -> bool:
    """PostgreSQL undid this one for another's sake: a deadlock, or a serialization failure."""
    return getattr(error.orig, "sqlstate", None) in ("40P01", "40001")
