"""
How many wait, kept count of by the writer's thread, so that a queue that is full is refused without
counting it each time.

Exact for what this process does. What others do is seen at the next count, a second later, or more
if counting takes long: so with several daemons the limits are limits within some seconds.
"""

import time
from collections import Counter
from typing import Final

from sqlalchemy import Connection, func, select

from fc_runtime.errors import OverloadedError
from fc_runtime.tasks.records import Limits
from fc_runtime.tasks.schema import IS_WAITING, TASKS

COUNT_EVERY_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.1  # before somebody is refused
SHARE: Final = 20  # at most a 20th of the time is spent on counting

COUNTED: Final = (
    select(TASKS.c.function, func.count(), func.min(TASKS.c.due_ms))
    .where(IS_WAITING)
    .group_by(TASKS.c.function)
)


class Fullness:
    """Belongs to one thread, all but `limits`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: Counter[str] = Counter()
        self._total = 0
        self._counted_at: float | None = None
        self._took_s = 0.0

    def refusal(self, connection: Connection, function: str) -> OverloadedError | None:
        """Why one more of *function* cannot be taken; None, and it is counted, if it can."""
        self._count(connection, COUNT_EVERY_S)
        if self._told(function):
            self._count(connection, LOOK_AGAIN_S)
        told = self._told(function)
        if told:
            return OverloadedError(told)
        self.add(function, 1)
        return None

    def add(self, function: str, count: int) -> None:
        """So many more, or fewer, wait."""
        self._waiting[function] += count
        self._total += count

    def _told(self, function: str) -> str:
        if self._total >= self.limits.waiting:
            return f"{self._total} tasks wait already, the limit is {self.limits.waiting}"
        mine = self._waiting[function]
        if mine >= self.limits.waiting_of_one:
            return f"{function}: {mine} tasks wait, the limit is {self.limits.waiting_of_one}"
        return ""

    def _count(self, connection: Connection, every_s: float) -> None:
        now = time.monotonic()
        if self._counted_at is not None and now - self._counted_at < max(
            every_s, SHARE * self._took_s
        ):
            return
        self._waiting = Counter(
            {function: count for function, count, _ in connection.execute(COUNTED)}
        )
        self._total = self._waiting.total()
        self._counted_at = time.monotonic()
        self._took_s = self._counted_at - now
