"""
What both versions of control groups share: folders, and files in them.

One folder for each runtime, named after the host program so that one left by a program that was
killed can be known as such and removed; in it one for each instance. They are made where the host
program's own cgroup is, so whatever limits that keep limiting all of it.
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from fc_worker import tree

from fc_runtime.isolation import portable
from fc_runtime.isolation.manners import AT_A_TIME, Manners
from fc_runtime.isolation.tiers import Limits, Reading

_OURS: Final = re.compile(r"fc-runtime-(\d+)-(\d+)-\d+-(\d+)")
_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where this process is: the folder of its cgroup in each mounted hierarchy."""

    unified: Path | None = None  # of version 2
    tops: Mapping[str, Path] = field(default_factory=dict)  # mount points, by controller
    own: Mapping[str, Path] = field(default_factory=dict)  # version 1, by controller
    unified_top: Path | None = None


def find_hierarchies(proc: Path = Path("/proc/self")) -> Hierarchies:
    """As the kernel tells it: mountinfo, and the cgroups this process is in (cgroups(7))."""
    paths: dict[str, str] = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    own: dict[str, Path] = {}
    tops: dict[str, Path] = {}
    unified = unified_top = None
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mount_point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2" and "" in paths:
            unified_top = Path(mount_point)
            unified = _folder(unified_top, root, paths[""])
        elif kind == "cgroup":
            for controller in options.split(","):
                if controller in paths:
                    tops[controller] = Path(mount_point)
                    own[controller] = _folder(Path(mount_point), root, paths[controller])
    return Hierarchies(unified, tops, own, unified_top)


def _folder(mount_point: Path, root: str, path: str) -> Path:
    """*path* below a mount whose own root may be another cgroup, as in a container."""
    if root != "/" and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return mount_point / path.lstrip("/")


def make_base(parent: Path) -> Path:
    """A folder for one runtime in *parent*, after removing what dead ones have left there."""
    for old in _left_by_the_dead(parent):
        remove_tree(old)
    me = psutil.Process()
    name = f"fc-runtime-{me.pid}-{_start_ticks(me.pid)}-{next(_numbers)}-{_pid_namespace()}"
    base = parent / name
    base.mkdir()
    return base


