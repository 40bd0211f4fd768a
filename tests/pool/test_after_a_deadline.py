"""After a deadline a killed tree comes to its end first, and only then a standby in its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fc_runtime import Runtime, TimedOut
from fc_runtime.pool import endings
from fc_runtime.pool.instance import Exit, Instance
from fc_runtime.pool.supervisor import Supervisor
from support.stage import Gate, Recorder, until


class Ear:
    """Keeps from supervisors, until `open`, that instances killed at a deadline have ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._heard = Supervisor._note_exit
        self._kept: list[tuple[Supervisor, Instance, Exit]] = []
        self._closed = True

        def note_exit(supervisor: Supervisor, instance: Instance, ending: Exit) -> None:
            if self._closed and instance.doomed_ns:
                self._kept.append((supervisor, instance, ending))
            else:
                self._heard(supervisor, instance, ending)

        monkeypatch.setattr(Supervisor, "_note_exit", note_exit)

    def open(self, runtime: Runtime) -> None:
        runtime._core.supervisor.after(0.0, self._open)  # on the thread that hears

    def _open(self) -> None:
        self._closed = False
        for kept in self._kept:
            self._heard(*kept)
        self._kept.clear()


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Ear:
    return Ear(monkeypatch)


@pytest.fixture
def hung(runtime: Runtime, handlers: Path, gate: Gate, ear: Ear) -> Iterator[Runtime]:
    """`runtime`: a call of its function ``f`` has missed its deadline, and one is served since."""
    runtime.register("f", code=handlers / "gate", max_instances=1, timeout=30.0)
    runtime.invoke("f", b"{}")
    running = runtime.submit("f", gate.event(), timeout=0.5, check=False)
    gate.entered()
    until(lambda: gauge(runtime, "idle") == 1, what="a standby")
    assert isinstance(running.result().outcome, TimedOut)
    assert not runtime.invoke("f", b"{}").cold_start  # the standby
    yield runtime
    ear.open(runtime)


def gauge(runtime: Runtime, name: str) -> int:
    value: int = runtime.stats()["functions"]["f"][name]
    return value


def test_no_standby_is_started_while_a_killed_tree_is_ending(
    hung: Runtime, gate: Gate, ear: Ear
) -> None:
    """Who serves, and who is ending, are all there are, until it is heard to be gone."""
    running = hung.submit("f", gate.event())
    gate.entered()  # so nobody is idle, and one is missing

    assert (2, 0) == (gauge(hung, "processes"), gauge(hung, "warming"))

    ear.open(hung)
    until(lambda: gauge(hung, "idle") == 1, what="a standby")
    gate.let()
    assert running.result().ok
    assert 0 == hung.stats()["survivors"]


def test_a_tree_that_is_not_heard_to_end_is_told_of_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, log: Recorder, gate: Gate
) -> None:
    """It counts as a survivor, and the standby is started after all."""
    monkeypatch.setattr(endings, "GONE_WITHIN_S", 0.1)
    hung: Runtime = request.getfixturevalue("hung")
    running = hung.submit("f", gate.event())
    gate.entered()

    log.wait_for("instance.survived", reason="timed_out")
    assert 1 == hung.stats()["survivors"]
    until(lambda: gauge(hung, "idle") == 1, what="a standby")
    gate.let()
    assert running.result().ok


def test_a_look_that_is_for_an_earlier_call_tells_of_nobody(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, log: Recorder, gate: Gate
) -> None:
    """Right after a deadline somebody looks who was to look after another one."""
    looked = []
    monkeypatch.setattr(endings, "A_MOMENT_S", 0.05 - endings.GONE_WITHIN_S)  # right after it
    look = endings.Endings._count_if_there

    def count_if_there(self: endings.Endings, instance: Instance) -> None:
        look(self, instance)
        looked.append(instance.doomed_ns)

    monkeypatch.setattr(endings.Endings, "_count_if_there", count_if_there)
    hung: Runtime = request.getfixturevalue("hung")

    until(lambda: any(looked))
    assert [] == log.of("instance.survived")
    assert 0 == hung.stats()["survivors"]
