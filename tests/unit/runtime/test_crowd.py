"""Keep the workers off their callers' CPU: whom, which CPU, and for how long."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fc_runtime.dispatch import crowd as module
from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.crowd import (
    CLEARLY,
    FIRST_TRIAL,
    LONGEST,
    SEEN_EVERY,
    SETTLE,
    SHORTEST,
    STEP,
    TRIAL,
    Crowd,
    let_go,
)
from fc_runtime.dispatch.placement import Placer
from fc_worker.wire import KEEP_APART, LIFT_AFFINITY

ALL = {0, 1, 2}


class Machine:
    """Its scheduler, the CPU that callers are on, and its clock: who calls takes that long."""

    def __init__(self) -> None:
        self.cpu = 1
        self.cpus = ALL
        self.moved: list[tuple[int, set[int]]] = []
        self.refuses: type[OSError] | None = None
        self.now_ns = 0
        self.took_ns: Callable[[bool], int] = lambda _apart: 20_000

    def move(self, pid: int, cpus: set[int]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.moved.append((pid, set(cpus)))

    def calls(self, crowd: Crowd, channel: Channel, count: int) -> list[int]:
        """The flags of *count* calls, one after the other."""
        flags = []
        for _ in range(count):
            flags.append(crowd.part(channel))
            self.now_ns += self.took_ns(flags[-1] > 0)
        return flags

    def steps(self, crowd: Crowd, channel: Channel, count: int) -> list[bool]:
        """As `calls`, for *count* steps: in which the worker was kept apart."""
        steps = [set(self.calls(crowd, channel, STEP)) for _ in range(count)]
        return [0 not in flags for flags in steps]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(module, "sched_getcpu", lambda: machine.cpu)
    monkeypatch.setattr(module.time, "monotonic_ns", lambda: machine.now_ns)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: machine.cpus)
    monkeypatch.setattr(os, "sched_setaffinity", machine.move)
    return machine


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    fd = os.open(tmp_path, os.O_RDONLY)
    channel = Channel(fd, os.dup(fd))
    channel.pid = 4711
    yield channel
    channel.close()


def made() -> Crowd:
    return Crowd(Placer(enabled=True), 2)


def at_a_trial(
    machine: Machine, channel: Channel, free_ns: int = 40_000, apart_ns: int = 20_000
) -> Crowd:
    """One whose next step is the first of its first trial, where a call takes so long."""
    machine.took_ns = lambda apart: apart_ns if apart else free_ns
    crowd = made()
    machine.calls(crowd, channel, STEP * FIRST_TRIAL - 1)
    return crowd


def test_a_worker_is_narrowed_once(machine: Machine, channel: Channel) -> None:
    """From then on it does so by itself, and its caller has no system call more to make."""
    crowd = made()

    assert [KEEP_APART | LIFT_AFFINITY, KEEP_APART, KEEP_APART] == machine.calls(crowd, channel, 3)
    assert [(4711, {1, 2})] == machine.moved


def test_the_cpu_that_callers_are_seen_on_is_theirs(machine: Machine, channel: Channel) -> None:
    """After a step in which they were mostly on another one, workers are narrowed anew."""
    crowd = made()
    machine.cpu = 2
    machine.calls(crowd, channel, STEP * 2)
    machine.cpu = 0
    machine.calls(crowd, channel, STEP // 2 - SEEN_EVERY)
    machine.cpu = 2
    machine.calls(crowd, channel, STEP)
    machine.cpu = 0
    machine.calls(crowd, channel, STEP * 2)

    assert [(4711, {1, 2}), (4711, {0, 1}), (4711, {1, 2})] == machine.moved


def test_one_call_between_two_homes(machine: Machine, channel: Channel) -> None:
    """
    The worker may be about to narrow itself to where it was, later than it would be lent another:
    so first it is told to keep to nothing.
    """
    crowd = made()
    machine.cpu = 2
    flags = machine.calls(crowd, channel, STEP + 2)

    lent = KEEP_APART | LIFT_AFFINITY
    assert ([lent, KEEP_APART], [KEEP_APART, 0, lent, KEEP_APART]) == (flags[:2], flags[-4:])


def test_a_cpu_that_was_not_ours_at_the_start(machine: Machine, channel: Channel) -> None:
    """The host was moved to another cpuset: then it is left to the scheduler."""
    crowd = made()
    machine.cpu = 7
    machine.calls(crowd, channel, STEP)

    assert {0} == set(machine.calls(crowd, channel, STEP - 1))


@pytest.mark.parametrize("refusal", [ProcessLookupError, PermissionError, OSError])
def test_a_worker_that_cannot_be_moved(
    machine: Machine, channel: Channel, refusal: type[OSError]
) -> None:
    """It is ending, for one: its frame says nothing, and it is tried again next time."""
    crowd = made()
    machine.refuses = refusal
    assert 0 == crowd.part(channel)

    machine.refuses = None
    assert KEEP_APART | LIFT_AFFINITY == crowd.part(channel)


def test_a_worker_without_a_name(machine: Machine, channel: Channel) -> None:
    """Its zygote has not told of it yet."""
    channel.pid = None
    crowd = made()

    assert 0 == crowd.part(channel)
    let_go(channel)
    assert [] == machine.moved


def test_let_go_from_outside(machine: Machine, channel: Channel) -> None:
    """All CPUs at once; and the next such event has to narrow it again."""
    crowd = made()
    machine.calls(crowd, channel, 2)
    let_go(channel)
    assert (4711, ALL) == machine.moved[-1]

    assert KEEP_APART | LIFT_AFFINITY == crowd.part(channel)
    machine.refuses = ProcessLookupError
    let_go(channel)  # it has ended


def test_a_trial(machine: Machine, channel: Channel) -> None:
    """
    Now and then it is done the other way. What is quicker stands, for twice as long each time that
    it is found to pay still, up to a limit.
    """
    crowd = at_a_trial(machine, channel)

    for period in (SHORTEST * 2, SHORTEST * 4, LONGEST, LONGEST):
        assert [False] * TRIAL == machine.steps(crowd, channel, TRIAL)
        assert {True} == set(machine.steps(crowd, channel, period - TRIAL))


def test_left_to_the_scheduler_where_that_is_quicker(machine: Machine, channel: Channel) -> None:
    """Until a trial ends otherwise; there is one soon each time."""
    crowd = at_a_trial(machine, channel, free_ns=20_000, apart_ns=40_000)
    machine.steps(crowd, channel, TRIAL)
    for _ in range(3):
        assert {False} == set(machine.steps(crowd, channel, SHORTEST - TRIAL))
        assert not crowd.pays
        assert [True] * TRIAL == machine.steps(crowd, channel, TRIAL)

    machine.steps(crowd, channel, SHORTEST - TRIAL)
    machine.took_ns = lambda apart: 20_000 if apart else 40_000
    machine.steps(crowd, channel, TRIAL)
    assert {True} == set(machine.steps(crowd, channel, SHORTEST - TRIAL))
    assert [False] * TRIAL == machine.steps(crowd, channel, TRIAL)


@pytest.mark.parametrize(("apart", "pays"), [(0.98, True), (1.02, False)])
def test_if_it_is_clearly_quicker(
    machine: Machine, channel: Channel, apart: float, pays: bool
) -> None:
    """Workers that were kept apart stay so for a while, so a small difference says little."""
    crowd = at_a_trial(machine, channel, 20_000, int(20_000 * CLEARLY * apart))
    machine.steps(crowd, channel, TRIAL)
    crowd.part(channel)

    assert pays == crowd.pays


@pytest.mark.parametrize("before", [1, SETTLE + 2, TRIAL - 1])
def test_a_pause_in_a_trial(machine: Machine, channel: Channel, before: int) -> None:
    """Nobody called for a second: it counts for neither way."""
    crowd = at_a_trial(machine, channel, free_ns=20_000, apart_ns=40_000)
    machine.steps(crowd, channel, before)
    machine.now_ns += 1_000_000_000
    machine.steps(crowd, channel, TRIAL - before)
    crowd.part(channel)

    assert not crowd.pays


@pytest.mark.parametrize(
    ("cpus", "wanted", "most"), [(ALL, False, 2), ({3}, True, 2), (ALL, True, 1)]
)
def test_switched_off(machine: Machine, cpus: set[int], wanted: bool, most: int) -> None:
    """By the caller; as there is one CPU only; or one instance, which everybody waits for."""
    machine.cpus = cpus

    assert not Crowd(Placer(enabled=wanted), most).enabled