def _left_by_the_dead(parent: Path) -> Iterator[Path]:
    for entry in parent.iterdir():
        ours = _OURS.fullmatch(entry.name)
        # A program in another pid namespace, a container, cannot be seen from here.
        if ours and int(ours[3]) == _pid_namespace() and _start_ticks(int(ours[1])) != int(ours[2]):
            yield entry


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _start_ticks(pid: int) -> int | None:
    """When *pid* was started, which tells it from another process of the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def remove_tree(base: Path) -> None:
    """*base* and the folders in it, as far as nobody is in them."""
    with suppress(OSError):
        for entry in base.iterdir():
            if entry.is_dir():
                with suppress(OSError):
                    entry.rmdir()
        base.rmdir()


def write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read_fields(fd: int) -> dict[bytes, int]:
    """A file of lines ``name number``, read from its beginning."""
    lines = os.pread(fd, 4096, 0).splitlines()
    pairs = [line.split() for line in lines]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class CgroupMeter:
    """What the kernel has counted, on two kept descriptors: 2 µs each a look."""

    def __init__(self, pid: int, limits: Limits, usage: str, events: str) -> None:
        self._pid = pid
        self._limit = limits.memory_bytes
        self._fds: list[int] = []
        self._largest = ""
        with suppress(OSError):  # out of descriptors: the kernel's limit holds all the same
            self._fds.append(os.open(usage, os.O_RDONLY | os.O_CLOEXEC))
            self._fds.append(os.open(events, os.O_RDONLY | os.O_CLOEXEC))

    def read(self) -> Reading:
        if len(self._fds) < 2:
            return Reading(0, enforced=True)
        try:
            used = int(os.pread(self._fds[0], 32, 0))
            killed = read_fields(self._fds[1]).get(b"oom_kill", 0) > 0
        except OSError:  # a handler with the rights for it has left its cgroup, and removed it
            return Reading(0, enforced=True)
        if not killed and 2 * used > self._limit:  # whoever is killed will be the largest no more
            self._largest = portable.largest_of(self._pid)
        # Never more than the limit, whatever it says: reclaim lags behind, and is the kernel's.
        return Reading(
            min(used, self._limit), self._largest, enforced=True, killed_for_memory=killed
        )

    def close(self) -> None:
        mine, self._fds = self._fds, []  # first: Ctrl-C may come in between
        for fd in mine:
            os.close(fd)


class CgroupCell:
    """Folders of one instance; the first one counts its memory."""

    usage: str
    events: str

    def __init__(
        self, folders: Sequence[str], limits: Limits, pids: str, killer: str, word: bytes
    ) -> None:
        """*pids*: the folder that counts processes; in its *killer*, *word* begins the end."""
        self.folders: Sequence[str] = tuple(folders)
        self._counter = f"{pids}/pids.current"
        self._killer = f"{pids}/{killer}"
        self._word = word
        self.limits = limits
        self._count_fd = self._kill_fd = -1
        self._manners = Manners()

    def get_ready(self, _pid: int) -> None:
        """To open the file takes a third of the time that the whole kill does."""
        if self._kill_fd < 0:
            with suppress(OSError):  # `kill` will try again, and knows another way
                self._kill_fd = os.open(self._killer, os.O_WRONLY | os.O_CLOEXEC)
        self._manners.teach(self.members()[:AT_A_TIME])

    def stand_down(self) -> None:
        self._manners.unteach()
        self.close_files()

    def close_files(self) -> None:
        fd, self._kill_fd = self._kill_fd, -1
        if fd >= 0:
            os.close(fd)

    def forget(self) -> None:
        self.close_files()
        fd, self._count_fd = self._count_fd, -1
        if fd >= 0:
            os.close(fd)

    def write_kill(self) -> None:
        """Raises OSError."""
        fd, self._kill_fd = self._kill_fd, -1
        if fd < 0:
            fd = os.open(self._killer, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, self._word)
        finally:
            os.close(fd)

    def meter(self, pid: int) -> CgroupMeter:
        memory = self.folders[0]
        return CgroupMeter(pid, self.limits, f"{memory}/{self.usage}", f"{memory}/{self.events}")

    def ran_out_of_memory(self) -> bool:
        try:
            fd = os.open(f"{self.folders[0]}/{self.events}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # out of descriptors: no evidence, so it is not said
            return False
        try:
            return read_fields(fd).get(b"oom_kill", 0) > 0
        finally:
            os.close(fd)

    def kill_who_has_not_joined(self, pidfd: int, init_pidfd: int) -> None:
        """
        A worker joins by itself, which takes the kernel milliseconds, and nobody is there to be
        ended before: then it has run no code of the function's, and is alone.
        """
        for one in (pidfd, init_pidfd):
            if one >= 0:
                portable.kill_by_pidfd(one)

    def close(self) -> bool:
        self.forget()
        for folder in reversed(self.folders):  # more than one thread may do so at the same time
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                return False
        return True

    def members(self) -> Sequence[int]:
        with suppress(OSError):
            return [int(pid) for pid in tree.read_file(f"{self.folders[0]}/cgroup.procs").split()]
        return ()

    def holds_more_than(self, known: int) -> bool:
        with suppress(OSError):  # out of descriptors: the list will say it, or nobody can
            if self._count_fd < 0:
                self._count_fd = os.open(self._counter, os.O_RDONLY | os.O_CLOEXEC)
            if int(os.pread(self._count_fd, 32, 0)) <= known:  # 1 us, but threads are counted
                return False
        return len(self.members()) > known
