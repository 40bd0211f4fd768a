"""
The cgroup v1 tier: its limits, and its way to end a tree, which is to let nobody fork any more and
then to kill all who are there.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import OutOfMemory, Returned, Runtime, TimedOut
from fc_runtime.isolation import cgroup1, cgroups
from fc_runtime.isolation.cgroup1 import Cell, Cgroup1
from fc_runtime.isolation.manners import AT_A_TIME
from fc_runtime.isolation.tiers import Limits, UnavailableError
from fc_runtime.pool import autopsy
from support.processes import printed_pids, still_running
from support.stage import Gate, Recorder, until, wait_gone

MiB = 2**20
NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino
Register = Callable[..., Callable[..., Any]]

try:
    Cgroup1.open().close()
except UnavailableError as unavailable:
    pytest.skip(f"no cgroup v1 here: {unavailable}", allow_module_level=True)

HIERARCHIES = cgroups.find_hierarchies()


def folders() -> set[Path]:
    """All of this program's, in every hierarchy."""
    tops = {*HIERARCHIES.own.values(), *filter(None, [HIERARCHIES.unified])}
    return {entry for top in tops for entry in top.glob(f"fc-runtime-{os.getpid()}-*")}


@pytest.fixture
def runtime(log: Recorder) -> Iterator[Runtime]:
    before = folders()
    with Runtime(isolation="cgroup1", log=log) as made:
        yield made
        made.close(0.0)
    assert before == folders()


@pytest.fixture
def register(runtime: Runtime, handlers: Path) -> Register:
    """Makes the function ``f`` of a handler of ``handlers/tiers``; what comes back invokes it."""

    def made(handler: str, **options: Any) -> Callable[..., Any]:
        runtime.register("f", code=handlers / "tiers", handler=f"index.{handler}", **options)
        return lambda event=b"", **more: runtime.invoke("f", event, check=False, **more)

    return made


def test_timed_out_tree_is_gone(
    runtime: Runtime, register: Register, gate: Gate, log: Recorder
) -> None:
    """
    The handler, its children, a daemon in a session of its own, and a relay whose every process
    lives only until it has forked the next.
    """
    invoke = register("family", timeout=1.0)

    result = invoke(gate.event())

    assert isinstance(result.outcome, TimedOut)
    assert {"worker", "daemon", "relay"} == set(printed_pids(result.log))
    _, worker = gate.entered()
    assert wait_gone(worker)
    assert {} == still_running(result.log)
    log.wait_for("instance.exited", cause="timed_out")
    # Its folders can only be removed once nobody is in them, the relay included.
    until(lambda: not [path for base in folders() for path in base.iterdir() if path.name == "1"])
    assert [] == log.of("instance.left_survivors")
    assert 0 == runtime.stats()["survivors"]


def test_limits_are_the_kernels(runtime: Runtime, register: Register) -> None:
    """Memory (with swap), processes and CPU time stand in the folder that the instance is in."""
    options: dict[str, Any] = {"memory_mb": 96, "max_processes": 50}
    if "cpu" in HIERARCHIES.own:
        options["cpu"] = 0.5
    joined = register("own_cgroups", **options)().text
    isolation = runtime._core.holding.isolation
    assert isinstance(isolation, Cgroup1)

    expected = {
        "memory": {"memory.limit_in_bytes": 96 * MiB},
        "pids": {"pids.max": 50},
        "cpu": {"cpu.cfs_quota_us": 50_000, "cpu.cfs_period_us": 100_000},
    }
    swap = isolation._bases["memory"] / "1" / "memory.memsw.limit_in_bytes"
    if swap.exists():
        expected["memory"][swap.name] = 96 * MiB
    for controller, base in isolation._bases.items():
        (line,) = (line for line in joined.splitlines() if f":{controller}:" in line)
        assert line.endswith(f"/{base.name}/1")
        told = {name: int((base / "1" / name).read_text()) for name in expected[controller]}
        assert expected[controller] == told


