"""kill -9 of an instance, at every stage of its life: one failure at most, and it goes on."""

import os
import signal
import time
from pathlib import Path

import pytest
from fc_runtime import Crashed, InitializationFailed, Runtime
from fc_worker.lane import Receiver
from support.stage import WITHIN_S, Gate, Recorder, stop, until, wait_gone

KILLED = Crashed(signal=signal.SIGKILL)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def serves_again(runtime: Runtime, name: str = "gated") -> None:
    """The next call is answered, in a bounded time."""
    before = time.monotonic()

    assert runtime.invoke(name, b"{}").ok
    assert time.monotonic() - before < WITHIN_S


def test_killed_while_idle(runtime: Runtime, log: Recorder) -> None:
    """Nobody was being served, so nobody is told: the next call just works."""
    pid = runtime.invoke("gated", b"{}").json()["pid"]
    kill(pid)
    log.wait_for("instance.exited", exit_code=-signal.SIGKILL)

    serves_again(runtime)
    assert runtime.invoke("gated", b"{}").json()["pid"] != pid


def test_killed_while_idle_and_called_at_once(runtime: Runtime) -> None:
    """
    The call may meet the dead instance before anybody has noticed. Then it gets CrashedError of
    its own, or another instance; never a hang, and the one after that is served.
    """
    for _ in range(20):
        kill(runtime.invoke("gated", b"{}").json()["pid"])
        result = runtime.invoke("gated", b"{}", check=False)

        assert result.ok or result.outcome == KILLED
        serves_again(runtime)


def test_killed_while_busy(runtime: Runtime, gate: Gate) -> None:
    """Its caller is told the signal; the process is gone."""
    future = runtime.submit("gated", gate.event(), check=False)
    _, pid = gate.entered()
    kill(pid)

    assert KILLED == future.result(WITHIN_S).outcome
    assert wait_gone(pid)
    serves_again(runtime)


