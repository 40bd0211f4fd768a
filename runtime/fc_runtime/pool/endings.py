"""
How instances end: killed with all they started, verified to be gone, and let go of.

A killed tree is not gone yet. Its zygote says when it is (`note_exit`); then its cell is closed,
which shows whether somebody got away even from that. Whoever did is counted and told, never
hidden. What takes time is done on `threads`, which never wait behind slow starts.
"""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from fc_worker import tree

from fc_runtime.dispatch.placement import step_aside
from fc_runtime.isolation.tiers import Cell
from fc_runtime.pool.events import EXPECTED_STOPS, Log
from fc_runtime.pool.histogram import Histogram
from fc_runtime.pool.instance import Exit, Instance
from fc_runtime.pool.threads import Threads

GONE_WITHIN_S: Final = 5.0  # a killed tree that is not gone by then is reported, not waited for
A_MOMENT_S: Final = 0.01  # from the last look before a deadline to the deadline, and more
STUCK_S: Final = 1.0  # for a zygote to fork, when all the time for a start is over already
LOOK_AGAIN_S: Final = 0.005
ENDING_THREADS: Final = 4


class Endings:
    def __init__(
        self,
        log: Log,
        after: Callable[[float, Callable[[], None]], None],
        on_survived: Callable[[Instance], None],
    ) -> None:
        """*on_survived*: told of an instance that was killed at a deadline, and does not end."""
        self.log = log
        self._on_survived = on_survived
        self.threads = Threads("fc-runtime-endings", ENDING_THREADS, after)
        self.kills = 0
        self.survivors = 0
        self.deadline_to_empty = Histogram()
        self._cells: set[Cell] = set()  # of instances that have ended, and not empty yet
        self._after = after

    def end(self, instance: Instance, reason: str) -> Exit | None:
        """
        End the whole tree of *instance* and wait, for a bounded time, until it is verified gone;
        how it ended, None if it did not. The caller holds it, or has made it STOPPING.
        """
        instance.stop_reason = instance.stop_reason or reason
        instance.condemned = True  # before the look at its pid: who learns that later, kills it
        self.kills += 1
        channel = instance.channel
        patience_s = STUCK_S if reason == "timed_out" else GONE_WITHIN_S
        if channel.pid is None and not instance.exited.wait(patience_s):
            instance.zygote.kill()  # it does not even fork: stuck in a preload
        self.kill_tree(instance)
        ending = self.wait_for_exit(instance)
        if ending is None:
            self._note_survivor(instance, reason)
        return ending

    def doom(self, instance: Instance, deadline_ns: int) -> None:
        """
        As `end`, for one whose deadline has passed: it is killed when this returns, but not waited
        for. That it is gone, and when, is heard from its zygote.
        """
        if instance.channel.pid is None or instance.zygote.gone:
            self.end(instance, "timed_out")
            return
        instance.stop_reason = instance.stop_reason or "timed_out"
        instance.doomed_ns = deadline_ns
        self.kills += 1
        for pid in (instance.channel.pid, instance.init_pid):
            if pid is not None:
                step_aside(pid)
        self.kill_tree(instance)

    def see_to(self, instance: Instance) -> None:
        """Of one that is doomed, or will be in a moment: is it gone within its time?"""
        self._after(GONE_WITHIN_S + A_MOMENT_S, partial(self._count_if_there, instance))

    def _count_if_there(self, instance: Instance) -> None:
        if not instance.doomed_ns or instance.exited.is_set():
            return
        if time.monotonic_ns() - instance.doomed_ns >= GONE_WITHIN_S * 1e9:  # else of a later call
            self._note_survivor(instance, instance.stop_reason)
            self._on_survived(instance)

    def note_exit(self, instance: Instance) -> None:
        """Its zygote has seen it, and everybody below it, end."""
        if instance.doomed_ns:
            self.deadline_to_empty.observe((time.monotonic_ns() - instance.doomed_ns) / 1e6)

    def note_survivors(self, instance: Instance, pids: Sequence[int]) -> None:
        """Who would not end, or cannot be told apart from that."""
        self.survivors += max(1, len(pids))
        self.log.warning("instance.left_survivors", instance=instance.id, pids=list(pids))

    def _note_survivor(self, instance: Instance, reason: str) -> None:
        self.survivors += 1
        self.log.warning(
            "instance.survived", instance=instance.id, pid=instance.channel.pid, reason=reason
        )

    def kill_tree(self, instance: Instance) -> None:
        """Signal everybody in it, unless it has ended. Its descriptors stay open meanwhile."""
        with instance.guard:
            channel = instance.channel
            if not instance.disposed and channel.pid is not None and not instance.exited.is_set():
                instance.cell.kill(channel.pid, channel.pidfd, instance.init_pidfd)
                instance.zygote.wake()  # to tell that it has ended

    def wait_for_exit(self, instance: Instance) -> Exit | None:
        """Until the zygote has reported its exit, or the pidfd, where the zygote has gone."""
        until = time.monotonic() + GONE_WITHIN_S
        while not instance.exited.wait(0.05):  # the zygote may go at any moment, and say nothing
            if instance.channel.process_ended():
                if instance.zygote.gone:
                    instance.exit = Exit(None, reason="its zygote was gone")
                    instance.exited.set()
                    break
                instance.zygote.wake()
            if time.monotonic() > until:
                return None
        return instance.exit

    def dispose(self, instance: Instance) -> None:
        """Let go of descriptors and pid of an instance that has ended and that nobody holds."""
        with instance.guard:
            if instance.disposed:
                return
            instance.disposed = True
            instance.zygote.reap(instance)
            instance.close()
        if not instance.cell.close():
            self._cells.add(instance.cell)
            self.threads.run(partial(self._empty, instance))
        if instance.scratch:
            self.threads.run(partial(shutil.rmtree, instance.scratch, ignore_errors=True))

    def tell(self, instance: Instance) -> None:
        """Log that it has ended, and how."""
        ending = instance.exit
        say = self.log.info if instance.stop_reason in EXPECTED_STOPS else self.log.warning
        say(
            "instance.exited",
            cause=instance.stop_reason or "died",
            function=instance.pool.name,
            instance=instance.id,
            exit_code=None if ending is None else ending.code,
            swept=0 if ending is None else ending.swept,
            age_s=round((time.monotonic_ns() - instance.born_ns) / 1e9, 3),
            invocations=instance.invocations,
        )

    def _empty(self, instance: Instance) -> None:
        """
        On a thread: the cell of one that is gone still holds somebody, who got away from everyone
        else. Process 1 of a pid namespace may, for a moment, until the worker has been reaped.
        """
        cell = instance.cell
        until = time.monotonic() + GONE_WITHIN_S
        while not cell.close():
            left = cell.members()
            if time.monotonic() > until:
                self.note_survivors(instance, left)
                return
            cell.kill(0, -1, -1)
            if left:
                tree.wait_for(left, within_s=max(0.0, until - time.monotonic()))
            else:  # on their way out, and no longer told of: there is no event to wait for
                threading.Event().wait(LOOK_AGAIN_S)
        self._cells.discard(cell)

    def close_cells(self) -> None:
        """After the last zygote has gone: whoever was in them has been reaped."""
        for cell in list(self._cells):
            if cell.close():
                self._cells.discard(cell)
