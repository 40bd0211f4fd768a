"""
The cgroup v1 tier: limits by v1's memory and pids controllers; the end of the tree by v2's
``cgroup.kill`` where a host has both versions mounted, else by v1's freezer: nobody who is frozen
forks, so one pass kills them all.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fc_runtime.isolation import cgroups, portable
from fc_runtime.isolation.cgroups import CgroupCell, write
from fc_runtime.isolation.tiers import Limits, UnavailableError

NEEDED: Final = ("memory", "pids")
CPU_PERIOD_US: Final = 100_000
FROZEN_WITHIN_S: Final = 0.25
PASSES: Final = 20
MEND: Final = "run as root, with cgroup v1's memory and pids controllers mounted"


class Cell(CgroupCell):
    usage = "memory.usage_in_bytes"
    events = "memory.oom_control"

    def __init__(
        self, folders: Sequence[Path], limits: Limits, killer: Path | None, freezer: Path | None
    ) -> None:
        super().__init__(folders, limits, killer)
        self._freezer = freezer

    def kill(self, pid: int, pidfd: int, init_pidfd: int) -> None:
        try:
            if self.killer is not None:
                self.write_kill()
            elif self._freezer is not None:
                _freeze_and_kill(self._freezer)
            self.kill_who_has_not_joined(pidfd, init_pidfd)
        except OSError:  # out of descriptors
            if pidfd >= 0:
                portable.TreeCell(self._limits).kill(pid, pidfd, init_pidfd)


class Cgroup1:
    name = "cgroup1"
    source = "cgroup v1 memory.oom_control"

    def __init__(self, bases: dict[str, Path], killer: Path | None, freezer: Path | None) -> None:
        self._bases = bases  # by controller, memory first
        self._killer = killer
        self._freezer = freezer
        self.enforces = frozenset({"memory", "processes"}) | (bases.keys() & {"cpu"})

    @classmethod
    def open(cls, *, unified: bool = True) -> "Cgroup1":
        """
        Folders for one runtime. Raises UnavailableError.

        Args:
            unified: use v2's ``cgroup.kill`` if it is there; False is for those who want to see
                the freezer at work.
        """
        found = cgroups.find_hierarchies()
        missing = [name for name in NEEDED if name not in found.own]
        if missing:
            raise UnavailableError(f"no v1 controller {', '.join(missing)}", MEND)
        made: dict[str, Path] = {}
        killer = freezer = None
        try:
            for name in (*NEEDED, "cpu"):
                if name in found.own:
                    there = (base for base in made.values() if base.parent == found.own[name])
                    # Controllers that are mounted together share their folders.
                    made[name] = next(there, None) or cgroups.make_base(found.own[name])
            if unified and found.unified is not None:
                killer = cgroups.make_base(found.unified)
                if not _can_kill(killer):
                    cgroups.remove_tree(killer)
                    killer = None
            if killer is None:
                if "freezer" not in found.own:
                    raise OSError("neither cgroup.kill nor a freezer")
                freezer = cgroups.make_base(found.own["freezer"])
            tier = cls(made, killer, freezer)
            tier.cell(0, Limits(memory_bytes=2**30, processes=8)).close()
        except OSError as error:
            for base in (*made.values(), killer, freezer):
                if base is not None:
                    cgroups.remove_tree(base)
            raise UnavailableError(str(error), MEND) from error
        return tier

    def cell(self, number: int, limits: Limits) -> Cell:
        name = str(number)
        wanted = {key: base / name for key, base in self._bases.items()}
        if limits.cpu is None:
            wanted.pop("cpu", None)
        killer = self._killer / name if self._killer else None
        freezer = self._freezer / name if self._freezer else None
        every = [folder for folder in (*wanted.values(), killer, freezer) if folder is not None]
        folders = list(dict.fromkeys(every))
        cell = Cell(folders, limits, killer, freezer)
        try:
            for folder in folders:
                folder.mkdir()
            memory = wanted["memory"]
            write(memory / "memory.limit_in_bytes", str(limits.memory_bytes))
            with suppress(FileNotFoundError):  # not without swap accounting
                write(memory / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))
            write(wanted["pids"] / "pids.max", str(limits.processes))
            if limits.cpu is not None:
                write(wanted["cpu"] / "cpu.cfs_period_us", str(CPU_PERIOD_US))
                write(wanted["cpu"] / "cpu.cfs_quota_us", str(int(limits.cpu * CPU_PERIOD_US)))
        except OSError:
            cell.close()
            raise
        return cell

    def close(self) -> None:
        for base in (*self._bases.values(), self._killer, self._freezer):
            if base is not None:
                cgroups.remove_tree(base)


def _can_kill(base: Path) -> bool:
    probe = base / "kill"
    probe.mkdir()
    try:
        write(probe / "cgroup.kill", "1")
    except OSError:
        return False
    finally:
        probe.rmdir()
    return True


def _freeze_and_kill(folder: Path) -> None:
    """Until nobody is left, in a bounded number of passes: a frozen process cannot fork."""
    for _ in range(PASSES):
        write(folder / "freezer.state", "FROZEN")
        until = time.monotonic() + FROZEN_WITHIN_S
        while (folder / "freezer.state").read_text().strip() != "FROZEN":
            if time.monotonic() > until:
                break  # somebody sleeps in the kernel: kill all the same, and look again
            os.sched_yield()
        members = (folder / "cgroup.procs").read_text().split()
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(int(member), signal.SIGKILL)
        write(folder / "freezer.state", "THAWED")
        if not members:
            return
