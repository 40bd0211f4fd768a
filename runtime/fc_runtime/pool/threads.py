"""
A few daemon threads for work that must not be done in the caller's time: submitted invocations,
standbys, ending processes.

Not concurrent.futures: its threads are joined when the interpreter exits, which would make a host
that forgot `close` wait for handlers.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

IDLE_S: Final = 10.0


class Threads:
    """Runs callables, each in the next free thread; a thread unused for `IDLE_S` ends."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._closed = False

    @property
    def backlog(self) -> int:
        """What is queued and has no thread yet."""
        return len(self._work)

    def run(self, work: Callable[[], None]) -> None:
        """Queue *work*, which must not raise."""
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
                return
            if self._threads >= self._most:
                return
            self._threads += 1
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def close(self) -> None:
        """Idle ones end now, others when they are done. `run` goes on working."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._work or self._closed, IDLE_S)
                self._idle -= 1
                if not self._work:
                    self._threads -= 1
                    return
                work = self._work.popleft()
            try:
                work()
            except BaseException:
                with self._changed:
                    self._threads -= 1  # this one ends, and shows why; another takes its place
                raise
            del work  # or an idle thread would keep alive whatever it has last worked for