def test_fork_bomb_stops_at_max_processes(register: Register) -> None:
    """The handler is refused by EAGAIN, and can go on."""
    made, error = json.loads(register("bomb", max_processes=40, timeout=20.0)().payload)

    assert made < 40
    assert made >= 35
    assert errno.EAGAIN == error


@pytest.mark.parametrize("way", ["/tmp", "/dev/shm", "memfd"])
def test_files_in_memory_are_memory(register: Register, way: str) -> None:
    """64 MiB beyond the limit, in a file that is nowhere but in memory: OutOfMemory, and named."""
    handler = "fill_memfd" if way == "memfd" else "fill_file"
    invoke = register(handler, memory_mb=64, scratch_mb=512, timeout=30.0)
    event = {"folder": way, "mib": 128}

    outcome = invoke(json=event).outcome
    Path("/dev/shm/large").unlink(missing_ok=True)  # the host's: standard does not hide it

    assert isinstance(outcome, OutOfMemory)
    assert 64 * MiB == outcome.limit_bytes
    assert "cgroup v1 memory.oom_control" == outcome.source
    assert "written" == invoke(json={**event, "mib": 16}).text  # a fresh one serves on
    Path("/dev/shm/large").unlink(missing_ok=True)


def test_open_removes_what_a_dead_program_has_left() -> None:
    """Its folders, and those of its instances, in every hierarchy; nobody else's."""
    with subprocess.Popen(["true"]) as ended:
        pass
    ticks = cgroups._start_ticks(psutil.Process().pid)
    parents = {HIERARCHIES.own["memory"], HIERARCHIES.own["pids"]}
    dead = [parent / f"fc-runtime-{ended.pid}-1-1-{NAMESPACE}" for parent in parents]
    living = [parent / f"fc-runtime-{os.getpid()}-{ticks}-987654-{NAMESPACE}" for parent in parents]
    for folder in (*dead, *living):
        folder.mkdir()
        (folder / "3").mkdir()

    Cgroup1.open().close()

    assert [] == [folder for folder in dead if folder.exists()]
    for folder in living:
        (folder / "3").rmdir()
        folder.rmdir()


def test_closing_removes_all_of_it() -> None:
    """What is shared by all cells as well as theirs; no hierarchy has more in it than before."""
    before = folders()
    tier = Cgroup1.open()
    cell = tier.cell(1, Limits(memory_bytes=64 * MiB, processes=8, cpu=0.1 if cpu_here() else None))
    assert len(cell.folders) == len({*map(Path, cell.folders)}) >= 2
    assert all(Path(folder).is_dir() for folder in cell.folders)

    assert cell.close()
    assert cell.close()
    tier.close()

    assert before == folders()


def cpu_here() -> bool:
    return "cpu" in HIERARCHIES.own


def test_refused_limit_leaves_no_folder() -> None:
    """One that the kernel does not take: OSError, and what had been made for it is gone."""
    tier = Cgroup1.open()

    with pytest.raises(OSError, match="Invalid argument"):
        tier.cell(1, Limits(memory_bytes=64 * MiB, processes=-8))

    assert [] == [path for base in folders() for path in base.iterdir() if path.name == "1"]
    tier.close()


@pytest.fixture
def tier() -> Iterator[Cgroup1]:
    before = folders()
    made = Cgroup1.open()
    yield made
    made.close()
    assert before == folders()


def limits_of(cell: Cell) -> tuple[int, int]:
    """As the kernel has them: bytes, processes."""
    memory = Path(cell.folders[0], "memory.limit_in_bytes").read_text()
    return int(memory), int(Path(pids_folder(cell), "pids.max").read_text())


def cells_there(tier: Cgroup1) -> int:
    return sum(entry.is_dir() for entry in tier._bases["pids"].iterdir())


