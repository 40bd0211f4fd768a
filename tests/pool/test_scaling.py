"""How many instances there are: between min and max, one beyond demand, none when unused."""

import json
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest
from fc_runtime import OverloadedError, Runtime
from fc_runtime.pool import nursery
from support.stage import Gate, Recorder, until, wait_gone


def pid_of(runtime: Runtime, name: str) -> int:
    return int(runtime.invoke(name).text)


def gauges(runtime: Runtime, name: str) -> dict[str, int]:
    return runtime.stats()["functions"][name]


def test_a_runtime_without_use_has_no_process(runtime: Runtime, handlers: Path) -> None:
    """Making a runtime and registering a function starts nothing."""
    runtime.register("lazy", code=handlers / "gate")

    assert [] == psutil.Process().children()
    assert 0 == gauges(runtime, "lazy")["processes"]


def test_no_more_than_max_instances_serve_at_a_time(gated: Runtime, gate: Gate) -> None:
    """With max_instances=2 the third caller waits until one of the two is done."""
    futures = [gated.submit("gated", gate.event(label)) for label in "abc"]
    came = {gate.entered()[0], gate.entered()[0]}
    until(lambda: gauges(gated, "gated")["waiting"] == 1)

    assert 2 == gauges(gated, "gated")["serving"]
    assert gate.is_deserted()

    gate.let()
    came.add(gate.entered()[0])

    assert {"a", "b", "c"} == came

    gate.let(2)
    pids = {future.result().json()["pid"] for future in futures}
    assert len(pids) <= 2


def test_a_caller_at_the_limit_is_served_although_a_standby_is_ready(
    runtime: Runtime, handlers: Path, gate: Gate
) -> None:
    """The standby counts for growth only: max_instances=1 means one invocation at a time."""
    runtime.register("one", code=handlers / "gate", max_instances=1, timeout=30.0)
    runtime.invoke("one", b"{}")
    first = runtime.submit("one", gate.event("first"))
    gate.entered()
    until(lambda: gauges(runtime, "one")["idle"] == 1)
    second = runtime.submit("one", gate.event("second"))
    until(lambda: gauges(runtime, "one")["waiting"] == 1)

    assert gate.is_deserted()
    assert 2 == gauges(runtime, "one")["processes"]

    gate.let(2)
    wait([first, second])
    assert "second" == second.result().json()["label"]


def test_last_in_first_out(gated: Runtime, gate: Gate) -> None:
    """The instance that was used last serves next: its caches are warm, and the other ages."""
    futures = {label: gated.submit("gated", gate.event(label)) for label in "ab"}
    entered = dict([gate.entered(), gate.entered()])
    gate.let()
    until(lambda: any(future.done() for future in futures.values()))
    gate.let()
    wait(futures.values())
    done = {label: future.result() for label, future in futures.items()}
    again = [gated.invoke("gated", b"{}").json()["pid"] for _ in range(5)]

    # Who came out last is not known, but it serves all five.
    assert 1 == len(set(again))
    assert again[0] in entered.values()
    assert set(entered.values()) == {result.json()["pid"] for result in done.values()}


def test_one_standby_beyond_demand(gated: Runtime, gate: Gate, log: Recorder) -> None:
    """
    While a function is in use one instance more than serve is ready, so that the next caller who
    comes meanwhile does not pay for a start.
    """
    gated.invoke("gated", b"{}")
    first = gated.submit("gated", gate.event("first"))
    gate.entered()
    until(lambda: gauges(gated, "gated")["idle"] == 1, what="a standby")
    second = gated.submit("gated", gate.event("second"))
    gate.entered()

    gate.let(2)
    assert not first.result().cold_start
    assert not second.result().cold_start
    assert first.result().json()["pid"] != second.result().json()["pid"]
    assert len(log.of("instance.started")) <= 3  # two serve, one stands by, and no more


