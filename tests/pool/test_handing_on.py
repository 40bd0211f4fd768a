"""
Whoever gives an instance back writes the event of the caller who is next in the queue: the worker is
at it while that caller wakes up. What can go wrong in that moment.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fc_runtime import Result, Runtime
from fc_runtime.dispatch.channel import Channel
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.warm import Errand
from support.stage import Gate, Recorder, until

WITHIN_S = 10.0
PLAIN = b"{}"  # does not come to the gate


class Line:
    """One caller at the gate, on the only instance, and one behind him in the queue."""

    def __init__(self, runtime: Runtime, gate: Gate, threads: ThreadPoolExecutor) -> None:
        self.runtime = runtime
        runtime.invoke("single", PLAIN)
        self.first = threads.submit(self.call, gate.event("first").encode())
        gate.entered()

    def call(self, event: bytes) -> Result:
        return self.runtime.invoke("single", event, check=False)

    def until_waiting(self) -> None:
        until(lambda: self.figures()["waiting"] == 1)

    def figures(self) -> dict[str, int]:
        return self.runtime.stats()["functions"]["single"]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def line(runtime: Runtime, handlers: Path, gate: Gate, threads: ThreadPoolExecutor) -> Line:
    runtime.register("single", code=handlers / "gate", timeout=30.0, max_instances=1)
    return Line(runtime, gate, threads)


@pytest.fixture
def before_it_begins(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """``before_it_begins(do)``: do that, once, where the next caller's event is to be written."""
    begin = Errand.begin

    def instead(do: Callable[[Instance], None]) -> None:
        def once(self: Errand, instance: Instance, flags: int) -> None:
            monkeypatch.undo()
            do(instance)
            begin(self, instance, flags)

        monkeypatch.setattr(Errand, "begin", once)

    return instead


def test_who_gives_it_back_begins_the_next_call(
    line: Line,
    gate: Gate,
    threads: ThreadPoolExecutor,
    before_it_begins: Callable[[Callable[..., None]], None],
) -> None:
    """In his own thread, while the other still sleeps."""
    callers = []
    first = line.first
    second = threads.submit(line.call, PLAIN)
    line.until_waiting()
    before_it_begins(lambda _: callers.append((first.done(), second.done())))
    gate.let()

    assert first.result(WITHIN_S).ok
    assert second.result(WITHIN_S).ok
    assert second.result().instance_id == first.result().instance_id
    assert [(False, False)] == callers
    assert 0 == line.figures()["serving"] == line.figures()["waiting"]


def test_an_instance_that_died_before_is_not_the_next_callers_loss(
    line: Line,
    gate: Gate,
    threads: ThreadPoolExecutor,
    before_it_begins: Callable[[Callable[..., None]], None],
) -> None:
    """Nothing of his event was read: another instance serves it."""

    def kill(instance: Instance) -> None:
        os.kill(instance.channel.pid or 0, signal.SIGKILL)
        until(instance.channel.process_ended)

    second = threads.submit(line.call, PLAIN)
    line.until_waiting()
    before_it_begins(kill)
    gate.let()

    assert line.first.result(WITHIN_S).ok
    assert second.result(WITHIN_S).ok
    assert second.result().instance_id != line.first.result().instance_id


def test_an_interrupt_of_who_begins_it_is_not_the_next_callers_loss(
    line: Line, gate: Gate, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the instance has heard of the event: it is ended, and another asked."""
    written = Channel.write_small

    def interrupted(self: Channel, frame: bytes) -> int:
        monkeypatch.undo()
        written(self, frame)
        raise KeyboardInterrupt

    second = threads.submit(line.call, PLAIN)
    line.until_waiting()
    monkeypatch.setattr(Channel, "write_small", interrupted)
    gate.let()

    with pytest.raises(KeyboardInterrupt):
        line.first.result(WITHIN_S)
    assert second.result(WITHIN_S).ok
    assert 0 == line.figures()["serving"] == line.figures()["waiting"]


def test_a_caller_who_leaves_while_his_call_is_begun(
    line: Line,
    gate: Gate,
    log: Recorder,
    before_it_begins: Callable[[Callable[..., None]], None],
) -> None:
    """Ctrl-C: nobody would read his answer, so the instance goes, after all has been written."""
    left = threading.Event()

    def interrupt(_: Instance) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert left.wait(WITHIN_S)

    def let() -> None:
        line.until_waiting()
        before_it_begins(interrupt)
        gate.let()

    letting = threading.Thread(target=let)
    letting.start()
    with pytest.raises(KeyboardInterrupt):
        line.call(PLAIN)
    left.set()
    letting.join()

    assert line.first.result(WITHIN_S).ok
    log.wait_for("instance.exited", cause="abandoned")
    answer = line.call(PLAIN)
    assert answer.ok
    assert answer.instance_id != line.first.result().instance_id
    until(lambda: line.figures()["serving"] == 0)
