"""
The cgroup v1 tier in both of its ways to end a tree: ``cgroup.kill`` of a version 2 hierarchy
beside it, and the freezer, which a host without one falls back on.
"""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import OutOfMemory, Runtime, TimedOut
from fc_runtime.isolation import cgroups, tiers
from fc_runtime.isolation.cgroup1 import Cgroup1
from fc_runtime.isolation.tiers import Limits, UnavailableError
from support.processes import printed_pids, still_running
from support.stage import Gate, Recorder, until, wait_gone

MiB = 2**20
NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino
Register = Callable[..., Callable[..., Any]]

try:
    Cgroup1.open(unified=False).close()
except UnavailableError as unavailable:
    pytest.skip(f"no cgroup v1 with a freezer here: {unavailable}", allow_module_level=True)

HIERARCHIES = cgroups.find_hierarchies()


def folders() -> set[Path]:
    """All of this program's, in every hierarchy."""
    tops = {*HIERARCHIES.own.values(), *filter(None, [HIERARCHIES.unified])}
    return {entry for top in tops for entry in top.glob(f"fc-runtime-{os.getpid()}-*")}


@pytest.fixture(params=[False, True], ids=["freezer", "cgroup.kill"])
def unified(request: pytest.FixtureRequest) -> bool:
    """By which of the two ways a tree is ended."""
    if request.param:
        tier = Cgroup1.open()
        tier.close()
        if tier._killer is None:
            pytest.skip("no version 2 hierarchy with cgroup.kill beside it")
    return bool(request.param)


@pytest.fixture
def runtime(unified: bool, monkeypatch: pytest.MonkeyPatch, log: Recorder) -> Iterator[Runtime]:
    before = folders()
    monkeypatch.setattr(tiers, "open_tier", lambda _name: Cgroup1.open(unified=unified))
    with Runtime(isolation="cgroup1", log=log) as made:
        isolation = made._core.holding.isolation
        assert isinstance(isolation, Cgroup1)
        assert unified is (isolation._freezer is None)
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


def test_open_removes_what_a_dead_program_has_left(unified: bool) -> None:
    """Its folders, and those of its instances, in every hierarchy; nobody else's."""
    with subprocess.Popen(["true"]) as ended:
        pass
    ticks = cgroups._start_ticks(psutil.Process().pid)
    parents = {HIERARCHIES.own["memory"], HIERARCHIES.own["pids"]}
    if unified:
        assert HIERARCHIES.unified is not None
        parents.add(HIERARCHIES.unified)
    else:
        parents.add(HIERARCHIES.own["freezer"])
    dead = [parent / f"fc-runtime-{ended.pid}-1-1-{NAMESPACE}" for parent in parents]
    living = [parent / f"fc-runtime-{os.getpid()}-{ticks}-987654-{NAMESPACE}" for parent in parents]
    for folder in (*dead, *living):
        folder.mkdir()
        (folder / "3").mkdir()

    Cgroup1.open(unified=unified).close()

    assert [] == [folder for folder in dead if folder.exists()]
    for folder in living:
        (folder / "3").rmdir()
        folder.rmdir()


def test_closing_removes_all_of_it(unified: bool) -> None:
    """What is shared by all cells as well as theirs; no hierarchy has more in it than before."""
    before = folders()
    tier = Cgroup1.open(unified=unified)
    cell = tier.cell(1, Limits(memory_bytes=64 * MiB, processes=8, cpu=0.1 if cpu_here() else None))
    assert len(cell.folders) >= 3
    assert all(Path(folder).is_dir() for folder in cell.folders)

    assert cell.close()
    assert cell.close()
    tier.close()

    assert before == folders()


def cpu_here() -> bool:
    return "cpu" in HIERARCHIES.own


def test_refused_limit_leaves_no_folder(unified: bool) -> None:
    """One that the kernel does not take: OSError, and what had been made for it is gone."""
    tier = Cgroup1.open(unified=unified)

    with pytest.raises(OSError, match="Invalid argument"):
        tier.cell(1, Limits(memory_bytes=64 * MiB, processes=-8))

    assert [] == [path for base in folders() for path in base.iterdir() if path.name == "1"]
    tier.close()
