"""Keep the workers off their callers' CPU: whom, which CPU, and for how long."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fc_runtime.dispatch import crowd as module
from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.crowd import CLEARLY, FIRST_TRIAL, PERIOD, SEEN_EVERY, STEP, TRIES, Crowd
from fc_worker.wire import KEEP_APART, LIFT_AFFINITY

ALL = {0, 1, 2}
TRIAL = TRIES * 4
FREE_NS, APART_NS = 40_000, 20_000  # for a call


class Machine:
    """Its scheduler, the CPU that callers are on, and its clock: who calls takes that long."""

    def __init__(self) -> None:
        self.cpu = 1
        self.cpus = ALL
        self.moved: list[tuple[int, set[int]]] = []
        self.refuses: type[OSError] | None = None
        self.now_ns = 0
        self.took_ns: Callable[[bool], int] = lambda apart: APART_NS if apart else FREE_NS

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


def at_a_trial(machine: Machine, channel: Channel) -> Crowd:
    """One whose next step is the first of its first trial."""
    crowd = Crowd(enabled=True)
    machine.calls(crowd, channel, STEP * FIRST_TRIAL - 1)
    return crowd


def test_a_worker_is_narrowed_once(machine: Machine, channel: Channel) -> None:
    """From then on it does so by itself, and its caller has no system call more to make."""
    crowd = Crowd(enabled=True)

    assert [KEEP_APART | LIFT_AFFINITY, KEEP_APART, KEEP_APART] == machine.calls(crowd, channel, 3)
    assert [(4711, {1, 2})] == machine.moved


def test_the_cpu_that_callers_are_seen_on_is_theirs(machine: Machine, channel: Channel) -> None:
    """After a step in which they were mostly on another one, workers are narrowed anew."""
    crowd = Crowd(enabled=True)
    machine.cpu = 2
    machine.calls(crowd, channel, STEP * 2)
    machine.cpu = 0
    machine.calls(crowd, channel, STEP // 2 - SEEN_EVERY)
    machine.cpu = 2
    machine.calls(crowd, channel, STEP)
    machine.cpu = 0
    machine.calls(crowd, channel, STEP * 2)

    assert [(4711, {1, 2}), (4711, {0, 1}), (4711, {1, 2})] == machine.moved


def test_a_cpu_that_was_not_ours_at_the_start(machine: Machine, channel: Channel) -> None:
    """The host was moved to another cpuset: then it is left to the scheduler."""
    crowd = Crowd(enabled=True)
    machine.cpu = 7
    machine.calls(crowd, channel, STEP)

    assert {0} == set(machine.calls(crowd, channel, STEP - 1))


@pytest.mark.parametrize("refusal", [ProcessLookupError, PermissionError, OSError])
def test_a_worker_that_cannot_be_moved(
    machine: Machine, channel: Channel, refusal: type[OSError]
) -> None:
    """It is ending, for one: its frame says nothing, and it is tried again next time."""
    crowd = Crowd(enabled=True)
    machine.refuses = refusal
    assert 0 == crowd.part(channel)

    machine.refuses = None
    assert KEEP_APART | LIFT_AFFINITY == crowd.part(channel)


def test_a_worker_without_a_name(machine: Machine, channel: Channel) -> None:
    """Its zygote has not told of it yet."""
    channel.pid = None
    crowd = Crowd(enabled=True)

    assert 0 == crowd.part(channel)
    crowd.let_go(channel)
    assert [] == machine.moved


def test_let_go_from_outside(machine: Machine, channel: Channel) -> None:
    """All CPUs at once; and the next such event has to narrow it again."""
    crowd = Crowd(enabled=True)
    machine.calls(crowd, channel, 2)
    crowd.let_go(channel)
    assert (4711, ALL) == machine.moved[-1]

    assert KEEP_APART | LIFT_AFFINITY == crowd.part(channel)
    machine.refuses = ProcessLookupError
    crowd.let_go(channel)  # it has ended


def test_a_trial(machine: Machine, channel: Channel) -> None:
    """Two steps each way, in turn; what was quicker stands, and is tried again a period later."""
    crowd = at_a_trial(machine, channel)
    one_way, another = [False, False], [True, True]

    assert (one_way + another) * TRIES == machine.steps(crowd, channel, TRIAL)
    assert {True} == set(machine.steps(crowd, channel, PERIOD - TRIAL))
    assert (one_way + another) * TRIES == machine.steps(crowd, channel, TRIAL)


def test_left_to_the_scheduler_where_that_is_quicker(machine: Machine, channel: Channel) -> None:
    """Until the next trial, which may end otherwise."""
    crowd = at_a_trial(machine, channel)
    machine.took_ns = lambda apart: 40_000 if apart else 20_000
    machine.steps(crowd, channel, TRIAL)
    assert {False} == set(machine.steps(crowd, channel, PERIOD - TRIAL))
    assert not crowd.pays

    machine.took_ns = lambda apart: 20_000 if apart else 40_000
    machine.steps(crowd, channel, TRIAL)
    assert {True} == set(machine.steps(crowd, channel, PERIOD - TRIAL))


@pytest.mark.parametrize(("apart", "pays"), [(0.98, True), (1.02, False)])
def test_if_it_is_clearly_quicker(
    machine: Machine, channel: Channel, apart: float, pays: bool
) -> None:
    """Workers that were kept apart stay so for a while, so a small difference says little."""
    crowd = at_a_trial(machine, channel)
    machine.took_ns = lambda kept: int(20_000 * CLEARLY * apart) if kept else 20_000
    machine.steps(crowd, channel, TRIAL)
    crowd.part(channel)

    assert pays == crowd.pays


@pytest.mark.parametrize("before", [1, 3])
def test_a_pause_in_a_trial(machine: Machine, channel: Channel, before: int) -> None:
    """Nobody called for a second: it counts for neither way."""
    crowd = at_a_trial(machine, channel)
    machine.steps(crowd, channel, before)
    machine.now_ns += 1_000_000_000
    machine.steps(crowd, channel, TRIAL - before)
    crowd.part(channel)

    assert crowd.pays


@pytest.mark.parametrize(("cpus", "wanted"), [(ALL, False), ({3}, True)])
def test_switched_off(machine: Machine, cpus: set[int], wanted: bool) -> None:
    """By the caller; or as there is one CPU only."""
    machine.cpus = cpus

    assert not Crowd(enabled=wanted).enabled
