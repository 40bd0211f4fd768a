"""
What an engine has taken, a line for each function: who runs, who is next, how long they take.
Pure bookkeeping, on the engine's loop.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fc_runtime.tasks.attempts import Turn
from fc_runtime.tasks.policy import ahead

WEIGHT: Final = 0.2  # of the last one, in the average


@dataclass(slots=True)
class Line:
    """Of one function."""

    running: int = 0
    ready: deque[Turn] = field(default_factory=deque)
    average_s: float | None = None

    @property
    def taken(self) -> int:
        return self.running + len(self.ready)


class Lines:
    """
    *limit*: of a function, how many may run. *most*: how many may run in all; the last quarter of
    them is for functions that have none running.
    """

    def __init__(self, limit: Callable[[str], int], most: int) -> None:
        self._limit = limit
        self._most = most
        self._lines: dict[str, Line] = {}
        self._ready: dict[str, None] = {}  # functions with somebody ready, in the order of turns
        self.running = 0
        self.deep: set[str] = set()  # there may be more in the queue, that is due

    @property
    def kept(self) -> int:
        return self._most // 4

    def room(self, function: str) -> int:
        """How many more may be taken of it. Any thread."""
        line = self._lines.get(function)
        limit = self._limit(function)
        if limit <= 0:
            return 0
        if line is None:
            return limit
        return limit + ahead(limit, line.average_s) - line.taken

    def taken(self) -> dict[str, int]:
        """How many there are of each function."""
        return {function: line.taken for function, line in self._lines.items() if line.taken}

    def add(self, turn: Turn) -> None:
        """It has been taken, and waits for its turn."""
        function = turn.held.attempt.function
        self._lines.setdefault(function, Line()).ready.append(turn)
        self._ready.setdefault(function)

    def begin(self) -> Iterator[Turn]:
        """Those who may run now, function by function in turn; each is counted as running."""
        for function in list(self._ready):
            line = self._lines[function]
            limit = max(1, self._limit(function))  # one that is taken is not kept for ever
            while line.ready and line.running < limit and self._has_place(line):
                yield self._began(line, line.ready.popleft())
            if line.ready:  # last, the next time
                del self._ready[function]
                self._ready[function] = None
            else:
                del self._ready[function]

    def begin_now(self, turn: Turn) -> Turn:
        """It will not run, only end: no place is needed."""
        line = self._lines.setdefault(turn.held.attempt.function, Line())
        if turn in line.ready:
            line.ready.remove(turn)
        return self._began(line, turn)

    def discard(self, turn: Turn) -> None:
        """It has not begun, and will not."""
        line = self._lines[turn.held.attempt.function]
        if turn in line.ready:
            line.ready.remove(turn)

    def ran(self, turn: Turn, seconds: float) -> bool:
        """Its place is free. Is it time to take more of its function?"""
        function = turn.held.attempt.function
        line = self._lines[function]
        line.running -= 1
        self.running -= 1
        if line.average_s is None:
            line.average_s = seconds
        line.average_s += WEIGHT * (seconds - line.average_s)
        if function not in self.deep:
            return False
        return len(line.ready) <= ahead(self._limit(function), line.average_s) // 2

    def drain(self) -> list[Turn]:
        """All who have not begun; they are no longer here."""
        waiting = [turn for line in self._lines.values() for turn in line.ready]
        for line in self._lines.values():
            line.ready.clear()
        self._ready.clear()
        return waiting

    def counts(self) -> dict[str, dict[str, int]]:
        """For people."""
        return {
            function: {"running": line.running, "ready": len(line.ready)}
            for function, line in self._lines.items()
            if line.taken
        }

    def _began(self, line: Line, turn: Turn) -> Turn:
        line.running += 1
        self.running += 1
        return turn

    def _has_place(self, line: Line) -> bool:
        most = self._most if not line.running else self._most - self.kept
        return self.running < most
