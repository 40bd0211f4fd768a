"""Wake the worker where its caller is: who borrows which CPU, and that it is given back."""

import os
import subprocess

import pytest
from fc_runtime.dispatch import placement
from fc_runtime.dispatch.placement import Placement, Placer

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


def test_the_worker_comes_to_its_caller(kernel: Kernel) -> None:
    """Narrowed to the caller's CPU, widened to all when let go."""
    placer = Placer(enabled=True)
    borrowed, cpu = placer.borrow(4711)

    assert borrowed is not None
    assert 1 == cpu
    borrowed.let_go()
    assert [(4711, {1}), (4711, ALL)] == kernel.moved


def test_one_invocation_a_cpu(kernel: Kernel) -> None:
    """While one is being woken here the next is left to the scheduler; other CPUs are free."""
    placer = Placer(enabled=True)
    _, first = placer.borrow(1)

    assert (None, -1) == placer.borrow(2)
    kernel.cpu = 2
    _, elsewhere = placer.borrow(3)
    assert [1, 2] == [first, elsewhere]
    assert [(1, {1}), (3, {2})] == kernel.moved

    placer.give_back(first)
    kernel.cpu = 1
    assert 1 == placer.borrow(4)[1]
    assert (None, -1) == placer.borrow(5)


@pytest.mark.parametrize("refusal", [ProcessLookupError, PermissionError, OSError])
def test_nothing_is_owed_for_what_was_not_given(kernel: Kernel, refusal: type[OSError]) -> None:
    """A worker that is ending cannot be moved: no placement, and the CPU stays free."""
    placer = Placer(enabled=True)
    kernel.refuses = refusal
    assert (None, -1) == placer.borrow(1)

    kernel.refuses = None
    assert 1 == placer.borrow(2)[1]


def test_a_cpu_that_was_not_ours_at_the_start(kernel: Kernel) -> None:
    """The host may have been moved to another set of CPUs since: then there is no placement."""
    placer = Placer(enabled=True)
    kernel.cpu = 64

    assert (None, -1) == placer.borrow(1)


def test_letting_go_of_the_dead(kernel: Kernel) -> None:
    """It ended meanwhile: nothing to widen, nothing to say."""
    kernel.refuses = ProcessLookupError

    Placement(1, ALL).let_go()


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
    """With one CPU everybody is on it already; and the host may say no."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)

    assert expected is Placer(enabled=enabled).enabled


def test_a_real_process() -> None:
    """The kernel agrees: one CPU while borrowed, all of ours after."""
    mine = os.sched_getaffinity(0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as sleeper:
        borrowed, cpu = Placer(enabled=True).borrow(sleeper.pid)
        assert borrowed is not None
        assert {cpu} == os.sched_getaffinity(sleeper.pid)
        borrowed.let_go()
        assert mine == os.sched_getaffinity(sleeper.pid)
