"""
The cgroup v1 tier: limits by v1's memory and pids controllers. The end of a tree is two steps: its
limit of processes becomes none, so that nobody forks any more, and then all who are there are
killed. It could be one write to ``cgroup.kill`` where version 2 is mounted beside; but who joins a
cgroup of version 2 waits longer for it than all the rest of a start takes (docs/adr/0017).
"""

import itertools
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fc_worker import tree

from fc_runtime.isolation import cgroups, portable
from fc_runtime.isolation.cgroups import CgroupCell, write
from fc_runtime.isolation.manners import AT_A_TIME
from fc_runtime.isolation.tiers import Limits, UnavailableError

NEEDED: Final = ("memory", "pids")
CPU_PERIOD_US: Final = 100_000
PASSES: Final = 100
_spares: Final = itertools.count(1)
MEND: Final = "run as root, with cgroup v1's memory and pids controllers mounted"


class Cell(CgroupCell):
    usage = "memory.usage_in_bytes"
    events = "memory.oom_control"

    def __init__(self, folders: Sequence[str], limits: Limits, pids: str) -> None:
        super().__init__(folders, limits, pids, "pids.max", b"0")
        self._list = f"{pids}/cgroup.procs"
        self._held: dict[int, int] = {}  # pidfds of members

    def get_ready(self, pid: int) -> None:
        super().get_ready(pid)
        with suppress(OSError):
            self._hold(_listed(self._list) - self._held.keys())

    def kill(self, pid: int, pidfd: int, init_pidfd: int) -> None:
        try:
            self.write_kill()
            self._kill_all()
            self.kill_who_has_not_joined(pidfd, init_pidfd)
        except OSError:  # out of descriptors
            if pidfd >= 0:
                portable.TreeCell(self.limits).kill(pid, pidfd, init_pidfd)

    def close_files(self) -> None:
        self._let_go()
        super().close_files()

    def _kill_all(self) -> None:
        """
        Nobody begins to fork any more. A number may have become a stranger's since it was listed:
        so a pidfd of it first, and whoever is still listed then is who was meant. Who was in the
        middle of a fork may come late; the cell cannot be closed then, and is killed again
        (`Endings.dispose`). Raises OSError.
        """
        killed: set[int] = set()
        for _ in range(PASSES):
            left = _listed(self._list) - killed
            for pid in left & self._held.keys():
                with suppress(ProcessLookupError):  # ended, and another has its number
                    signal.pidfd_send_signal(self._held[pid], signal.SIGKILL)
                    killed.add(pid)
            if left <= killed:
                return
            self._let_go()
            self._hold(left - killed)

    def _hold(self, pids: Iterable[int]) -> None:
        """Some of them. Raises OSError."""
        for pid in itertools.islice(pids, AT_A_TIME):
            with suppress(ProcessLookupError):
                self._held[pid] = os.pidfd_open(pid)

    def _let_go(self) -> None:
        with suppress(KeyError):  # there are no more; other threads may be at it too
            while True:
                os.close(self._held.popitem()[1])


class Cgroup1:
    name = "cgroup1"
    source = "cgroup v1 memory.oom_control"

    def __init__(self, bases: dict[str, Path]) -> None:
        self._bases = bases  # by controller, memory first
        self._spare: list[Cell] = []  # at most one, as the last that was asked for
        self._asked: Limits | None = None
        self._making = threading.Lock()
        self._closed = False
        self.enforces = frozenset({"memory", "processes"}) | (bases.keys() & {"cpu"})

    @classmethod
    def open(cls) -> "Cgroup1":
        """Folders for one runtime. Raises UnavailableError."""
        found = cgroups.find_hierarchies()
        missing = [name for name in NEEDED if name not in found.own]
        if missing:
            raise UnavailableError(f"no v1 controller {', '.join(missing)}", MEND)
        made: dict[str, Path] = {}
        try:
            for name in (*NEEDED, "cpu"):
                if name in found.own:
                    there = (base for base in made.values() if base.parent == found.own[name])
                    # Controllers that are mounted together share their folders.
                    made[name] = next(there, None) or cgroups.make_base(found.own[name])
            tier = cls(made)
            tier.cell(0, Limits(memory_bytes=2**30, processes=8)).close()
            if "cpu" in made and made["cpu"] not in (made["memory"], made["pids"]):
                os.rmdir(made["cpu"])  # until a function wants it: no cell of others' removes it
        except OSError as error:
            for base in made.values():
                cgroups.remove_tree(base)
            raise UnavailableError(str(error), MEND) from error
        return tier

    def cell(self, number: int, limits: Limits) -> Cell:
        self._asked = limits
        with suppress(IndexError):
            spare = self._spare.pop()
            if spare.limits == limits:
                return spare
            self._spare.append(spare)
        return self._make(str(number), limits)

    def make_ready(self) -> None:
        with self._making:
            if self._asked is not None and not self._spare and not self._closed:
                with suppress(OSError):  # no room: whoever wants a cell will be told
                    self._spare.append(self._make(f"spare-{next(_spares)}", self._asked))

    def _make(self, name: str, limits: Limits) -> Cell:
        wanted = {key: f"{base}/{name}" for key, base in self._bases.items()}
        if limits.cpu is None:
            wanted.pop("cpu", None)
        folders = list(dict.fromkeys(wanted.values()))
        cell = Cell(folders, limits, wanted["pids"])
        try:
            if limits.cpu is not None:
                self._bases["cpu"].mkdir(exist_ok=True)
            for folder in folders:
                os.mkdir(folder)
            memory, cpu = wanted["memory"], wanted.get("cpu")
            write(f"{memory}/memory.limit_in_bytes", str(limits.memory_bytes))
            with suppress(FileNotFoundError):  # not without swap accounting
                write(f"{memory}/memory.memsw.limit_in_bytes", str(limits.memory_bytes))
            write(f"{wanted['pids']}/pids.max", str(limits.processes))
            if limits.cpu is not None:
                write(f"{cpu}/cpu.cfs_period_us", str(CPU_PERIOD_US))
                write(f"{cpu}/cpu.cfs_quota_us", str(int(limits.cpu * CPU_PERIOD_US)))
        except OSError:
            cell.close()
            raise
        return cell

    def close(self) -> None:
        with self._making:
            self._closed = True
        for base in self._bases.values():
            cgroups.remove_tree(base)


def _listed(members: str) -> set[int]:
    """Opened anew each time: who reads on may be told for a second what he was told before."""
    return set(map(int, tree.read_file(members).split()))
