"""
The one thread that hears from the zygotes, keeps time, and is otherwise asleep.

It reads control sockets and runs what was asked for at an instant; it never waits for a handler,
never runs user code, and never forks. What takes time goes to threads: starts to
`background`, ends to those of `endings`.
"""

import heapq
import itertools
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from fc_worker import messages as m

from fc_runtime.errors import InternalError, OverloadedError
from fc_runtime.pool import exits
from fc_runtime.pool.endings import GONE_WITHIN_S, Endings
from fc_runtime.pool.events import Log
from fc_runtime.pool.instance import Exit, Instance, all_pidfds
from fc_runtime.pool.threads import Threads, show_error, start_thread
from fc_runtime.pool.zygote import Zygote

BACKGROUND_THREADS: Final = 4
_UNSEEN: Final = "the host had no file descriptor left to watch it"
LONGEST_SLEEP_S: Final = 86_400.0  # epoll takes no more than 2**31 milliseconds


class Supervisor:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.endings = Endings(log, self.after, exits.make_up_for)
        self.background = Threads("fc-runtime-background", BACKGROUND_THREADS)  # starts
        self._zygotes: dict[int, Zygote] = {}
        self._tasks: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._stopping = self._woken = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    # -- asked from any thread -----------------------------------------------------------------

    def watch(self, zygote: Zygote) -> None:
        """
        Hear *zygote* from now on. Starts the thread if this is the first.

        Raises OverloadedError if the host has no room for that; then it is not heard.
        """
        with self._lock:
            if self._thread is None:
                self._thread = start_thread("fc-runtime-supervisor", self._run)
            fd = zygote.fileno()
            self._zygotes[fd] = zygote
            try:
                self._epoll.register(fd, select.EPOLLIN)
            except OSError as error:
                del self._zygotes[fd]
                raise OverloadedError(f"cannot hear from a process: {error}") from error

    def soon(self, task: Callable[[], None]) -> None:
        """
        Run *task*, which must be short, on this thread. No lock, no thread, and two frames at most:
        so also at the end of a recursion, and while the interpreter ends.
        """
        self._tasks.append(task)
        if self._woken:
            return  # and it has not looked at its tasks yet
        self._woken = True
        try:
            os.eventfd_write(self._wake, 1)
        except (OSError, ValueError):
            pass  # closed: then nobody is interested in tasks
        except BaseException:
            self._woken = False
            raise

    def aside(self, work: Callable[[], None]) -> None:
        """As `soon`, for *work* that ends something: on a thread for that, it takes its time."""
        self.soon(partial(self.endings.threads.run, work))

    def after(self, seconds: float, task: Callable[[], None]) -> None:
        """Run *task*, which must be short, on this thread, in *seconds* from now."""
        at = time.monotonic_ns() + int(seconds * 1e9)

        def add() -> None:
            heapq.heappush(self._timers, (at, next(self._order), task))

        self.soon(add)

    def stop(self) -> None:
        """End the thread. All zygotes are gone by then."""
        with self._lock:
            self._stopping = True
            thread = self._thread
        if thread is not None and not self.is_this_thread():
            self.soon(lambda: None)
            thread.join(GONE_WITHIN_S)
        self.forget()

    def forget(self) -> None:
        """Close our own descriptors; in a forked child of the host, the child's copies."""
        with suppress(OSError):
            self._epoll.close()
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    def forget_zygotes(self) -> None:
        """In a forked child of the host: those that have been told to go are in no pool."""
        for zygote in list(self._zygotes.values()):
            zygote.forget()

    def wait_for_zygotes(self, within_s: float) -> None:
        """Until all zygotes are gone; one stuck in a preload is killed after that time."""
        if self._wait_for_zygotes(within_s):
            return
        with self._lock:
            stuck = list(self._zygotes.values())
        for zygote in stuck:
            zygote.kill()
        self._wait_for_zygotes(1.0)

    def _wait_for_zygotes(self, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while self._zygotes and time.monotonic() < until:
            gone = threading.Event()
            self.soon(gone.set)
            gone.wait(until - time.monotonic())
            with self._lock:
                waiting = list(self._zygotes.values())
            for zygote in waiting:
                zygote.wait(until - time.monotonic())
        return not self._zygotes

    def is_this_thread(self) -> bool:
        """Is it what calls this, say by way of a log of the host's?"""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    @property
    def started(self) -> bool:
        """Has there ever been a process to look after?"""
        return self._thread is not None

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                ready = self._epoll.poll(self._sleep_s())
            except (ValueError, OSError):
                return  # closed
            for fd, _ in ready:
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                    self._woken = False  # before it looks at its tasks
                else:
                    self._guarded(partial(self._hear, fd))
            while self._tasks:
                self._guarded(self._tasks.popleft())
            now = time.monotonic_ns()
            while self._timers and self._timers[0][0] <= now:
                self._guarded(heapq.heappop(self._timers)[2])

    def _guarded(self, task: Callable[[], None]) -> None:
        """A bug in one task is shown, as any thread's would be, and does not end the others."""
        try:
            task()
        except Exception:  # noqa: BLE001
            show_error()

    def _sleep_s(self) -> float | None:
        if not self._timers:
            return None
        left_s = (self._timers[0][0] - time.monotonic_ns()) / 1e9
        return min(max(0.0, left_s), LONGEST_SLEEP_S)

    def _hear(self, fd: int) -> None:
        zygote = self._zygotes.get(fd)
        if zygote is None:
            return
        heard = zygote.messages()
        if heard is None:
            self._lose(fd, zygote)
            return
        for message, descriptors in heard:
            self._take(zygote, message, descriptors)

    def _take(self, zygote: Zygote, message: dict[str, Any], descriptors: list[int]) -> None:
        if message[m.OP] == m.PRELOADING:
            zygote.preloading = message["module"]
            return
        if message[m.OP] == m.UP:
            zygote.came_up()
            zygote.thread_source = message["threads"]
            if zygote.on_up is not None:
                zygote.on_up(zygote, message)
            if message["failed"] or message["threads"]:
                self.log.warning(
                    "zygote.limited",
                    pid=zygote.pid,
                    preload_failed=message["failed"],
                    threads_started_by=message["threads"],
                )
            return
        instance = zygote.instances.get(message["id"])
        if instance is None:  # given up before it was born; the zygote ends it with itself
            for descriptor in descriptors:
                os.close(descriptor)
            return
        match message[m.OP]:
            case m.FORKED:
                instance.make_room()
                pids = [pid for pid in (message["pid"], message["init"]) if pid]
                pidfds = all_pidfds(pids, descriptors)
                if pidfds is None:
                    return
                if len(pids) > 1:
                    instance.init_pid, instance.init_pidfd = pids[1], pidfds[1]
                instance.channel.adopt(pids[0], pidfds[0])
                with suppress(OverloadedError):  # no thread: the next one makes its own
                    self.background.run(instance.pool.core.holding.isolation.make_ready)
                self.log.debug(
                    "instance.started",
                    function=instance.pool.name,
                    instance=instance.id,
                    pid=message["pid"],
                )
                if instance.condemned:  # not if it was told to go: its `pre_stop` may be running
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
            case m.FORK_FAILED:
                self._note_exit(instance, Exit(None, reason=f"cannot fork: {message['error']}"))
            case m.EXITED:
                unseen = "" if instance.channel.pid is not None else _UNSEEN
                ending = Exit(message["code"], message["swept"], tuple(message["left"]), unseen)
                if ending.survivors:
                    self.endings.note_survivors(instance, ending.survivors)
                self._note_exit(instance, ending)
            case _:
                raise InternalError(f"a zygote said {message[m.OP]!r}")

    def _note_exit(self, instance: Instance, ending: Exit) -> None:
        instance.exit = ending
        self.endings.note_exit(instance)
        instance.exited.set()
        exits.on_exit(instance)

    def _lose(self, fd: int, zygote: Zygote) -> None:
        """It ended, told to or not: what it has forked lives on without it."""
        with self._lock:
            self._epoll.unregister(fd)
            del self._zygotes[fd]
        zygote.close()
        say = self.log.warning if zygote.preloading else self.log.info
        say(
            "zygote.exited",
            pid=zygote.pid,
            instances=len(zygote.instances),
            preloading=zygote.preloading,
        )
        for instance in list(zygote.instances.values()):
            if instance.channel.pid is None and instance.exit is None:
                self._note_exit(instance, _never_forked(zygote))
            elif instance.exit is None and instance.channel.process_ended():
                self._note_exit(instance, Exit(None, reason="its zygote was gone"))
            elif instance.exit is None:
                exits.on_orphaned(instance)


def _never_forked(zygote: Zygote) -> Exit:
    """
    Of an instance that its zygote owes. One that did not come back from a preload by itself will
    not the next time; killed, it may have been from outside.
    """
    if zygote.preloading is None:
        why = zygote.why_it_ended()
        return Exit(None, reason=f"the zygote ended before it forked{why and ': '}{why}")
    reason = f"the preload {zygote.preloading!r} ended the zygote"
    code = None if zygote.exit_code == -signal.SIGKILL else zygote.exit_code
    return Exit(code, reason=reason, of_zygote=True)