def test_what_it_had_printed_is_not_lost(
    runtime: Runtime, handlers: Path, tmp_path: Path, gate: Gate
) -> None:
    """The log up to the kill is in the result."""
    (tmp_path / "index.py").write_text(
        "import os, signal\n"
        "def handler(event, context):\n"
        "    print('so far, so good')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    runtime.register("printer", code=tmp_path)
    result = runtime.invoke("printer", check=False)

    assert KILLED == result.outcome
    assert b"so far, so good\n" == result.log


def test_killed_in_the_middle_of_a_large_result(
    runtime: Runtime, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Half a result is no result: with part of 24 MiB taken the caller gets CrashedError, and not one
    byte of it meets the next caller.
    """
    runtime.invoke("gated", b"{}")
    future = runtime.submit("gated", gate.event(bytes=24 * 2**20), check=False)
    _, pid = gate.entered()
    stop(pid)
    gate.let()
    take = Receiver.take
    begun = []

    def take_and_kill(receiver: Receiver) -> None:
        take(receiver)
        begun.append(receiver.left)
        kill(pid)

    monkeypatch.setattr(Receiver, "take", take_and_kill)
    os.kill(pid, signal.SIGCONT)
    outcome = future.result(10).outcome
    monkeypatch.undo()

    assert [23 * 2**20] == begun
    assert KILLED == outcome
    assert wait_gone(pid)
    serves_again(runtime)


def test_killed_while_it_reads_a_large_event(
    runtime: Runtime, handlers: Path, log: Recorder
) -> None:
    """
    In the middle of writing 24 MiB, of which nothing has been read: no SIGPIPE, no hang, and another
    instance serves it, since no handler has seen it.
    """
    runtime.register("echo", code=handlers / "gate", handler="index.whoami", timeout=30.0)
    pid = int(runtime.invoke("echo").text)
    stop(pid)  # it will read nothing
    future = runtime.submit("echo", b"x" * (24 * 2**20), check=False)
    until(lambda: runtime.stats()["functions"]["echo"]["serving"] == 1)
    kill(pid)

    assert str(pid) != future.result(WITHIN_S).text
    assert future.result().ok
    serves_again(runtime, "echo")


@pytest.mark.parametrize("at", ["AT_IMPORT", "AT_INIT"])
def test_killed_while_it_starts(runtime: Runtime, handlers: Path, tmp_path: Path, at: str) -> None:
    """During import or initializer: the caller is told so, and after the back-off it works."""
    births = tmp_path / "births"
    cause = tmp_path / "cause"
    cause.touch()
    runtime.register(
        "slow",
        code=handlers / "births",
        initializer="index.initialize",
        environment={"BIRTHS": str(births), at: f"while {cause} hang"},
    )
    future = runtime.submit("slow", check=False)
    until(lambda: births.exists() and "hanging" in births.read_text())
    kill(int(births.read_text().split()[-1]))
    outcome = future.result(WITHIN_S).outcome
    cause.unlink()

    assert InitializationFailed(KILLED) == outcome
    until(lambda: runtime.invoke("slow", check=False).ok, WITHIN_S)


def test_one_killed_start_is_no_reason_to_refuse_others(
    runtime: Runtime, handlers: Path, tmp_path: Path
) -> None:
    """Who comes right after it gets an instance of his own, not the other's failure."""
    births = tmp_path / "births"
    cause = tmp_path / "cause"
    cause.touch()
    runtime.register(
        "slow",
        code=handlers / "births",
        environment={"BIRTHS": str(births), "AT_IMPORT": f"while {cause} hang"},
    )
    future = runtime.submit("slow", check=False)
    until(lambda: births.exists() and "hanging" in births.read_text())
    cause.unlink()
    kill(int(births.read_text().split()[-1]))

    assert InitializationFailed(KILLED) == future.result(WITHIN_S).outcome
    assert runtime.invoke("slow").ok


def test_a_start_that_is_killed_each_time_is_remembered(
    runtime: Runtime, handlers: Path, tmp_path: Path
) -> None:
    """SIGSEGV at every import, say: a few processes, then the cause at once."""
    births = tmp_path / "births"
    (tmp_path / "index.py").write_text(
        f"import os\nopen({str(births)!r}, 'a').write('x')\nos.kill(os.getpid(), 11)\n"
        "def handler(event, context): pass\n"
    )
    runtime.register("segv", code=tmp_path)
    outcomes = {runtime.invoke("segv", check=False).outcome for _ in range(50)}

    assert {InitializationFailed(Crashed(signal=signal.SIGSEGV))} == outcomes
    assert births.stat().st_size <= 5


def test_a_standby_killed_while_it_starts(runtime: Runtime, gate: Gate, log: Recorder) -> None:
    """Started in nobody's time, killed in nobody's time: replaced, and no caller hears of it."""
    runtime.invoke("gated", b"{}")
    busy = runtime.submit("gated", gate.event())
    gate.entered()
    standby = log.wait_for("instance.started", count=2)[-1]["pid"]
    kill(standby)
    gate.let()

    assert busy.result().ok
    assert wait_gone(standby)
    serves_again(runtime)


def test_its_children_do_not_outlive_it(runtime: Runtime, handlers: Path, gate: Gate) -> None:
    """kill -9 of the worker alone: its children, grandchildren and daemons are swept up."""
    runtime.register("family", code=handlers / "family", timeout=30.0)
    future = runtime.submit("family", gate.event(), check=False)
    _, pid = gate.entered()
    family = descendants(pid)
    kill(pid)

    assert KILLED == future.result(WITHIN_S).outcome
    assert len(family) >= 4
    assert all(wait_gone(one, WITHIN_S) for one in family)


def descendants(pid: int) -> list[int]:
    import psutil

    def found() -> list[int]:
        below = [one.pid for one in psutil.Process(pid).children(recursive=True)]
        return below if len(below) >= 4 else []

    return until(found, what="the whole family")


def test_all_instances_killed_at_once(runtime: Runtime, gate: Gate) -> None:
    """Each caller gets his own error, and all places are free again."""
    futures = [runtime.submit("gated", gate.event(), check=False) for _ in range(3)]
    pids = [gate.entered()[1] for _ in futures]
    for pid in pids:
        kill(pid)

    assert [KILLED] * 3 == [future.result(WITHIN_S).outcome for future in futures]
    assert 0 == runtime.stats()["functions"]["gated"]["serving"]
    serves_again(runtime)


def test_a_stopped_instance_is_not_waited_for(runtime: Runtime, gate: Gate) -> None:
    """SIGSTOP from outside: the deadline ends it like any other that does not answer."""
    future = runtime.submit("gated", gate.event(), timeout=0.3, check=False)
    _, pid = gate.entered()
    stop(pid)
    outcome = future.result(WITHIN_S).outcome

    assert "TimedOut" == type(outcome).__name__
    assert wait_gone(pid)
    serves_again(runtime)
