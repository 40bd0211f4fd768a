"""
How a runtime ends: by `close`, when nobody refers to it any more, or with the interpreter; and what
a forked child of the host does with its copy.
"""

import _thread
import atexit
import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from fc_runtime.errors import OverloadedError
from fc_runtime.pool.endings import GONE_WITHIN_S, STUCK_S
from fc_runtime.pool.grants import Leave
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.threads import Threads, start_thread

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

LOOK_AGAIN_S: Final = 0.05
LAST_LOOK_S: Final = 0.5
PATIENCE_S: Final = GONE_WITHIN_S - STUCK_S


class Closing:
    def __init__(self, core: "Core", owner: int) -> None:
        """*owner*: the process that *core* was made in."""
        self._core = core
        self._owner = owner
        self._one_at_a_time = threading.RLock()
        self._is_ending = self._is_over = False
        _LIVING.add(self)

    def close(self, drain_s: float | None) -> None:
        """
        *drain_s*: how long running invocations may go on; None as long as their own timeouts
        let them. Safe to call twice, also while the first call still waits (the one in more of a
        hurry wins), from any thread, and in a forked child, where it does nothing. In the threads
        that start, hear of and end processes, where a log of the host's may call it, it returns at
        once, and another thread closes: it is them that are waited for.
        """
        core = self._core
        if os.getpid() != self._owner:
            return
        if self._is_this_thread_ours():
            with suppress(OverloadedError):  # no room for a thread: it is late, and closed
                start_thread("fc-runtime-close", partial(self.close, drain_s))
                return
        for close in core.before_close:
            close(drain_s)
        if self._is_over:
            return
        pools = core.shut()
        if drain_s is None:
            longest = max((pool.longest_call_s for pool in pools), default=0.0)
            drain_s = longest + GONE_WITHIN_S
        until = time.monotonic() + drain_s
        for pool in pools:
            pool.close(Leave.CLOSED)
        for pool in pools:
            pool.roster.wait_until_unused(max(0.0, until - time.monotonic()))
        _wait_for_hooks(pools, until)
        last = time.monotonic() + GONE_WITHIN_S
        for pool in pools:
            self._kill(pool, last)
        for pool in pools:
            pool.keeper.hang_up()
        # One whose instances are all gone leaves at once, unless it is stuck in a preload.
        busy = any(pool.roster.live_instances() for pool in pools)
        core.supervisor.wait_for_zygotes(max(STUCK_S, last - time.monotonic()) if busy else STUCK_S)
        with self._one_at_a_time:  # two may close, the second in more of a hurry
            self._end(last)

    def forget(self) -> None:
        """In a forked child of the host: nothing here is the child's."""
        core = self._core
        for pool in core.forget():
            pool.forget()
        core.holding.forget()
        core.supervisor.forget_zygotes()
        core.supervisor.forget()

    def _kill(self, pool: Pool, last: float) -> None:
        """All that is left in *pool*, or as much of it as goes until *last*."""
        while True:
            left = pool.roster.live_instances()
            for instance in left:
                self._core.supervisor.endings.kill_tree(instance)
                if instance.channel.pid is None and time.monotonic() > last - PATIENCE_S:
                    instance.zygote.kill()  # stuck in a preload
            gone = all(instance.exited.is_set() for instance in left)
            if gone and left and not pool.roster.warming:
                # Who holds them has a moment to see it. An event loop that has stopped never will.
                last = min(last, time.monotonic() + LAST_LOOK_S)
            # One that is being forked just now cannot be killed yet: look again.
            if pool.roster.wait_until_empty(LOOK_AGAIN_S) or time.monotonic() > last:
                return

    def _end(self, last: float) -> None:
        core = self._core
        if self._is_over or self._is_ending:  # the latter: a signal handler closes in a close
            return
        self._is_ending = True
        try:
            core.supervisor.stop()
            self._close_threads(min(last, time.monotonic() + STUCK_S))
            core.supervisor.endings.close_cells()
            core.holding.close()
            _LIVING.discard(self)
            self._is_over = True
        finally:
            self._is_ending = False

    def _is_this_thread_ours(self) -> bool:
        crews = (crew.is_this_thread() for crew in self._crews())
        return self._core.supervisor.is_this_thread() or any(crews)

    def _crews(self) -> tuple[Threads, ...]:
        supervisor = self._core.supervisor
        return supervisor.background, self._core.hooks.threads, supervisor.endings.threads

    def _close_threads(self, last: float) -> None:
        """What they are at is nearly done: a start given up just now, a folder being removed."""
        for threads in self._crews():
            threads.close(max(0.0, last - time.monotonic()))
        # Not waited for: they run callbacks of the host's, one of which may have closed us.
        self._core.submitted.close()


def _wait_for_hooks(pools: Sequence[Pool], until: float) -> None:
    """Instances that have a `pre_stop` to run end when it has, at latest *until*."""
    for pool in pools:
        if pool.function.pre_stop is not None:
            pool.roster.wait_until_empty(max(0.0, until - time.monotonic()))


def close_dropped(core: "Core") -> None:
    """
    For a runtime that was dropped without `close`. The garbage collector may call this anywhere,
    in the supervisor's own thread or inside a lock: so what takes time is done in a new one, and
    not through `threading`, which has locks too.
    """
    if core.supervisor.started or core.before_close:
        _thread.start_new_thread(core.close, (0.0,))
    else:
        core.close(0.0)


_LIVING: Final[weakref.WeakSet[Closing]] = weakref.WeakSet()


def _close_all() -> None:
    for closing in list(_LIVING):
        closing.close(0.0)


atexit.register(_close_all)  # the interpreter ends: nothing may be left running


def _forget_all() -> None:
    for closing in list(_LIVING):
        closing.forget()


os.register_at_fork(after_in_child=_forget_all)