def test_the_next_cell_is_made_in_nobodys_time(tier: Cgroup1) -> None:
    """One, as the last that was asked for; whoever asks for the same again need not wait for it."""
    tier.cell(1, Limits(memory_bytes=64 * MiB, processes=8))
    for _ in range(3):
        tier.make_ready()
    assert 2 == cells_there(tier)

    second = tier.cell(2, Limits(memory_bytes=64 * MiB, processes=8))
    assert 2 == cells_there(tier)
    assert (64 * MiB, 8) == limits_of(second)
    assert second.folders != tier.cell(3, Limits(memory_bytes=64 * MiB, processes=8)).folders
    assert 3 == cells_there(tier)


def test_a_cell_that_was_made_ahead_is_not_for_other_limits(tier: Cgroup1) -> None:
    """It stays there for whoever has its own."""
    tier.cell(1, Limits(memory_bytes=64 * MiB, processes=8))
    tier.make_ready()

    other = tier.cell(2, Limits(memory_bytes=128 * MiB, processes=9))
    assert (128 * MiB, 9) == limits_of(other)
    assert 3 == cells_there(tier)
    assert (64 * MiB, 8) == limits_of(tier.cell(3, Limits(memory_bytes=64 * MiB, processes=8)))
    assert 3 == cells_there(tier)


def test_nothing_is_made_ahead_for_a_tier_that_is_closed() -> None:
    """Nor before anybody has asked for a cell."""
    before = folders()
    tier = Cgroup1.open()
    tier.cell(1, Limits(memory_bytes=64 * MiB, processes=8)).close()
    tier.close()

    tier.make_ready()

    assert before == folders()


def test_a_start_finds_its_cell_made(runtime: Runtime, register: Register) -> None:
    """All but the first of a runtime do, as far as they come one after the other."""
    invoke = register("own_cgroups", max_instances=2)
    invoke()
    tier: Any = runtime._core.holding.isolation
    until(lambda: tier._spare)
    (spare,) = tier._spare

    runtime.warm("f", 2)

    assert spare in {instance.cell for instance in runtime._core.pool("f").roster.live}


# -- the end of a tree -------------------------------------------------------------------------

RELAY = """
import os, sys, time
with open(f"{sys.argv[1]}/cgroup.procs", "w") as members:
    members.write("0")
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.write(1, b".")
        while True:  # each lives only until it has forked the next
            try:
                if os.fork():
                    os._exit(0)
            except BlockingIOError:
                time.sleep(1000)  # nobody may fork any more
os.write(1, b"!")
time.sleep(1000)
"""
MANY = """
import os, sys, time
with open(f"{sys.argv[1]}/cgroup.procs", "w") as members:
    members.write("0")
for _ in range(int(sys.argv[2]) - 1):
    if os.fork() == 0:
        time.sleep(1000)
os.write(1, b"!")
time.sleep(1000)
"""


@pytest.fixture
def cell() -> Iterator[Cell]:
    tier = Cgroup1.open()
    made = tier.cell(1, Limits(memory_bytes=512 * MiB, processes=1000))
    yield made
    until(made.close)
    tier.close()


def pids_folder(cell: Cell) -> str:
    return next(folder for folder in cell.folders if "/pids" in folder)


