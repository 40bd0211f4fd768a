"""
`pre_stop` before an instance is retired in good order, `pre_freeze` after each invocation (spec 3):
when they run, that nobody waits for them, and that whatever becomes of them is told in the log only.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import Function, InvalidFunctionError, Runtime
from support.stage import Recorder, until

Deploy = Callable[..., str]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where the handlers leave their notes."""
    path = tmp_path / "notes"
    path.touch()
    return path


@pytest.fixture
def deploy(runtime: Runtime, handlers: Path, notes: Path) -> Deploy:
    """Registers ``f`` with hooks of ``handlers/hooks``."""

    def register(*, gate: Path | None = None, **options: Any) -> str:
        environment = {"NOTES": str(notes)} | ({"GATE": str(gate)} if gate else {})
        runtime.register(
            "f",
            code=handlers / "hooks",
            **{"max_instances": 1, "environment": environment, "timeout": 30.0, **options},
        )
        return "f"

    return register


def words(notes: Path) -> list[str]:
    return [line.split()[0] for line in notes.read_text().splitlines()]


def noted(notes: Path, word: str, times: int = 1) -> None:
    until(lambda: words(notes).count(word) >= times, what=f"{times} times {word}")


# -- pre_stop ----------------------------------------------------------------------------------


def test_pre_stop_runs_when_an_instance_is_idle_for_too_long(
    runtime: Runtime, deploy: Deploy, notes: Path
) -> None:
    """On the instance that served, with a context of its own."""
    deploy(pre_stop="index.stop", idle_timeout=0.1)

    result = runtime.invoke("f")

    until(lambda: not runtime.stats()["functions"]["f"]["processes"])
    lines = [line.split() for line in notes.read_text().splitlines()]
    stops = [line for line in lines if line[0] == "stop" and line[2] == result.instance_id]
    assert 1 == len(stops)
    assert result.request_id != stops[0][1]


def test_pre_stop_runs_when_the_function_is_replaced_or_forgotten(
    runtime: Runtime, deploy: Deploy, notes: Path
) -> None:
    """The old one's hook, on each of its instances."""
    deploy(pre_stop="index.stop", max_instances=1)
    runtime.invoke("f")
    deploy(pre_stop="index.awaited")
    noted(notes, "stop")
    runtime.invoke("f")

    runtime.unregister("f")

    noted(notes, "awaited")


def test_pre_stop_is_let_run_though_the_pid_is_told_late(
    runtime: Runtime, deploy: Deploy, notes: Path, log: Recorder, tmp_path: Path
) -> None:
    """An instance may have answered, and be told to go, before its zygote is heard to have it."""
    hears = threading.Event()
    runtime._core.supervisor.after(0.0, hears.wait)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    way_out = os.open(gate, os.O_RDWR)  # does not wait for a reader, who may have been killed
    deploy(pre_stop="index.freeze", gate=gate)
    runtime.invoke("f")
    runtime.unregister("f")
    noted(notes, "freeze")

    hears.set()

    log.wait_for("instance.started")
    os.write(way_out, b"x")
    os.close(way_out)
    (told,) = log.wait_for("instance.exited")
    assert 0 == told["exit_code"]
    assert not log.of("instance.hook_failed")


def test_pre_stop_runs_when_an_instance_is_worn_out(
    runtime: Runtime, deploy: Deploy, notes: Path
) -> None:
    """After its last invocation, before its end."""
    deploy(pre_stop="index.stop", max_invocations=2)
    for _ in range(4):
        runtime.invoke("f")

    noted(notes, "stop", 2)


def test_close_waits_for_pre_stop(handlers: Path, notes: Path) -> None:
    """Draining, `close` comes back when every instance has had its hook."""
    with Runtime() as runtime:
        runtime.register(
            "f",
            code=handlers / "hooks",
            pre_stop="index.stop",
            environment={"NOTES": str(notes)},
            max_instances=3,
        )
        runtime.warm("f", 3)

    assert words(notes).count("stop") >= 3


def test_close_without_time_does_not_wait_for_pre_stop(handlers: Path, notes: Path) -> None:
    """Nobody is given what there is none of; nothing is left behind (the suite's guard looks)."""
    runtime = Runtime()
    runtime.register(
        "f",
        code=handlers / "hooks",
        pre_stop="index.hangs",
        pre_stop_timeout=90.0,
        environment={"NOTES": str(notes)},
    )
    runtime.invoke("f")

    runtime.close(drain=0.0)

    assert not runtime.stats()["functions"]["f"]["processes"]


def test_an_instance_that_is_not_in_good_order_has_no_pre_stop(
    runtime: Runtime, deploy: Deploy, notes: Path, log: Recorder
) -> None:
    """One whose deadline has passed is killed at once."""
    deploy(handler="index.hangs_as_handler", timeout=0.3, pre_stop="index.stop")

    assert not runtime.invoke("f", check=False).ok

    log.wait_for("instance.exited")
    assert ["hangs"] == words(notes)


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        ("fails", "RuntimeError: the hook is broken"),
        ("hangs", "not done within 0.2 s"),
        ("leaves", "it ended its process"),
        ("missing", "HandlerNotFound"),
    ],
)
def test_pre_stop_that_fails_is_told_in_the_log_only(
    runtime: Runtime, deploy: Deploy, log: Recorder, hook: str, says: str
) -> None:
    """With what it wrote; the instance ends all the same."""
    deploy(pre_stop=f"index.{hook}", pre_stop_timeout=0.2)
    runtime.invoke("f")

    runtime.unregister("f")

    (told,) = log.wait_for("instance.hook_failed")
    assert ("f", "pre_stop") == (told["function"], told["hook"])
    assert says in told["cause"]
    if hook != "missing":
        assert f"noted {hook}" in told["log"]
    log.wait_for("instance.exited")


