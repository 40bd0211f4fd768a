"""Functions that are replaced or forgotten while they are in use."""

import gc
import os
import shutil
import weakref
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest
from fc_runtime import FunctionNotFoundError, Runtime, RuntimeClosedError
from support.stage import Gate, Recorder, until, wait_gone


@pytest.fixture
def versions(handlers: Path, tmp_path: Path) -> list[Path]:
    """Two folders with the same handlers, but for the version that they answer with."""
    folders = []
    for version in (1, 2):
        folder = tmp_path / f"version-{version}"
        shutil.copytree(handlers / "gate", folder)
        index = folder / "index.py"
        index.write_text(index.read_text().replace("VERSION = 1", f"VERSION = {version}"))
        folders.append(folder)
    return folders


def deploy(runtime: Runtime, folder: Path, **options: object) -> None:
    runtime.register("f", code=folder, timeout=30.0, **options)


def test_running_calls_end_on_the_old_code_and_new_ones_start_on_the_new(
    runtime: Runtime, versions: list[Path], gate: Gate
) -> None:
    """`register` again: who is being served is not disturbed, who comes after gets the new code."""
    deploy(runtime, versions[0])
    running = runtime.submit("f", gate.event())
    gate.entered()
    deploy(runtime, versions[1])

    assert 2 == runtime.invoke("f", b"{}").json()["version"]
    assert not running.done()

    gate.let()
    assert 1 == running.result().json()["version"]
    assert 2 == runtime.invoke("f", b"{}").json()["version"]


def test_queued_callers_move_to_the_new_code(
    runtime: Runtime, versions: list[Path], gate: Gate
) -> None:
    """Who waits for an instance of the old code gets one of the new, in the old order."""
    deploy(runtime, versions[0], max_instances=1)
    running = runtime.submit("f", gate.event("running"))
    gate.entered()
    queued = [runtime.submit("f", gate.event(label)) for label in "ab"]
    until(lambda: runtime.stats()["functions"]["f"]["waiting"] == 2)
    deploy(runtime, versions[1], max_instances=1)
    came = gate.entered()[0]

    assert came in "ab"
    assert not running.done()

    gate.let(3)
    wait([running, *queued])
    assert [1, 2, 2] == [future.result().json()["version"] for future in (running, *queued)]


def test_the_old_instances_go(
    runtime: Runtime, versions: list[Path], gate: Gate, log: Recorder
) -> None:
    """Idle ones at once, the busy one as soon as it is done, the old zygote last."""
    deploy(runtime, versions[0])
    runtime.warm("f", 2)
    running = runtime.submit("f", gate.event())
    _, busy = gate.entered()
    (zygote,) = log.of("zygote.started")
    deploy(runtime, versions[1])
    log.wait_for("instance.exited", cause="replaced")

    assert psutil.pid_exists(busy)
    assert psutil.pid_exists(zygote["pid"])

    gate.let()
    running.result()
    log.wait_for("zygote.exited", pid=zygote["pid"])
    assert wait_gone(busy)
    assert {"replaced"} == {one["cause"] for one in log.of("instance.exited")}


def test_a_function_that_was_warm_stays_warm(runtime: Runtime, versions: list[Path]) -> None:
    """Replacing the code of a function in use starts an instance of the new before anybody asks."""
    deploy(runtime, versions[0])
    runtime.invoke("f", b"{}")
    deploy(runtime, versions[1])
    until(lambda: runtime.stats()["functions"]["f"]["idle"] == 1)
    result = runtime.invoke("f", b"{}")

    assert (2, False) == (result.json()["version"], result.cold_start)


def test_a_function_that_was_cold_stays_cold(runtime: Runtime, versions: list[Path]) -> None:
    """Replacing what nobody has used starts nothing."""
    deploy(runtime, versions[0])
    deploy(runtime, versions[1])

    assert [] == psutil.Process().children()


def test_no_call_fails_while_code_is_replaced_again_and_again(
    runtime: Runtime, versions: list[Path]
) -> None:
    """Under constant load twenty deployments lose no invocation, and leave nothing of themselves."""
    deploy(runtime, versions[0], max_instances=3)
    results = runtime.map("f", [b"{}"] * 400, concurrency=6)
    seen = set()
    old = weakref.WeakSet()
    for number, result in enumerate(results):
        seen.add(result.json()["version"])
        if number % 20 == 0:
            old.add(runtime._core.pool("f"))
            deploy(runtime, versions[number // 20 % 2], max_instances=3)

    assert {1, 2} == seen
    del results
    until(lambda: gc.collect() >= 0 and not old, what="all the old pools are forgotten")


def test_unregister_lets_running_calls_end(
    runtime: Runtime, versions: list[Path], gate: Gate
) -> None:
    """The name is gone at once; who is being served gets his answer, and then all is gone."""
    deploy(runtime, versions[0])
    running = runtime.submit("f", gate.event())
    gate.entered()
    runtime.unregister("f")

    with pytest.raises(FunctionNotFoundError):
        runtime.invoke("f")
    assert {} == runtime.functions()

    gate.let()
    assert 1 == running.result().json()["version"]
    until(lambda: not psutil.Process().children())


def test_unregister_refuses_who_waits(runtime: Runtime, versions: list[Path], gate: Gate) -> None:
    """Queued callers are refused at once: nothing would ever serve them."""
    deploy(runtime, versions[0], max_instances=1)
    running = runtime.submit("f", gate.event())
    gate.entered()
    queued = runtime.submit("f", gate.event())
    until(lambda: runtime.stats()["functions"]["f"]["waiting"] == 1)
    runtime.unregister("f")

    with pytest.raises(RuntimeClosedError, match="unregistered"):
        queued.result(10)

    gate.let()
    assert running.result().ok
    assert gate.is_deserted()


def test_unregister_what_is_not_there(runtime: Runtime) -> None:
    """FunctionNotFoundError, and the second time too."""
    for _ in range(2):
        with pytest.raises(FunctionNotFoundError, match="'f'"):
            runtime.unregister("f")


def test_a_name_can_be_used_again(runtime: Runtime, versions: list[Path]) -> None:
    """register, unregister, register: the third is as good as the first."""
    deploy(runtime, versions[0])
    assert 1 == runtime.invoke("f", b"{}").json()["version"]
    runtime.unregister("f")
    deploy(runtime, versions[1])
    assert 2 == runtime.invoke("f", b"{}").json()["version"]


def test_registering_by_relative_path_is_safe_from_chdir(
    runtime: Runtime, versions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code folder is settled at `register`; where the host goes afterwards does not matter."""
    monkeypatch.chdir(versions[1].parent)
    deploy(runtime, Path("version-2"))
    os.chdir("/")

    assert 2 == runtime.invoke("f", b"{}").json()["version"]
