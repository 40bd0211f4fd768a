"""Wake the worker where its caller is: who borrows which CPU, that it is given back, and if it pays."""

import os
import subprocess

import pytest
from fc_runtime.dispatch import placement
from fc_runtime.dispatch.placement import PERIOD, TRIAL, Placement, Placer

ALL = {0, 1, 2}


class Kernel:
    """Says which CPU the caller is on, and remembers who was moved where."""

    def __init__(self) -> None:
        self.cpu = 1
        self.moved: list[tuple[int, set[int]]] = []
        self.refuses: type[OSError] | None = None

    def set(self, pid: int, cpus: set[int]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.moved.append((pid, set(cpus)))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(placement, "_sched_getcpu", lambda: kernel.cpu)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: ALL)
    monkeypatch.setattr(os, "sched_setaffinity", kernel.set)
    return kernel


def borrow(placer: Placer, pid: int = 1) -> Placement:
    borrowed = placer.borrow(pid)
    assert borrowed is not None
    return borrowed


def make_calls(placer: Placer, count: int, placed_ns: int, free_ns: int) -> list[bool]:
    """*count* calls one after the other, that take so long each way; which were placed."""
    placed = []
    for _ in range(count):
        borrowed = placer.borrow(1)
        placer.learn(borrowed, free_ns if borrowed is None else placed_ns)
        if borrowed is not None:
            placer.give_back(borrowed)
        placed.append(borrowed is not None)
    return placed


def test_the_worker_comes_to_its_caller(kernel: Kernel) -> None:
    """Narrowed to the caller's CPU, widened to all when let go."""
    borrowed = borrow(Placer(enabled=True), 4711)

    assert 1 == borrowed.cpu
    borrowed.let_go()
    assert [(4711, {1}), (4711, ALL)] == kernel.moved


def test_one_invocation_a_cpu(kernel: Kernel) -> None:
    """While one is being woken here the next is left to the scheduler; other CPUs are free."""
    placer = Placer(enabled=True)
    first = borrow(placer, 1)

    assert placer.borrow(2) is None
    kernel.cpu = 2
    elsewhere = borrow(placer, 3)
    assert [1, 2] == [first.cpu, elsewhere.cpu]
    assert [(1, {1}), (3, {2})] == kernel.moved

    placer.give_back(first)
    kernel.cpu = 1
    assert 1 == borrow(placer, 4).cpu
    assert placer.borrow(5) is None


@pytest.mark.parametrize("refusal", [ProcessLookupError, PermissionError, OSError])
def test_nothing_is_owed_for_what_was_not_given(kernel: Kernel, refusal: type[OSError]) -> None:
    """A worker that is ending cannot be moved: no placement, and the CPU stays free."""
    placer = Placer(enabled=True)
    kernel.refuses = refusal
    assert placer.borrow(1) is None

    kernel.refuses = None
    assert 1 == borrow(placer).cpu


def test_a_cpu_that_was_not_ours_at_the_start(kernel: Kernel) -> None:
    """The host may have been moved to another set of CPUs since: then there is no placement."""
    kernel.cpu = 64

    assert Placer(enabled=True).borrow(1) is None


def test_letting_go_of_the_dead(kernel: Kernel) -> None:
    """It ended meanwhile: nothing to widen, nothing to say."""
    kernel.refuses = ProcessLookupError

    Placement(1, ALL, 0).let_go()


@pytest.mark.parametrize(
    ("cpus", "enabled", "expected"),
    [({0, 1}, True, True), ({0, 1}, False, False), ({5}, True, False)],
)
def test_it_is_off_where_it_cannot_help(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    cpus: set[int],
    enabled: bool,
    expected: bool,
) -> None:
    """With one CPU everybody is on it already; and the host may say no. Then nothing is tried."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)
    placer = Placer(enabled=enabled)

    assert expected is placer.enabled
    placer.borrow(1)
    assert expected is placer.in_trial


@pytest.mark.parametrize(("placed_ns", "pays"), [(30_000, True), (90_000, False), (60_000, False)])
def test_a_trial_decides_until_the_next(kernel: Kernel, placed_ns: int, pays: bool) -> None:
    """A few calls each way; then the way with the lower median, until it is tried again."""
    placer = Placer(enabled=True)
    trial = [True] * TRIAL + [False] * TRIAL
    expected = trial + [pays] * (PERIOD - 2 * TRIAL)

    assert expected == make_calls(placer, PERIOD, placed_ns, 60_000)
    assert expected == make_calls(placer, PERIOD, placed_ns, 60_000)


def test_it_learns_anew(kernel: Kernel) -> None:
    """What paid an hour ago may not pay now: a later trial turns it over, with new figures only."""
    placer = Placer(enabled=True)
    make_calls(placer, PERIOD, 30_000, 60_000)

    assert not any(make_calls(placer, PERIOD, 90_000, 60_000)[2 * TRIAL :])
    assert all(make_calls(placer, PERIOD, 30_000, 60_000)[2 * TRIAL :])


def test_a_few_outliers_do_not_decide(kernel: Kernel) -> None:
    """One call that met a busy machine says nothing about the way it was made."""
    placer = Placer(enabled=True)
    make_calls(placer, 2, 9_000_000, 60_000)
    make_calls(placer, 2 * TRIAL - 2, 30_000, 60_000)

    assert [True] * 3 == make_calls(placer, 3, 30_000, 60_000)


def test_a_trial_without_figures_decides_nothing(kernel: Kernel) -> None:
    """When too few calls could be measured, what stood before stands."""
    placer = Placer(enabled=True)
    for _ in range(2 * TRIAL):
        borrowed = placer.borrow(1)
        if borrowed is not None:
            placer.give_back(borrowed)

    assert [True] * 3 == make_calls(placer, 3, 90_000, 60_000)


@pytest.mark.parametrize("enabled", [True, False])
def test_figures_do_not_pile_up(kernel: Kernel, enabled: bool) -> None:
    """However many calls, and even if none is ever placed, a trial's figures are all that is kept."""
    placer = Placer(enabled=enabled)
    kernel.refuses = ProcessLookupError
    for _ in range(3 * PERIOD):
        if enabled:
            placer.borrow(1)
        placer.learn(None, 1)

    assert 2 * TRIAL >= len(placer._free) + len(placer._placed)


def test_a_real_process() -> None:
    """The kernel agrees: one CPU while borrowed, all of ours after."""
    mine = os.sched_getaffinity(0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as sleeper:
        borrowed = borrow(Placer(enabled=True), sleeper.pid)
        assert {borrowed.cpu} == os.sched_getaffinity(sleeper.pid)
        borrowed.let_go()
        assert mine == os.sched_getaffinity(sleeper.pid)