# -- pre_freeze --------------------------------------------------------------------------------


def test_pre_freeze_runs_after_each_invocation(
    runtime: Runtime, deploy: Deploy, notes: Path
) -> None:
    """Before the next one on that instance, with the id of the one before."""
    deploy(pre_freeze="index.freeze")

    results = [runtime.invoke("f") for _ in range(3)]

    noted(notes, "freeze", 3)
    assert ["handler", "freeze"] * 3 == words(notes)
    ids = [line.split()[1] for line in notes.read_text().splitlines()]
    assert [result.request_id for result in results for _ in range(2)] == ids
    assert ["handler", "freeze"] * 2 + ["handler"] == results[-1].json()
    assert 1 == len({result.instance_id for result in results})
    assert [b"noted handler\n"] * 3 == [result.log for result in results]


def test_nobody_waits_for_pre_freeze(
    runtime: Runtime, deploy: Deploy, notes: Path, tmp_path: Path
) -> None:
    """The caller has his answer while the hook still runs; the next call waits for the instance."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    deploy(pre_freeze="index.freeze", pre_freeze_timeout=30.0, gate=gate)

    assert runtime.invoke("f").ok
    noted(notes, "freeze")
    following = runtime.submit("f")
    until(lambda: runtime.stats()["functions"]["f"]["waiting"])
    assert ["handler", "freeze"] == words(notes)
    held_open = os.open(gate, os.O_RDWR)
    try:
        os.write(held_open, b"..")
        assert following.result().ok
        noted(notes, "freeze", 2)
    finally:
        os.close(held_open)


def test_what_pre_freeze_changes_does_not_reach_the_next(
    runtime: Runtime, deploy: Deploy, handlers: Path
) -> None:
    """It is put back as after any invocation."""
    deploy(handler="index.place", pre_freeze="index.soil")

    results = [runtime.invoke("f").json() for _ in range(2)]

    assert [[str(handlers / "hooks"), None]] * 2 == results


@pytest.mark.parametrize(
    ("hook", "says", "survives"),
    [
        ("fails", "RuntimeError: the hook is broken", True),
        ("hangs", "not done within 0.2 s", False),
        ("leaves", "it ended its process", False),
    ],
)
def test_pre_freeze_that_fails_is_told_in_the_log_only(
    runtime: Runtime, deploy: Deploy, log: Recorder, hook: str, says: str, *, survives: bool
) -> None:
    """The caller is not; an instance that cannot go on is replaced."""
    deploy(pre_freeze=f"index.{hook}", pre_freeze_timeout=0.2)

    first = runtime.invoke("f")
    (told,) = log.wait_for("instance.hook_failed")
    second = runtime.invoke("f")

    assert first.ok and second.ok
    assert says in told["cause"]
    assert first.request_id == told["request_id"]
    assert survives == (first.instance_id == second.instance_id)


def test_what_a_hook_writes_is_in_the_log(runtime: Runtime, deploy: Deploy, log: Recorder) -> None:
    """Head and tail of it, and how much was left out."""
    deploy(pre_freeze="index.talks")

    assert b"noted handler\n" == runtime.invoke("f").log

    (told,) = log.wait_for("instance.hook_logged")
    assert told["log"].startswith("beginxxx")
    assert told["log"].endswith("xxxend")
    assert "bytes left out" in told["log"]
    assert len(told["log"]) < 20_000


def test_what_a_hook_leaves_behind_is_ended(runtime: Runtime, deploy: Deploy, notes: Path) -> None:
    """Its children are, as a handler's are; the instance goes on."""
    deploy(pre_freeze="index.forgets")

    results = [runtime.invoke("f") for _ in range(2)]

    noted(notes, "forgets", 2)
    assert 1 == len({result.instance_id for result in results})


def test_pre_freeze_then_pre_stop(runtime: Runtime, deploy: Deploy, notes: Path) -> None:
    """In this order, for an instance that has served for the last time."""
    deploy(pre_freeze="index.freeze", pre_stop="index.stop", max_invocations=1)

    result = runtime.invoke("f")

    def own() -> list[str]:
        lines = [line.split() for line in notes.read_text().splitlines()]
        return [line[0] for line in lines if line[2] == result.instance_id]

    until(lambda: len(own()) == 3)
    assert ["handler", "freeze", "stop"] == own()


def test_hooks_of_a_function_that_has_none_cost_nothing(handlers: Path) -> None:
    """Such a function's warm calls go the short way, and no thread is started for hooks."""
    with Runtime() as runtime:
        runtime.register("f", code=handlers / "values", handler="index.handler")
        runtime.invoke("f", "1")

        assert runtime._core.pool("f").plain
        assert not [thread for thread in threading.enumerate() if thread.name == "fc-runtime-hooks"]


def test_hook_names_are_checked_when_registering(handlers: Path) -> None:
    """A module that is not there is the deployer's mistake, not the log's."""
    with pytest.raises(InvalidFunctionError, match="pre_stop"):
        Function(name="f", code=handlers / "hooks", pre_stop="nowhere.stop")
