"""Instances that are replaced: worn out, dead, or dying again and again."""

import itertools
import os
import signal
from concurrent.futures import wait
from pathlib import Path

import pytest
from fc_runtime import Crashed, CrashedError, Runtime
from support.stage import Gate, Recorder, until


def idle(runtime: Runtime, name: str) -> int:
    return runtime.stats()["functions"][name]["idle"]


def test_max_invocations_1_is_a_fresh_process_every_time(runtime: Runtime, handlers: Path) -> None:
    """No two invocations meet in one process."""
    runtime.register("fresh", code=handlers / "gate", handler="index.whoami", max_invocations=1)
    pids = [runtime.invoke("fresh").text for _ in range(20)]

    assert 20 == len(set(pids))


def test_a_fresh_process_comes_from_the_standby(runtime: Runtime, handlers: Path) -> None:
    """
    With max_invocations=1 and a moment to breathe, every call but the first finds an instance
    that has been started and initialised before.
    """
    runtime.register("fresh", code=handlers / "gate", handler="index.whoami", max_invocations=1)
    cold = []
    for _ in range(5):
        cold.append(runtime.invoke("fresh").cold_start)
        until(lambda: idle(runtime, "fresh") == 1, what="a standby")

    assert [True, False, False, False, False] == cold


def test_max_invocations_counts(runtime: Runtime, handlers: Path, log: Recorder) -> None:
    """max_invocations=3: an instance serves three times, and is then replaced as worn out."""
    runtime.register("worn", code=handlers / "gate", handler="index.whoami", max_invocations=3)
    pids = [runtime.invoke("worn").text for _ in range(9)]
    exited = log.wait_for("instance.exited", count=3)

    assert {3} == {pids.count(pid) for pid in pids}
    assert [("worn_out", 3)] * 3 == [(one["cause"], one["invocations"]) for one in exited]


def test_at_max_invocations_1_many_callers_share_no_process(
    runtime: Runtime, handlers: Path
) -> None:
    """Also under concurrency every invocation has a process of its own."""
    runtime.register(
        "fresh", code=handlers / "gate", handler="index.whoami", max_invocations=1, max_instances=3
    )
    pids = [result.text for result in runtime.map("fresh", [b""] * 30, concurrency=6)]

    assert 30 == len(set(pids))


def test_a_worker_that_dies_takes_only_its_own_invocation_along(gated: Runtime, gate: Gate) -> None:
    """The caller of the dead one gets CrashedError; the neighbour's call goes on and is answered."""
    futures = {label: gated.submit("gated", gate.event(label)) for label in "ab"}
    pids = dict([gate.entered(), gate.entered()])
    os.kill(pids["a"], signal.SIGKILL)

    with pytest.raises(CrashedError) as crash:
        futures["a"].result()

    assert Crashed(signal=signal.SIGKILL) == crash.value.result.outcome
    gate.let()
    assert pids["b"] == futures["b"].result().json()["pid"]
    assert gated.invoke("gated", b"{}").ok


def test_a_dead_workers_place_is_free_again(gated: Runtime, gate: Gate) -> None:
    """max_instances crashes do not use up max_instances."""
    for _ in range(3):
        futures = [gated.submit("gated", gate.event(), check=False) for _ in range(2)]
        for _ in futures:
            os.kill(gate.entered()[1], signal.SIGKILL)
        wait(futures)

        assert {Crashed} == {type(future.result().outcome) for future in futures}

    stats = gated.stats()["functions"]["gated"]
    assert (0, 6) == (stats["serving"], stats["outcomes"]["crashed"])
    assert gated.invoke("gated", b"{}").ok


def test_an_instance_that_dies_idle_is_replaced_in_the_background(
    runtime: Runtime, handlers: Path, log: Recorder
) -> None:
    """Nobody has to call for min_instances to be there again, and the next call is warm."""
    runtime.register("kept", code=handlers / "gate", handler="index.whoami", min_instances=1)
    until(lambda: idle(runtime, "kept") == 1)
    (first,) = log.wait_for("instance.started")
    os.kill(first["pid"], signal.SIGKILL)
    (exited,) = log.wait_for("instance.exited", exit_code=-signal.SIGKILL)
    until(lambda: idle(runtime, "kept") == 1)
    result = runtime.invoke("kept")

    assert "died" == exited["cause"]
    assert not result.cold_start
    assert str(first["pid"]) != result.text


def test_a_crash_loop_backs_off(
    runtime: Runtime, handlers: Path, births: Path, log: Recorder
) -> None:
    """
    An instance that comes up and dies, again and again, is started at growing intervals: each
    pause between two starts is longer than the one before.
    """
    runtime.register(
        "doomed",
        code=handlers / "births",
        min_instances=1,
        environment={"BIRTHS": str(births), "AT_IMPORT": "die_later 0.02"},
    )
    seen: list[float] = []
    for count in range(1, 5):
        log.wait_for("instance.exited", count=count)
        seen.append(log.of("instance.exited")[-1]["at"])
    pauses = [after - before for before, after in itertools.pairwise(seen)]

    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[2] > 2 * pauses[0]
