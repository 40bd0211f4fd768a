"""
The cgroup v2 tier. What the driver writes where is looked at in a made-up tree that refuses what
the kernel would refuse, because most machines that run this bind the controllers to version 1. How
a tree of real processes ends is looked at in the real hierarchy, where one is mounted.
"""

import errno
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime.isolation import cgroups
from fc_runtime.isolation.cgroup2 import MEND, Cell, Cgroup2
from fc_runtime.isolation.tiers import Limits, UnavailableError

MiB = 2**20
NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino
LIMITS = Limits(memory_bytes=64 * MiB, processes=32)
CONTROLS = {
    "memory": ("memory.max", "memory.swap.max", "memory.oom.group"),
    "pids": ("pids.max",),
    "cpu": ("cpu.max",),
}
NO_EVENTS = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"


# -- what is written where ---------------------------------------------------------------------


class Tree:
    """
    A folder in which ``os.mkdir``, ``os.rmdir`` and ``os.write`` behave as in cgroup v2: a new
    folder has control files, those do not keep it from being removed, processes and subfolders do.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.locked: set[Path] = set()  # folders of another user
        self.written: list[tuple[str, str]] = []
        self._open: dict[int, Path] = {}
        self._real = {name: getattr(os, name) for name in ("mkdir", "rmdir", "open", "write")}
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))
        self.without: set[str] = set()  # files that this kernel does not have
        self.mkdir(top, 0o755, controllers=("cpuset", "cpu", "io", "memory", "pids"))

    def add(self, name: str, *, hands_down: str = "", members: str = "") -> Path:
        """A cgroup *name*, which has what the one above it hands down."""
        folder = self.top / name
        os.mkdir(folder)
        (folder / "cgroup.subtree_control").write_text(hands_down)
        (folder / "cgroup.procs").write_text(members)
        return folder

    def mkdir(self, path: Any, mode: int = 0o777, **options: Any) -> None:
        folder = Path(path)
        if folder.is_relative_to(self.top) and folder.parent in self.locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        given = options.pop("controllers", None)
        self._real["mkdir"](path, mode, **options)
        if not folder.is_relative_to(self.top):
            return
        has = given or (folder.parent / "cgroup.subtree_control").read_text().split()
        files = {
            "cgroup.controllers": " ".join(has),
            "cgroup.subtree_control": "",
            "cgroup.procs": "",
            "cgroup.events": "populated 0\nfrozen 0\n",
            "cgroup.kill": "",
        }
        for controller in has:
            files |= dict.fromkeys(CONTROLS.get(controller, ()), "max\n")
        if "memory" in has:
            files |= {"memory.current": "0\n", "memory.events": NO_EVENTS}
        for name in files.keys() - self.without:
            (folder / name).write_text(files[name])

    def rmdir(self, path: Any, **options: Any) -> None:
        folder = Path(path)
        if folder.is_relative_to(self.top):
            if (folder / "cgroup.procs").read_text() or any(map(Path.is_dir, folder.iterdir())):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
            for file in folder.iterdir():
                file.unlink()
        self._real["rmdir"](path, **options)

    def open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        file = Path(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else Path()
        is_ours = file.is_relative_to(self.top) and flags & os.O_WRONLY
        if is_ours and file.parent in self.locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        fd: int = self._real["open"](path, flags, *arguments, **options)
        self._open.pop(fd, None)
        if is_ours:
            self._open[fd] = file
        return fd

    def write(self, fd: int, data: bytes) -> int:
        file = self._open.get(fd)
        if file is not None:
            self.written.append((str(file.relative_to(self.top)), data.decode()))
        if file is None or file.name != "cgroup.subtree_control":
            return self._real["write"](fd, data)
        folder = file.parent
        if folder != self.top and (folder / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))  # no internal processes
        wanted = [word.removeprefix("+") for word in data.decode().split()]
        if set(wanted) - set((folder / "cgroup.controllers").read_text().split()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        file.write_text(" ".join([*file.read_text().split(), *wanted]))
        return len(data)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path / "cgroup", monkeypatch)


def base_in(parent: Path) -> Path:
    (base,) = parent.glob("fc-runtime-*")
    return base


def folders_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir())


def test_own_cgroup_is_used_if_it_can_hand_down(tree: Tree) -> None:
    """Nobody is in it, as with ``DelegateSubgroup``'s parent: the runtime's folder is made there."""
    own = tree.add("own")
    (tree.top / "own" / "cgroup.controllers").write_text("cpu memory pids")

    tier = Cgroup2.open(own, tree.top)

    base = base_in(own)
    assert "memory pids cpu" == (own / "cgroup.subtree_control").read_text()
    assert "memory pids cpu" == (base / "cgroup.subtree_control").read_text()
    assert {"memory", "processes", "cpu"} == tier.enforces
    assert [] == folders_below(base)  # the cell that it was tried with is gone
    tier.close()
    assert [] == folders_below(own)


def test_processes_in_the_own_cgroup_send_it_to_the_nearest_above(tree: Tree) -> None:
    """
    A cgroup with processes cannot hand controllers down (EBUSY); the next one above that does so
    already is left as it is.
    """
    tree.add("slice", hands_down="memory pids cpu")
    (tree.top / "slice" / "cgroup.controllers").write_text("cpu memory pids")
    own = tree.add("slice/own", members="1234\n")

    tier = Cgroup2.open(own, tree.top)

    base = base_in(tree.top / "slice")
    assert [] == list(own.glob("fc-runtime-*"))
    assert ("slice/own/cgroup.subtree_control", "+memory +pids +cpu") in tree.written
    assert "" == (own / "cgroup.subtree_control").read_text()
    assert "slice/cgroup.subtree_control" not in dict(tree.written)
    tier.close()
    assert not base.exists()
    assert own.exists()


def test_only_what_is_missing_is_handed_down(tree: Tree) -> None:
    """Whoever is above keeps what it has."""
    tree.add("slice", hands_down="io memory")
    (tree.top / "slice" / "cgroup.controllers").write_text("io memory pids")

    tier = Cgroup2.open(tree.top / "slice", tree.top)

    assert ("slice/cgroup.subtree_control", "+pids") == tree.written[0]
    assert {"memory", "processes"} == tier.enforces
    tier.close()


def test_nowhere_to_write_names_each_place_and_the_mend(tree: Tree) -> None:
    """An unprivileged user in a cgroup of root's: refused, with the command that changes it."""
    (tree.top / "cgroup.subtree_control").write_text("memory pids cpu")
    slice_ = tree.add("slice", hands_down="memory pids cpu")
    own = tree.add("slice/own", members="1234\n")
    tree.locked |= {tree.top, slice_, own}

    with pytest.raises(UnavailableError) as caught:
        Cgroup2.open(own, tree.top)

    for folder in (own, slice_, tree.top):
        assert f"{folder}: Permission denied" in str(caught.value)
    assert MEND == caught.value.mend
    assert "Delegate=yes" in caught.value.mend
    assert ["slice", "slice/own"] == folders_below(tree.top)


