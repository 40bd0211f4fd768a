"""
A few daemon threads for work that must not be done in the caller's time: submitted invocations,
standbys, ending processes.

Not concurrent.futures: its threads are joined when the interpreter exits, which would make a host
that forgot `close` wait for handlers.

A host may have no room for another thread. As long as there is one, it does the work of all. If
there is none, work that nobody needs to do is refused; work that has to be done (`later`) waits.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from fc_runtime.errors import OverloadedError

IDLE_S: Final = 10.0
LOOK_FOR_ROOM_S: Final = 0.1
LEAVES_WITHIN_S: Final = 1.0  # who is idle, and is told to go: microseconds, on a host that has any


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """A daemon thread that runs *target*. Raises OverloadedError if the host has no room for it."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OverloadedError(f"cannot start a thread: {error}") from error
    return thread


def show_error() -> None:
    """What is being handled, as of a thread that had died of it; but nothing ends."""
    kind, error, traceback = sys.exc_info()
    told = (kind or Exception, error, traceback, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(told))


class Threads:
    """Runs callables, each in the next free thread; a thread unused for `IDLE_S` ends."""

    def __init__(
        self,
        name: str,
        most: int,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        """
        *later*: has something run in so many seconds, on a thread that is there. With it nothing
        is refused.
        """
        self._name = name
        self._most = most
        self._later = later
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idents: set[int] = set()
        self._left: deque[threading.Thread] = deque(maxlen=most)  # and may not have ended yet
        self._idle = 0
        self._closed = False

    def is_this_thread(self) -> bool:
        """Is it one of them that calls this, say by way of a log of the host's?"""
        return threading.get_ident() in self._idents

    @property
    def backlog(self) -> int:
        """What is queued and has no thread yet."""
        return len(self._work)

    def run(self, work: Callable[[], None]) -> None:
        """
        Queue *work*, which must not raise. Raises OverloadedError, and nothing is queued, if there
        is no thread and no room for one, and it may be refused.
        """
        with self._changed:
            self._work.append(work)
            try:
                self._find_thread()
            except OverloadedError:
                self._work.remove(work)
                raise

    def _find_thread(self) -> None:
        """Under the lock, which a new thread has to wait for: one for what is queued."""
        if self._idle >= len(self._work):
            self._changed.notify()
            return
        if self._threads >= self._most:
            return
        try:
            start_thread(self._name, self._serve)
        except OverloadedError:
            if self._threads:
                return  # those that are there will do it, one after the other
            if self._later is None:
                raise
            self._later(LOOK_FOR_ROOM_S, self._look_again)
        else:
            self._threads += 1

    def _look_again(self) -> None:
        with self._changed:
            if self._work:
                self._find_thread()

    def close(self, within_s: float = 0.0) -> bool:
        """
        Idle ones end now, and have ended when this returns; others when they are done. `run` goes
        on working.

        Args:
            within_s: seconds to wait for the others.

        Returns:
            Whether all have ended, and nothing is queued.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._threads, within_s)
            self._changed.wait_for(lambda: not self._idle, LEAVES_WITHIN_S)
            all_ended = not (self._threads or self._work)
            left = list(self._left)
        for thread in left:
            if thread.ident != threading.get_ident():
                thread.join(LEAVES_WITHIN_S)
        return all_ended

    def _serve(self) -> None:
        self._idents.add(threading.get_ident())
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._work or self._closed, IDLE_S)
                self._idle -= 1
                if not self._work:
                    self._leave()
                    return
                work = self._work.popleft()
            try:
                work()
            except BaseException:
                with self._changed:
                    self._leave()  # and show why; another takes its place
                raise
            del work  # or an idle thread would keep alive whatever it has last worked for

    def _leave(self) -> None:
        """Under the lock: one thread less."""
        self._threads -= 1
        self._idents.discard(threading.get_ident())
        self._left.append(threading.current_thread())
        if self._closed:
            self._changed.notify_all()