def test_a_call_begins_before_the_standby_that_follows_it(
    gated: Runtime, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start would take the CPUs from the call; one that lasts gets its standby all the same."""
    monkeypatch.setattr(nursery, "HEAD_START_S", 0.3)
    gated.invoke("gated", b"{}")
    running = gated.submit("gated", gate.event())
    gate.entered()

    assert (1, 0) == (gauges(gated, "gated")["processes"], gauges(gated, "gated")["warming"])

    until(lambda: gauges(gated, "gated")["idle"] == 1, what="a standby")
    gate.let()
    assert running.result().ok


def test_unused_instances_are_retired_down_to_nothing(
    runtime: Runtime, handlers: Path, log: Recorder
) -> None:
    """After idle_timeout without a call no process is left, not even the zygote's."""
    runtime.register("brief", code=handlers / "gate", handler="index.whoami", idle_timeout=0.2)
    pids = {pid_of(runtime, "brief") for _ in range(3)}
    (zygote,) = log.of("zygote.started")
    log.wait_for("zygote.exited", pid=zygote["pid"])

    assert all(wait_gone(pid) for pid in pids)
    until(lambda: not psutil.Process().children(), what="no child left")
    assert 0 == gauges(runtime, "brief")["processes"]
    assert {"idle"} == {fields["cause"] for fields in log.of("instance.exited")}


def test_a_function_that_fell_asleep_wakes_up(
    runtime: Runtime, handlers: Path, log: Recorder
) -> None:
    """The call after the last process went is a cold start, and else like any other."""
    runtime.register("brief", code=handlers / "gate", handler="index.whoami", idle_timeout=0.2)
    before = runtime.invoke("brief")
    log.wait_for("zygote.exited")
    after = runtime.invoke("brief")

    assert after.cold_start
    assert before.text != after.text


def test_use_keeps_an_instance_from_being_retired(
    runtime: Runtime, handlers: Path, gate: Gate, log: Recorder
) -> None:
    """idle_timeout counts from the end of the last call; a call that lasts longer is no idling."""
    runtime.register("brief", code=handlers / "gate", timeout=30.0, idle_timeout=0.2)
    pid = runtime.invoke("brief", b"{}").json()["pid"]
    long = runtime.submit("brief", gate.event())
    gate.entered()
    log.wait_for("instance.exited", cause="idle")  # the standby, for which there is no use
    gate.let()

    assert pid == long.result().json()["pid"]
    assert pid == runtime.invoke("brief", b"{}").json()["pid"]


def test_min_instances_are_started_by_register_and_kept(
    runtime: Runtime, handlers: Path, gate: Gate, log: Recorder
) -> None:
    """
    min_instances=1: one is there before the first call, which is warm; after a burst the others
    are retired, and one stays.
    """
    runtime.register(
        "kept", code=handlers / "gate", min_instances=1, idle_timeout=0.3, timeout=30.0
    )
    until(lambda: gauges(runtime, "kept")["idle"] == 1)
    first = runtime.invoke("kept", b"{}")
    burst = [runtime.submit("kept", gate.event()) for _ in range(3)]
    for _ in burst:
        gate.entered()
    gate.let(3)
    wait(burst)
    log.wait_for("instance.exited", count=2, cause="idle")
    until(lambda: gauges(runtime, "kept")["processes"] == 1)

    assert not first.cold_start
    assert not runtime.invoke("kept", b"{}").cold_start
    assert [] == log.of("zygote.exited")


def test_min_instances_lie_still(runtime: Runtime, handlers: Path, log: Recorder) -> None:
    """An instance that is kept on purpose is not replaced each idle_timeout."""
    runtime.register(
        "kept", code=handlers / "gate", handler="index.whoami", min_instances=2, idle_timeout=0.1
    )
    runtime.register("clock", code=handlers / "gate", handler="index.whoami", idle_timeout=0.5)
    runtime.warm("kept", 2)
    runtime.invoke("clock")
    log.wait_for("instance.exited", function="clock", cause="idle")  # five times as long

    assert 2 == len(log.of("instance.started", function="kept"))
    assert [] == log.of("instance.exited", function="kept")


def test_a_burst_leaves_no_queue_behind(gated: Runtime, gate: Gate) -> None:
    """After more callers than instances, all have been answered and the gauges say so."""
    gate.let(20)
    results = list(gated.map("gated", [gate.event(str(n)) for n in range(20)], concurrency=20))

    assert [str(n) for n in range(20)] == [result.json()["label"] for result in results]
    until(lambda: gauges(gated, "gated")["serving"] == 0)
    assert 0 == gauges(gated, "gated")["waiting"]
    assert gauges(gated, "gated")["processes"] <= 3
    assert 20 == gauges(gated, "gated")["invocations"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_warm_returns_when_so_many_are_up(runtime: Runtime, handlers: Path, n: int) -> None:
    """After warm(name, n) n callers at the same time are served without a cold start."""
    runtime.register("some", code=handlers / "gate", max_instances=3)
    runtime.warm("some", n)

    assert n == gauges(runtime, "some")["idle"]
    assert not runtime.invoke("some", b"{}").cold_start


def test_warm_is_content_with_what_is_there(runtime: Runtime, handlers: Path) -> None:
    """Asking twice starts nothing twice."""
    runtime.register("some", code=handlers / "gate", max_instances=3)
    runtime.warm("some", 2)
    runtime.warm("some", 2)
    runtime.warm("some", 1)

    assert (2, 0) == (gauges(runtime, "some")["processes"], gauges(runtime, "some")["warming"])


def test_warm_without_room_says_so_at_once(
    runtime: Runtime, handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the host has no descriptors left the answer is OverloadedError, not a long wait."""

    def no_room(*_: object) -> None:
        raise OSError(24, "Too many open files")

    runtime.register("some", code=handlers / "gate")
    monkeypatch.setattr("fc_runtime.pool.instance.os.pipe2", no_room)

    with pytest.raises(OverloadedError, match="Too many open files"):
        runtime.warm("some")

    monkeypatch.undo()
    runtime.warm("some")
    assert json.loads(runtime.invoke("some", b"{}").payload)["pid"]
