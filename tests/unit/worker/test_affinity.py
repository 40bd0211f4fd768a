"""The CPUs of a worker: all while a handler runs, fewer while it waits, if its caller wants it so."""

import os
from collections.abc import Iterator

import pytest
from fc_worker import affinity
from fc_worker.affinity import Affinity
from fc_worker.wire import KEEP_APART, LIFT_AFFINITY, STAY_AWAKE

ALL = {0, 1, 2}
APART = {0, 2}


class Kernel:
    """What it was told; *gone* are CPUs that may not be asked for any more."""

    def __init__(self) -> None:
        self.mask = set(ALL)
        self.gone: set[int] = set()

    def move(self, pid: int, cpus: set[int]) -> None:
        assert not pid
        if cpus <= self.gone:
            raise OSError(22, "Invalid argument")
        self.mask = set(cpus)

    def get(self, pid: int) -> set[int]:
        assert not pid
        return set(self.mask)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(affinity, "sched_getaffinity", kernel.get)
    monkeypatch.setattr(affinity, "sched_setaffinity", kernel.move)
    return kernel


def test_what_was_lent_for_the_wake_up_only(kernel: Kernel) -> None:
    """Without `KEEP_APART` nothing is remembered."""
    mine = Affinity()
    kernel.mask = {1}
    mine.widen(LIFT_AFFINITY)
    assert ALL == kernel.mask

    mine.narrow()
    assert (ALL, False) == (kernel.mask, mine.narrowed)


def test_what_is_to_be_kept(kernel: Kernel) -> None:
    """Taken again after each answer to such an event, until the caller lends something else."""
    mine = Affinity()
    for lent in (APART, {1}):
        kernel.mask = set(lent)
        mine.widen(LIFT_AFFINITY | KEEP_APART)
        for _ in range(3):
            assert (ALL, False) == (kernel.mask, mine.narrowed)
            mine.narrow()
            assert (lent, True) == (kernel.mask, mine.narrowed)
            mine.widen(KEEP_APART)


@pytest.mark.parametrize("flags", [0, STAY_AWAKE, LIFT_AFFINITY])
def test_another_event_in_between(kernel: Kernel, flags: int) -> None:
    """Its handler sees all CPUs too, and what is to be kept is not forgotten."""
    mine = Affinity()
    kernel.mask = set(APART)
    mine.widen(LIFT_AFFINITY | KEEP_APART)
    mine.narrow()

    if flags & LIFT_AFFINITY:
        kernel.mask = {1}
    mine.widen(flags)
    assert (ALL, False) == (kernel.mask, mine.narrowed)
    mine.narrow()
    assert APART == kernel.mask


def test_cpus_that_are_taken_away(kernel: Kernel) -> None:
    """The process was moved to another cpuset: it goes on, wherever it may."""
    mine = Affinity()
    kernel.mask = set(APART)
    mine.widen(LIFT_AFFINITY | KEEP_APART)
    kernel.gone = set(APART)
    mine.narrow()
    assert (ALL, False) == (kernel.mask, mine.narrowed)

    kernel.gone = set()
    mine.narrow()
    assert ALL == kernel.mask  # not before it is lent again


@pytest.fixture
def own_mask() -> Iterator[set[int]]:
    mask = os.sched_getaffinity(0)
    yield mask
    os.sched_setaffinity(0, mask)


def test_of_a_real_process(own_mask: set[int]) -> None:
    """The system's own functions, on this very process."""
    mine = Affinity()
    lent = {min(own_mask)}
    os.sched_setaffinity(0, lent)
    mine.widen(LIFT_AFFINITY | KEEP_APART)
    assert own_mask == os.sched_getaffinity(0)
    mine.narrow()
    assert lent == os.sched_getaffinity(0)
