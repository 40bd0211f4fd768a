"""Where it hung: how long somebody is waited for who has not said so."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fc_runtime.pool import autopsy
from fc_runtime.pool.autopsy import LastMoments

DUMP = (
    b'Current thread 0x01 (most recent call first):\n  File "/code/index.py", line 3 in handler\n'
    b'  File "<string>", line 1 in <module>\n'
)


@dataclass
class Hanging:
    """A process that was asked where it hangs, as the kernel tells of it."""

    reading: int
    writing: int
    pidfd: int
    ran_ns: list[int] = field(default_factory=lambda: [5])  # the last one for good
    runnable: bool = True
    looks: int = 0
    when_looked_at: Callable[[int], None] = lambda _looks: None

    def ran(self, _pid: int) -> int:
        return self.ran_ns.pop(0) if len(self.ran_ns) > 1 else self.ran_ns[0]

    def is_runnable(self, _pid: int) -> bool:
        self.looks += 1
        self.when_looked_at(self.looks)
        return self.runnable

    def says(self, some: bytes) -> None:
        os.write(self.writing, some)

    def stack(self) -> str:
        channel = SimpleNamespace(pid=os.getpid(), pidfd=self.pidfd)
        instance: Any = SimpleNamespace(channel=channel, stack_fd=self.reading)
        moments = LastMoments(instance)
        moments._ran_ns = 5  # when it was asked
        return moments.stack()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    it = Hanging(reading, writing, os.pidfd_open(os.getpid()))
    monkeypatch.setattr(autopsy, "_ran_ns", it.ran)
    monkeypatch.setattr(autopsy, "_is_runnable", it.is_runnable)
    monkeypatch.setattr(autopsy, "STACK_WITHIN_MS", 1)
    monkeypatch.setattr(autopsy, "STACK_QUIET_MS", 1)
    monkeypatch.setattr(autopsy, "STARVED_MS", 60_000)
    yield it
    for fd in (it.reading, it.writing, it.pidfd):
        os.close(fd)


def test_who_has_said_it(hanging: Hanging) -> None:
    """Nobody is looked at, and nothing is waited for."""
    hanging.says(DUMP)

    assert "line 3 in handler" in hanging.stack()
    assert not hanging.looks


def test_who_gets_no_cpu_is_waited_for(hanging: Hanging) -> None:
    """The host is busy: it would run, and has not since it was asked."""

    def say_it_late(looks: int) -> None:
        if looks == 3:
            hanging.says(DUMP)

    hanging.when_looked_at = say_it_late
    assert "line 3 in handler" in hanging.stack()
    assert 3 == hanging.looks


def test_who_loses_its_cpu_half_way_is_waited_for(hanging: Hanging) -> None:
    """What it has said so far it has said on a CPU; that was then."""

    def say_the_rest_late(looks: int) -> None:
        if looks == 2:
            hanging.says(DUMP[60:])

    hanging.ran_ns = [9]
    hanging.says(DUMP[:60])
    hanging.when_looked_at = say_the_rest_late
    assert "line 3 in handler" in hanging.stack()


@pytest.mark.parametrize(
    ("ran_ns", "runnable", "looks"),
    [([7], True, 0), ([5], False, 1), ([-1], True, 0), ([5, 7], True, 1)],
    ids=["ran", "asleep", "nobody can tell", "ran later"],
)
def test_who_could_have_said_it_is_not_waited_for(
    hanging: Hanging, ran_ns: list[int], runnable: bool, looks: int
) -> None:
    """It had a CPU, or wants none: it is deaf to signals, or has thrown them away."""
    hanging.ran_ns, hanging.runnable = ran_ns, runnable

    assert "" == hanging.stack()
    assert looks == hanging.looks


def test_nobody_is_waited_for_for_ever(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor may a handler put off its end by giving its CPU to its children."""
    monkeypatch.setattr(autopsy, "STARVED_MS", 0)

    assert "" == hanging.stack()
    assert 1 == hanging.looks
