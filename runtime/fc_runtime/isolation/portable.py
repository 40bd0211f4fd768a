"""
The portable tier: /proc, signals and patience. Needs no rights at all.

Memory is polled while a caller waits: first the resident sizes, whose sum can only be too large
(shared pages count once for each process), 3 µs a process on a kept descriptor; only when that
sum is over the limit the proportional sizes (`smaps_rollup`), 260 µs a process. A tree that
allocates faster than it is looked at overshoots; ``RLIMIT_DATA`` is the back-stop.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import psutil
from fc_worker import tree

from fc_runtime.isolation.manners import AT_A_TIME, Manners
from fc_runtime.isolation.tiers import Limits, Reading

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class TreeMeter:
    """Memory of a worker and of everything below it."""

    def __init__(self, pid: int, limit_bytes: int) -> None:
        self._pid = pid
        self._limit = limit_bytes
        self._statm: int | None = None
        with suppress(OSError):
            self._statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> Reading:
        try:
            below = tree.descendants(self._pid)
        except OSError:
            below = []  # the host is out of descriptors: better half a look than a failed call
        rss = self._own_rss() + sum(map(_rss, below))
        processes = 1 + len(below)
        if rss <= self._limit:
            return Reading(rss, processes=processes)
        sizes = {pid: _pss(pid) for pid in (self._pid, *below)}
        largest = max(sizes, key=lambda pid: sizes[pid])
        return Reading(sum(sizes.values()), describe(largest), processes)

    def close(self) -> None:
        statm, self._statm = self._statm, None  # first: Ctrl-C may come in between
        if statm is not None:
            os.close(statm)

    def _own_rss(self) -> int:
        if self._statm is None:
            return 0
        try:
            return int(os.pread(self._statm, 64, 0).split()[1]) * PAGE_BYTES
        except (OSError, IndexError):
            return 0  # it is ending: the pidfd will say so


class TreeCell:
    """Whoever descends from the worker: nothing is to be made, and nothing to be removed."""

    folders: Sequence[str] = ()

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._manners = Manners()

    def meter(self, pid: int) -> TreeMeter:
        return TreeMeter(pid, self._limits.memory_bytes)

    def get_ready(self, pid: int) -> None:
        with suppress(OSError):  # out of descriptors
            self._manners.teach([pid, *tree.descendants(pid)[:AT_A_TIME]])

    def stand_down(self) -> None:
        self._manners.unteach()

    def kill(self, pid: int, pidfd: int, init_pidfd: int) -> None:
        if init_pidfd >= 0:
            kill_by_pidfd(init_pidfd)
            return
        kill_tree(pid, pidfd)

    def ran_out_of_memory(self) -> bool:
        return False  # nobody but us would say so

    def close(self) -> bool:
        return True

    def members(self) -> Sequence[int]:
        return ()

    def holds_more_than(self, _known: int) -> bool:
        return False  # whoever is no descendant is not known

    def forget(self) -> None:
        pass


class Portable:
    name = "portable"
    source = "measured by polling"
    enforces: frozenset[str] = frozenset()

    def cell(self, _number: int, limits: Limits) -> TreeCell:
        return TreeCell(limits)

    def make_ready(self) -> None:
        pass

    def close(self) -> None:
        pass


def kill_tree(pid: int, pidfd: int) -> None:
    """
    The worker is stopped first, so that it starts nobody else and, as their subreaper, keeps
    all its orphans in sight; it dies last. What escapes between two walks falls to the
    zygote, which sweeps until nothing is left before it says that the worker is gone.
    """
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
    with suppress(OSError):  # out of descriptors: then all of it falls to the zygote
        tree.kill_descendants(pid)
    kill_by_pidfd(pidfd)


def kill_by_pidfd(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def largest_of(pid: int) -> str:
    """ "name[pid]" of the largest of *pid* and everybody below it, by resident size."""
    try:
        everybody = [pid, *tree.descendants(pid)]
    except OSError:  # out of descriptors
        return ""
    return describe(max(everybody, key=_rss))


def describe(pid: int) -> str:
    """ "name[pid]"; a zombie still has its name."""
    try:
        return f"{psutil.Process(pid).name()}[{pid}]"
    except psutil.Error:
        return f"process[{pid}]"


def _rss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _pss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.Error:
        return _rss(pid)