def test_missing_controllers_are_named(tree: Tree) -> None:
    """As on a host that gives them to cgroup v1."""
    (tree.top / "cgroup.controllers").write_text("hugetlb pids")

    with pytest.raises(UnavailableError, match=r"no controller memory \(cgroup v1 may have it\)"):
        Cgroup2.open(tree.top, tree.top)

    assert [] == folders_below(tree.top)


def test_search_ends_at_the_mount_point(tree: Tree) -> None:
    """What lies above the hierarchy is no cgroup."""
    own = tree.add("own")
    tree.locked |= {own, tree.top}

    with pytest.raises(UnavailableError) as caught:
        Cgroup2.open(own, tree.top)

    assert str(tree.top.parent) + ":" not in str(caught.value)


def test_kernel_that_refuses_a_limit_leaves_no_folder(tree: Tree) -> None:
    """What was made before the refusal is removed again: the base as well as the cell."""
    tree.without.add("pids.max")

    with pytest.raises(UnavailableError, match="No such file"):
        Cgroup2.open(tree.top, tree.top)

    assert [] == folders_below(tree.top)


@pytest.fixture
def tier(tree: Tree) -> Iterator[Cgroup2]:
    opened = Cgroup2.open(tree.top, tree.top)
    tree.written.clear()
    yield opened
    opened.close()
    assert [] == folders_below(tree.top)


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [(None, {}), (0.05, {"cpu.max": "5000 100000"}), (2.5, {"cpu.max": "250000 100000"})],
)
def test_limits_are_written_for_each_instance(
    tree: Tree, tier: Cgroup2, cpu: float | None, expected: dict[str, str]
) -> None:
    """Memory, no swap, all or none in an OOM, processes, and CPU time if it was asked for."""
    cell = tier.cell(7, Limits(memory_bytes=64 * MiB, processes=32, cpu=cpu))

    (folder,) = cell.folders
    assert str(base_in(tree.top) / "7") == folder
    limits = {
        "memory.max": str(64 * MiB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "32",
    } | expected
    prefix = f"{base_in(tree.top).name}/7/"
    assert {prefix + name: value for name, value in limits.items()} == dict(tree.written)
    assert cell.close()


def test_host_without_swap_accounting_is_no_obstacle(tree: Tree) -> None:
    """``memory.swap.max`` is not always there."""
    tree.without.add("memory.swap.max")
    tier = Cgroup2.open(tree.top, tree.top)

    cell = tier.cell(1, LIMITS)

    assert "memory.swap.max" not in {Path(name).name for name, _ in tree.written}
    assert cell.close()
    tier.close()


def test_cell_is_closed_once_nobody_is_in_it(tier: Cgroup2) -> None:
    """False while the kernel says EBUSY, and who is in it; then True, as often as asked."""
    cell = tier.cell(1, LIMITS)
    procs = Path(cell.folders[0], "cgroup.procs")
    procs.write_text("101\n202\n")

    assert not cell.close()
    assert [101, 202] == cell.members()
    procs.write_text("")
    assert cell.close()
    assert cell.close()
    assert () == cell.members()


def test_out_of_memory_is_said_on_the_kernels_evidence(tier: Cgroup2) -> None:
    """``oom_kill`` of memory.events; running into the limit (``max``, ``oom``) is none."""
    cell = tier.cell(1, LIMITS)
    folder = Path(cell.folders[0])
    meter = cell.meter(os.getpid())
    (folder / "memory.current").write_text(f"{65 * MiB}\n")
    (folder / "memory.events").write_text(NO_EVENTS.replace("max 0\noom 0", "max 9\noom 9"))

    before = meter.read()
    assert not cell.ran_out_of_memory()
    (folder / "memory.events").write_text(NO_EVENTS.replace("oom_kill 0", "oom_kill 1"))
    after = meter.read()

    assert cell.ran_out_of_memory()
    assert (False, True) == (before.killed_for_memory, after.killed_for_memory)
    assert before.enforced
    assert 64 * MiB == before.tree_bytes  # never more than the limit: reclaim lags behind
    assert re.fullmatch(r".+\[\d+\]", before.largest)
    assert before.largest == after.largest  # who was that is not asked after the kill
    meter.close()
    assert cell.close()
    assert not cell.ran_out_of_memory()


def test_kill_is_one_write(tree: Tree, tier: Cgroup2) -> None:
    """Nobody is signalled by number."""
    cell = tier.cell(3, LIMITS)
    tree.written.clear()

    cell.kill(0, -1, -1)

    assert [(f"{base_in(tree.top).name}/3/cgroup.kill", "1")] == tree.written
    assert cell.close()


def test_kernel_without_cgroup_kill_walks_the_tree(tree: Tree) -> None:
    """Before Linux 5.14: as the portable tier does it."""
    tree.without.add("cgroup.kill")
    tier = Cgroup2.open(tree.top, tree.top)
    cell = tier.cell(1, LIMITS)
    with subprocess.Popen(["sleep", "3600"]) as process:
        pidfd = os.pidfd_open(process.pid)

        cell.kill(process.pid, pidfd, -1)

        assert -signal.SIGKILL == process.wait(timeout=10)
        os.close(pidfd)
    assert cell.close()
    tier.close()


def test_folders_of_dead_programs_are_removed_and_no_others(tree: Tree) -> None:
    """
    Known by pid and start time: those of a program that was killed go, those of a living one stay,
    and so does whatever is not named like ours.
    """
    with subprocess.Popen(["true"]) as ended:
        pass
    living = psutil.Process()
    ticks = cgroups._start_ticks(living.pid)
    dead = [
        f"fc-runtime-{ended.pid}-1-1-{NAMESPACE}",
        f"fc-runtime-{living.pid}-{(ticks or 0) - 1}-1-{NAMESPACE}",  # the same number, given again
    ]
    kept = [
        f"fc-runtime-{living.pid}-{ticks}-99999-{NAMESPACE}",
        f"fc-runtime-{ended.pid}-1-1-7",
        "fc-runtime",
        "somebody-else",
    ]
    (tree.top / "cgroup.subtree_control").write_text("memory pids")
    for name in (*dead, *kept):
        tree.add(name)
    tree.add(f"{dead[0]}/5")
    tree.add(f"{kept[0]}/5")

    Cgroup2.open(tree.top, tree.top).close()

    assert sorted([*kept, f"{kept[0]}/5"]) == folders_below(tree.top)


def test_remove_tree_leaves_who_is_in_it(tree: Tree) -> None:
    """As far as nobody is in them: survivors keep their folder, and the one above it."""
    base = tree.add("base")
    tree.add("base/1")
    tree.add("base/2", members="77\n")

    cgroups.remove_tree(base)
    assert ["base", "base/2"] == folders_below(tree.top)

    (base / "2" / "cgroup.procs").write_text("")
    cgroups.remove_tree(base)
    cgroups.remove_tree(base)
    assert [] == folders_below(tree.top)


# -- real processes ----------------------------------------------------------------------------

JOIN = "import os, signal, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n"
FAMILY = (
    JOIN
    + """
def child(*, daemon=False):
    if os.fork() == 0:
        if daemon:
            os.setsid()
            if os.fork():
                os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"%d\\n" % os.getpid())
        signal.pause()

child()
child(daemon=True)
if os.fork() == 0:
    child()
    os.write(1, b"%d\\n" % os.getpid())
    os.wait()
os.write(1, b"%d\\n" % os.getpid())
signal.pause()
"""
)
RELAYS = 8
RELAY = (
    JOIN
    + """
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        for number in range(1_000_000_000):  # each hands on to a child and is gone
            if os.fork():
                os._exit(0)
            os.setsid()
            if number < 20:
                os.write(1, b".")
os._exit(0)
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A cgroup of this test's own in the real hierarchy."""
    found = cgroups.find_hierarchies()
    if found.unified is None:
        pytest.skip("no cgroup v2 hierarchy is mounted here")
    made = found.unified / f"test-cgroup2-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made in {found.unified}: {error}")
    yield made
    with suppress(FileNotFoundError):
        kill = made / "cgroup.kill"
        kill.write_text("1")
        wait_for(made, "populated 0")
        made.rmdir()


@pytest.fixture
def cell(folder: Path) -> Cell:
    if not (folder / "cgroup.kill").exists():
        pytest.skip("no cgroup.kill: Linux before 5.14")
    return Cell([str(folder)], LIMITS, str(folder), "cgroup.kill", b"1")


def wait_for(folder: Path, line: str) -> None:
    """Until cgroup.events says so; the kernel tells by POLLPRI that it has changed."""
    with (folder / "cgroup.events").open() as events:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while line not in events.read().splitlines():
            assert poller.poll(10_000), f"{line} has not come within 10 s"
            events.seek(0)


class Family:
    """In *folder*: a child, a grandchild with its parent, a daemon, their ancestor."""

    SIZE = 5

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", FAMILY, folder], stdout=subprocess.PIPE)
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.pids = {int(self.output.readline()) for _ in range(self.SIZE)}
        self.pidfds = [os.pidfd_open(pid) for pid in self.pids]
        for pidfd in self.pidfds:
            stack.callback(os.close, pidfd)

    def wait_until_gone(self) -> None:
        for pidfd in self.pidfds:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            assert poller.poll(10_000), "somebody lives on"
        assert b"" == self.output.read()  # nobody holds the other end
        assert -signal.SIGKILL == self.process.wait(timeout=10)


@pytest.fixture
def family(folder: Path) -> Iterator[Family]:
    with ExitStack() as stack:
        started = Family(folder, stack)
        yield started
        with suppress(FileNotFoundError):  # else a test that has failed would wait for them
            (folder / "cgroup.kill").write_text("1")


def test_kill_ends_the_whole_tree(folder: Path, cell: Cell, family: Family) -> None:
    """The daemon in a session of its own too, and who ignores SIGTERM; then the cell closes."""
    assert family.pids == set(cell.members())
    assert not cell.close()
    wait_for(folder, "populated 1")

    cell.kill(0, -1, -1)

    family.wait_until_gone()
    wait_for(folder, "populated 0")
    assert [] == cell.members()
    assert cell.close()
    assert not folder.exists()


def test_kill_ends_who_is_frozen(folder: Path, cell: Cell, family: Family) -> None:
    """Frozen, none of them runs any more; they need not be thawed to be killed."""
    (folder / "cgroup.freeze").write_text("1")
    wait_for(folder, "frozen 1")

    cell.kill(0, -1, -1)

    family.wait_until_gone()
    wait_for(folder, "populated 0")
    assert cell.close()


def test_kill_ends_who_is_stopped(folder: Path, cell: Cell, family: Family) -> None:
    """SIGSTOP holds up everything but SIGKILL."""
    for pid in family.pids:
        os.kill(pid, signal.SIGSTOP)

    cell.kill(0, -1, -1)

    family.wait_until_gone()
    wait_for(folder, "populated 0")
    assert cell.close()


@pytest.mark.parametrize("_round", range(5))
def test_nobody_outruns_the_kill(folder: Path, cell: Cell, _round: int) -> None:
    """
    Relays whose every process lives only until it has forked the next: one kill, at any moment,
    ends them all, because the kernel lets no fork escape it.
    """
    with subprocess.Popen(
        [sys.executable, "-c", RELAY, folder, str(RELAYS)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"." * 10 * RELAYS == process.stdout.read(10 * RELAYS)
        process.wait(timeout=10)

        cell.kill(0, -1, -1)

        process.stdout.read()  # until nobody is left to write to it
    wait_for(folder, "populated 0")
    assert cell.close()


def test_who_has_not_joined_yet_is_ended_too(folder: Path, cell: Cell) -> None:
    """A worker is known before it has joined: at a deadline then its cgroup holds nobody."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        pidfd = os.pidfd_open(process.pid)
        assert [] == cell.members()

        cell.kill(process.pid, pidfd, -1)

        assert -signal.SIGKILL == process.wait(timeout=10)
        os.close(pidfd)
    assert cell.close()


def test_cell_that_is_gone_is_nobodys_trouble(cell: Cell) -> None:
    """A late kill finds nothing, and hits nobody."""
    assert cell.close()

    cell.kill(0, -1, -1)

    assert () == cell.members()
    assert not cell.ran_out_of_memory()
