"""
The cgroup v2 tier: the kernel limits memory and processes of the tree, and ends it at one write.

A cgroup that holds processes cannot hand controllers down (the "no internal processes" rule), and
the host program is in one. So the runtime's folder is made in the nearest cgroup above, the own one
included, that already hands down memory and pids, or can be made to.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fc_runtime.isolation import cgroups, portable
from fc_runtime.isolation.cgroups import CgroupCell, write
from fc_runtime.isolation.tiers import Limits, UnavailableError

NEEDED: Final = ("memory", "pids")
CPU_PERIOD_US: Final = 100_000
MEND: Final = (
    "run as root, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes "
    "-p DelegateSubgroup=host COMMAND"
)


class Cell(CgroupCell):
    usage = "memory.current"
    events = "memory.events"

    def kill(self, pid: int, pidfd: int, init_pidfd: int) -> None:
        try:
            self.write_kill()
            self.kill_who_has_not_joined(pidfd, init_pidfd)
        except OSError:  # Linux before 5.14, or out of descriptors
            if pidfd >= 0:
                portable.TreeCell(self.limits).kill(pid, pidfd, init_pidfd)


class Cgroup2:
    name = "cgroup2"
    source = "cgroup v2 memory.events"

    def __init__(self, base: Path, handed_down: frozenset[str]) -> None:
        self._base = base
        self.enforces = handed_down & {"memory", "cpu"} | {"processes"}

    @classmethod
    def open(cls, own: Path | None = None, top: Path | None = None) -> "Cgroup2":
        """
        A folder for one runtime. Raises UnavailableError.

        Args:
            own: the cgroup of this process; None asks the kernel.
            top: the mount point.
        """
        if own is None or top is None:
            found = cgroups.find_hierarchies()
            own, top = found.unified, found.unified_top
        if own is None or top is None:
            raise UnavailableError(
                "cgroup v2 is not mounted", "mount -t cgroup2 none /sys/fs/cgroup"
            )
        reasons = []
        for parent in _upwards(own, top):
            try:
                return cls._make(parent)
            except OSError as error:
                reasons.append(f"{parent}: {error.strerror or error}")
        raise UnavailableError("; ".join(reasons), MEND)

    @classmethod
    def _make(cls, parent: Path) -> "Cgroup2":
        has = _words(parent / "cgroup.controllers")
        missing = [name for name in NEEDED if name not in has]
        if missing:
            raise OSError(f"no controller {', '.join(missing)} (cgroup v1 may have it)")
        wanted = [name for name in (*NEEDED, "cpu") if name in has]
        _hand_down(parent, wanted)
        base = cgroups.make_base(parent)
        try:
            _hand_down(base, wanted)
            tier = cls(base, frozenset(wanted))
            tier.cell(0, Limits(memory_bytes=2**30, processes=8)).close()
        except OSError:
            cgroups.remove_tree(base)
            raise
        return tier

    def cell(self, number: int, limits: Limits) -> Cell:
        folder = f"{self._base}/{number}"
        os.mkdir(folder)
        cell = Cell([folder], limits, folder, "cgroup.kill", b"1")
        try:
            write(f"{folder}/memory.max", str(limits.memory_bytes))
            if os.path.exists(f"{folder}/memory.swap.max"):  # not without swap accounting
                write(f"{folder}/memory.swap.max", "0")
            # One for all: a handler does not go on without the child that it waits for.
            write(f"{folder}/memory.oom.group", "1")
            write(f"{folder}/pids.max", str(limits.processes))
            if limits.cpu is not None:
                write(f"{folder}/cpu.max", f"{int(limits.cpu * CPU_PERIOD_US)} {CPU_PERIOD_US}")
        except OSError:
            cell.close()
            raise
        return cell

    def make_ready(self) -> None:
        pass  # who joins one waits much longer than for it to be made (docs/adr/0017)

    def close(self) -> None:
        cgroups.remove_tree(self._base)


def _upwards(own: Path, top: Path) -> Iterator[Path]:
    folder = own
    yield folder
    while folder not in (top, folder.parent):
        folder = folder.parent
        yield folder


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _hand_down(folder: Path, controllers: Sequence[str]) -> None:
    """Let the folders in *folder* have them. Raises OSError where processes are in the way."""
    control = folder / "cgroup.subtree_control"
    missing = [name for name in controllers if name not in _words(control)]
    if missing:
        fd = os.open(control, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, " ".join(f"+{name}" for name in missing).encode())
        finally:
            os.close(fd)
