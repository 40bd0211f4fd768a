"""kill -9 of a zygote: running calls do not notice, and the next start has a new one."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
from fc_runtime import Crashed, Runtime, TimedOut
from support.stage import WITHIN_S, Gate, Recorder, marked, stop, until, wait_gone


def zygote_pid(log: Recorder) -> int:
    return log.wait_for("zygote.started")[-1]["pid"]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_killed_while_all_is_idle(runtime: Runtime, log: Recorder) -> None:
    """The next call is answered, by a child of a new zygote; the old instances are gone."""
    before = runtime.invoke("gated", b"{}").json()["pid"]
    old = zygote_pid(log)
    kill(old)
    log.wait_for("instance.exited", cause="orphaned")
    after = runtime.invoke("gated", b"{}").json()["pid"]

    assert before != after
    assert wait_gone(before)
    assert old != zygote_pid(log) == psutil.Process(after).ppid()


def test_killed_and_called_at_once(runtime: Runtime, log: Recorder) -> None:
    """Before anybody has noticed, too: the idle instances still work, and a start gets a new one."""
    for _ in range(10):
        runtime.invoke("gated", b"{}")
        with suppress(ProcessLookupError):  # the one before, if nobody has needed another yet
            kill(zygote_pid(log))

        assert runtime.invoke("gated", b"{}").ok


def test_a_call_in_flight_is_not_affected(runtime: Runtime, gate: Gate, log: Recorder) -> None:
    """The worker goes on and its caller is answered; then it is retired, as nobody can reap it."""
    future = runtime.submit("gated", gate.event("in-flight"))
    _, pid = gate.entered()
    old = zygote_pid(log)
    kill(old)
    log.wait_for("zygote.exited", pid=old)

    assert not future.done()
    assert runtime.invoke("gated", b"{}").ok

    gate.let()
    answer = future.result().json()
    assert ("in-flight", pid, 1) == (answer["label"], answer["pid"], answer["version"])
    assert wait_gone(pid, WITHIN_S)


def test_several_calls_in_flight(runtime: Runtime, gate: Gate, log: Recorder) -> None:
    """All of them are answered."""
    futures = [runtime.submit("gated", gate.event(label)) for label in "abc"]
    pids = [gate.entered()[1] for _ in futures]
    kill(zygote_pid(log))
    log.wait_for("zygote.exited")
    gate.let(3)

    assert list("abc") == [future.result().json()["label"] for future in futures]
    assert all(wait_gone(pid, WITHIN_S) for pid in pids)


def test_zygote_and_instance_killed_together(runtime: Runtime, gate: Gate, log: Recorder) -> None:
    """Nobody is left who knows how the instance ended: CrashedError, soon, and all goes on."""
    future = runtime.submit("gated", gate.event(), check=False)
    _, pid = gate.entered()
    kill(zygote_pid(log))
    kill(pid)

    assert Crashed is type(future.result(WITHIN_S).outcome)
    assert runtime.invoke("gated", b"{}").ok


def test_killed_during_a_start(
    runtime: Runtime, handlers: Path, tmp_path: Path, log: Recorder
) -> None:
    """A caller whose start dies with the zygote gets another: he does not hear of it."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.2)\n")
    runtime.register("slow", code=tmp_path, preload=["slow"], max_instances=5)
    futures = [runtime.submit("slow", str(number)) for number in range(5)]
    first = log.wait_for("zygote.started", function="slow")[0]
    kill(first["pid"])

    assert [str(number) for number in range(5)] == [one.result(10).text for one in futures]
    assert 2 == len(log.of("zygote.started", function="slow"))


def test_the_deadline_holds_without_a_zygote(
    runtime: Runtime, handlers: Path, gate: Gate, log: Recorder
) -> None:
    """An orphan that hangs is ended with its whole tree, by the supervisor itself."""
    mark = f"fc-orphan-{os.getpid()}-{gate.folder.stat().st_ino}"
    runtime.register(
        "family", code=handlers / "family", timeout=0.5, environment={"LD_TEST_MARK": mark}
    )
    future = runtime.submit("family", gate.event(), check=False)
    _, worker = gate.entered()
    kill(log.of("zygote.started", function="family")[0]["pid"])
    outcome = future.result(5).outcome

    def family() -> list[int]:
        """All that bears the mark, but for a standby that may be there by now."""
        return [pid for pid in marked(mark) if "sleep" in Path(f"/proc/{pid}/comm").read_text()]

    assert "TimedOut" == type(outcome).__name__
    assert wait_gone(worker, WITHIN_S)
    until(lambda: not family(), WITHIN_S, what="nobody left")


def test_min_instances_come_back(runtime: Runtime, handlers: Path, log: Recorder) -> None:
    """After its zygote died idle, what is to be kept warm is warm again without a call."""
    runtime.register("kept", code=handlers / "gate", handler="index.whoami", min_instances=2)
    runtime.warm("kept", 2)
    old = log.of("zygote.started", function="kept")[0]["pid"]
    kill(old)
    log.wait_for("zygote.started", count=2, function="kept")
    until(lambda: runtime.stats()["functions"]["kept"]["idle"] == 2)

    assert not runtime.invoke("kept").cold_start


def test_one_functions_zygote_is_not_anothers(
    runtime: Runtime, handlers: Path, log: Recorder
) -> None:
    """Each function has its own; killing one leaves the other's instances alone."""
    runtime.register("other", code=handlers / "gate", handler="index.whoami")
    other = runtime.invoke("other").text
    runtime.invoke("gated", b"{}")
    kill(log.of("zygote.started", function="gated")[0]["pid"])
    log.wait_for("zygote.exited")

    assert other == runtime.invoke("other").text


def test_a_stopped_zygote_is_woken_by_the_next_start(
    runtime: Runtime, handlers: Path, gate: Gate, log: Recorder
) -> None:
    """SIGSTOP, which any handler of the same user may send: who needs an instance is served."""
    runtime.register("stopped", code=handlers / "gate", max_instances=3, timeout=30.0)
    runtime.invoke("stopped", b"{}")
    zygote = log.of("zygote.started", function="stopped")[0]["pid"]
    stop(zygote)
    running = [runtime.submit("stopped", gate.event()) for _ in range(3)]
    for _ in running:
        gate.entered()
    gate.let(3)

    assert all(one.result(WITHIN_S).ok for one in running)
    assert [zygote] == [one["pid"] for one in log.of("zygote.started", function="stopped")]


def test_a_stopped_zygote_still_tells_of_an_end(runtime: Runtime, gate: Gate) -> None:
    """Who waits for the end of an instance is told how it ended, and at once."""
    future = runtime.submit("gated", gate.event(exit=3), check=False)
    _, pid = gate.entered()
    stop(psutil.Process(pid).ppid())
    gate.let()

    assert Crashed(exit_code=3) == future.result(WITHIN_S).outcome
    assert runtime.invoke("gated", b"{}").ok


def test_a_stopped_zygote_does_not_keep_one_that_was_killed(
    runtime: Runtime, gate: Gate, log: Recorder
) -> None:
    """A deadline whose caller does not wait for the end: that is heard of all the same."""
    future = runtime.submit("gated", gate.event(), timeout=0.3, check=False)
    _, pid = gate.entered()
    stop(psutil.Process(pid).ppid())

    assert TimedOut is type(future.result(WITHIN_S).outcome)
    assert log.wait_for("instance.exited", within_s=WITHIN_S, cause="timed_out")
    assert 0 == runtime.stats()["survivors"]