def started(program: str, cell: Cell, count: int) -> "subprocess.Popen[bytes]":
    """In *cell*, once all are there."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, pids_folder(cell), str(count)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    while process.stdout.read(1) != b"!":
        pass
    return process


def members(cell: Cell) -> list[str]:
    return Path(pids_folder(cell), "cgroup.procs").read_text().split()


@pytest.mark.parametrize("_round", range(5))
def test_nobody_outruns_the_kill(cell: Cell, _round: int) -> None:
    """
    Relays whose every process lives only until it has forked the next: nobody begins to fork any
    more, and who was in the middle of it is met by a later kill, as in `Endings.dispose`.
    """
    with started(RELAY, cell, 6) as process:
        assert process.stdout is not None
        cell.kill(0, -1, -1)
        until(lambda: not members(cell) or cell.kill(0, -1, -1))

        process.stdout.read()  # until nobody is left to write to it
        assert -signal.SIGKILL == process.wait(timeout=10)
    until(lambda: not members(cell))


def test_more_than_there_are_descriptors_for_at_a_time(cell: Cell) -> None:
    """Several rounds of them: all are killed, and no descriptor is left."""
    before = len(os.listdir("/proc/self/fd"))
    with started(MANY, cell, 3 * AT_A_TIME + 1) as process:
        assert 3 * AT_A_TIME + 1 == len(members(cell))
        cell.kill(0, -1, -1)

        assert -signal.SIGKILL == process.wait(timeout=10)
    until(cell.close)
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_number_that_is_a_strangers_by_now_is_not_killed(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was listed has ended since, and somebody else was given his number."""
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        lists = iter([{stranger.pid}, set()])
        monkeypatch.setattr(cgroup1, "_listed", lambda _members: next(lists))
        cell.kill(0, -1, -1)

        assert stranger.poll() is None
        stranger.kill()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_got_ready_for_a_kill_that_never_came_is_let_go(cell: Cell) -> None:
    """However often."""
    with started(MANY, cell, 5) as process:
        before = descriptors()
        cell.get_ready(0)
        cell.get_ready(0)
        ready = descriptors()
        cell.stand_down()

        assert ready > before + 5
        assert before == descriptors()
        cell.kill(0, -1, -1)
        assert -signal.SIGKILL == process.wait(timeout=10)


def test_a_call_that_is_answered_in_its_last_moments_keeps_nothing(
    runtime: Runtime, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The kill had been got ready: pidfds of all its children, its file, and nobody in it would have
    pre-empted who kills.
    """
    monkeypatch.setattr(autopsy, "ASK_NS", 9_900_000_000)  # a tenth of a second after it began
    policies: list[set[int]] = []
    workers: set[int] = set()
    original = Cell.get_ready

    def get_ready(cell: Cell, pid: int) -> None:
        original(cell, pid)
        policies.append({os.sched_getscheduler(pid) for pid in cell.members()})
        workers.add(pid)

    monkeypatch.setattr(Cell, "get_ready", get_ready)
    invoke = register("rest_with_children", timeout=10.0)
    assert invoke().ok
    assert invoke().ok
    until(lambda: runtime.stats()["functions"]["f"]["idle"] == 2)  # and its standby
    before = descriptors()
    for _ in range(3):
        assert invoke().ok

    assert before == descriptors()
    assert [{os.SCHED_BATCH}] * 5 == policies
    assert {os.SCHED_OTHER} == {os.sched_getscheduler(pid) for pid in workers}


@pytest.mark.parametrize(
    ("then", "outcome"), [("return 'out'", Returned), ("while True: pass", TimedOut)]
)
def test_a_handler_that_leaves_and_removes_its_cgroup(
    runtime: Runtime, tmp_path: Path, then: str, outcome: type
) -> None:
    """As the host's user it may. What comes of it is told as ever, and it is ended as ever."""
    (tmp_path / "index.py").write_text(
        "import os, time\n"
        "def handler(event, context):\n"
        "    for line in open('/proc/self/cgroup'):\n"
        "        _, controllers, path = line.strip().split(':', 2)\n"
        "        top = '/sys/fs/cgroup/' + controllers\n"
        "        if 'fc-runtime' in path:\n"
        "            with open(top + '/cgroup.procs', 'w') as members:\n"
        "                members.write(str(os.getpid()))\n"
        "            os.rmdir(top + path)\n"
        "    time.sleep(0.1)  # it is looked at meanwhile\n"
        f"    {then}\n"
    )
    runtime.register("f", code=tmp_path, timeout=1.0)

    assert outcome is type(runtime.invoke("f", check=False).outcome)
    assert outcome is type(runtime.invoke("f", check=False).outcome)
