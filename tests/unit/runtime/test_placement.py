"""Wake the worker where its caller is: who borrows which CPU, that it is given back, and if it pays."""

import os
import subprocess

import pytest
from fc_runtime.dispatch import placement
from fc_runtime.dispatch.placement import (
    AT_FIRST,
    AWAKE_AT_FIRST_NS,
    AWAKE_NS,
    BRISK_NS,
    MOST_PACE_NS,
    PERIOD,
    SOON_NS,
    TRIAL,
    Placement,
    Placer,
    Way,
    pace_ns,
    way_of,
)
from fc_worker import wire

ALL = {0, 1, 2}
AT_ONCE_NS = BRISK_NS - 1


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
    monkeypatch.setattr(placement, "sched_getcpu", lambda: kernel.cpu)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: ALL)
    monkeypatch.setattr(os, "sched_setaffinity", kernel.set)
    return kernel


def borrow(placer: Placer, pid: int = 1) -> Placement:
    borrowed = placer.borrow(pid)
    assert borrowed is not None
    return borrowed


def make_calls(placer: Placer, count: int, *took_ns: int, idle_ns: int = SOON_NS) -> list[Way]:
    """*count* calls one after the other, that take so long each way; how each was made."""
    by_way = dict(zip(Way, took_ns, strict=False))
    ways = []
    for _ in range(count):
        borrowed = placer.borrow(1, idle_ns=idle_ns)
        way = way_of(borrowed)
        placer.learn(borrowed, by_way.get(way, 90_000))
        if borrowed is not None:
            placer.give_back(borrowed)
        ways.append(way)
    return ways


def settled(*, enabled: bool = True) -> Placer:
    """One whose next call is the first of a trial."""
    placer = Placer(enabled=enabled)
    if placer.enabled:
        make_calls(placer, AT_FIRST, 1, 1)
    return placer


def test_nothing_is_tried_while_everything_takes_longer(kernel: Kernel) -> None:
    """The first calls of a process are slow either way: they are not compared."""
    placer = Placer(enabled=True)

    assert [Way.PLACED] * AT_FIRST == make_calls(
        placer, AT_FIRST, 30_000, 60_000, idle_ns=AT_ONCE_NS
    )
    assert not placer.in_trial
    make_calls(placer, 1, 30_000, 60_000)
    assert placer.in_trial


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
    placer = settled(enabled=enabled)

    assert expected is placer.enabled
    placer.borrow(1)
    assert expected is placer.in_trial


@pytest.mark.parametrize(
    ("placed_ns", "best"), [(30_000, Way.PLACED), (90_000, Way.FREE), (60_000, Way.FREE)]
)
def test_a_trial_decides_until_the_next(kernel: Kernel, placed_ns: int, best: Way) -> None:
    """A few calls each way; then the way with the lower median, until it is tried again."""
    placer = settled()
    trial = [Way.PLACED] * TRIAL + [Way.FREE] * TRIAL
    expected = trial + [best] * (PERIOD - 2 * TRIAL)

    assert expected == make_calls(placer, PERIOD, placed_ns, 60_000)
    assert expected == make_calls(placer, PERIOD, placed_ns, 60_000)


@pytest.mark.parametrize(
    ("took_ns", "best"),
    [
        ((30_000, 60_000, 15_000, 25_000), Way.AWAKE),
        ((30_000, 60_000, 25_000, 15_000), Way.WATCHED),
        ((30_000, 60_000, 45_000, 50_000), Way.PLACED),
        ((90_000, 60_000, 70_000, 65_000), Way.FREE),
        ((60_000, 60_000, 60_000, 60_000), Way.FREE),  # what costs nothing
    ],
)
def test_callers_in_a_hurry_may_stay_awake(
    kernel: Kernel, took_ns: tuple[int, int, int, int], best: Way
) -> None:
    """With their worker or alone: tried behind the others, and taken where it is the quickest."""
    placer = settled()
    trial = [way for way in Way for _ in range(TRIAL)]
    expected = trial + [best] * (PERIOD - 4 * TRIAL)

    assert expected == make_calls(placer, PERIOD, *took_ns, idle_ns=AT_ONCE_NS)
    assert expected == make_calls(placer, PERIOD, *took_ns, idle_ns=AT_ONCE_NS)


@pytest.mark.parametrize(
    ("took_ns", "best"),
    [
        ((30_000, 60_000, 10_000, 15_000), Way.WATCHED),
        ((30_000, 60_000, 10_000, 45_000), Way.PLACED),
    ],
)
def test_callers_that_come_soon_may_stay_awake_alone(
    kernel: Kernel, took_ns: tuple[int, int, int, int], best: Way
) -> None:
    """Between two of their calls too much time passes for a worker to look for the next event."""
    placer = settled()
    instead = [Way.PLACED] * TRIAL  # of staying awake together
    trial = [Way.PLACED] * TRIAL + [Way.FREE] * TRIAL + instead + [Way.WATCHED] * TRIAL
    expected = trial + [best] * (PERIOD - 4 * TRIAL)

    assert expected == make_calls(placer, PERIOD, *took_ns, idle_ns=SOON_NS - 1)


def test_how_soon_the_next_caller_could_come_is_compared_too() -> None:
    """
    It may be the client of a server, which cannot ask again while the last call's worker has its
    CPU. What takes longer than any of that is nobody's doing.
    """
    assert 50_000 == pace_ns(30_000, 20_000)
    assert 30_000 + MOST_PACE_NS == pace_ns(30_000, 10**12)


def test_who_stays_awake_alone_moves_nobody(kernel: Kernel) -> None:
    """The worker is told nothing, and the next caller at the same time just writes."""
    placer = settled()
    make_calls(placer, PERIOD // 2, 30_000, 60_000, 25_000, 15_000, idle_ns=AT_ONCE_NS)
    kernel.moved.clear()

    first = placer.borrow(1, idle_ns=AT_ONCE_NS)
    assert first is not None
    assert (True, 0, AWAKE_NS) == (first.awake, first.flag, first.patience_ns)
    assert placer.borrow(2, idle_ns=AT_ONCE_NS) is None
    first.let_go()
    placer.give_back(first)

    assert Way.WATCHED is way_of(placer.borrow(2, idle_ns=AT_ONCE_NS))
    assert [] == kernel.moved


def test_others_sleep_as_before(kernel: Kernel) -> None:
    """However well staying awake has done, who is in no hurry has the best of the other ways."""
    placer = settled()
    make_calls(placer, PERIOD // 2, 30_000, 60_000, 15_000, idle_ns=AT_ONCE_NS)

    assert [Way.PLACED] * 9 == make_calls(placer, 9, 30_000, 60_000)
    assert [Way.AWAKE] * 9 == make_calls(placer, 9, 30_000, 60_000, 15_000, idle_ns=AT_ONCE_NS)


def test_one_stays_awake_at_a_time(kernel: Kernel) -> None:
    """The next one, and whoever comes until the first has its answer, just writes."""
    placer = settled()
    make_calls(placer, PERIOD // 2, 30_000, 60_000, 15_000, idle_ns=AT_ONCE_NS)
    first = placer.borrow(1, idle_ns=AT_ONCE_NS)
    assert first is not None
    assert (True, wire.STAY_AWAKE) == (first.awake, first.flag)

    assert placer.borrow(2, idle_ns=AT_ONCE_NS) is None
    first.let_go()
    placer.give_back(first)

    assert Way.AWAKE is way_of(placer.borrow(2, idle_ns=AT_ONCE_NS))


def test_who_is_to_see_the_other_awake_is_on_another_cpu(kernel: Kernel) -> None:
    """Once, when it begins; there the worker widens its mask, and stays where it is."""
    placer = settled()
    make_calls(placer, 3 * TRIAL, 30_000, 60_000, 15_000, idle_ns=AT_ONCE_NS)
    away = [cpus for _, cpus in kernel.moved if cpus != {1}]

    assert [{0, 2}] == away

    make_calls(placer, TRIAL, 30_000, 60_000, 15_000, idle_ns=AT_ONCE_NS)
    make_calls(placer, 1, 30_000, 60_000)  # on this CPU, as the best of the other ways
    kernel.moved.clear()
    first = placer.borrow(1, idle_ns=AT_ONCE_NS)
    assert first is not None
    placer.give_back(first)
    second = placer.borrow(1, idle_ns=AT_ONCE_NS)
    assert second is not None
    assert [(1, {0, 2})] == kernel.moved
    assert (wire.STAY_AWAKE | wire.LIFT_AFFINITY, wire.STAY_AWAKE) == (first.flag, second.flag)
    assert (AWAKE_AT_FIRST_NS, AWAKE_NS) == (first.patience_ns, second.patience_ns)
    first.let_go()
    second.let_go()
    assert (1, ALL) == kernel.moved[-1]
    assert 2 == len(kernel.moved)


def test_it_learns_anew(kernel: Kernel) -> None:
    """What paid an hour ago may not pay now: a later trial turns it over, with new figures only."""
    placer = settled()
    make_calls(placer, PERIOD, 30_000, 60_000)

    assert {Way.FREE} == set(make_calls(placer, PERIOD, 90_000, 60_000)[2 * TRIAL :])
    assert {Way.PLACED} == set(make_calls(placer, PERIOD, 30_000, 60_000)[2 * TRIAL :])


def test_a_few_outliers_do_not_decide(kernel: Kernel) -> None:
    """One call that met a busy machine says nothing about the way it was made."""
    placer = settled()
    make_calls(placer, 2, 9_000_000, 60_000)
    make_calls(placer, 2 * TRIAL - 2, 30_000, 60_000)

    assert [Way.PLACED] * 3 == make_calls(placer, 3, 30_000, 60_000)


def test_a_trial_without_figures_decides_nothing(kernel: Kernel) -> None:
    """When too few calls could be measured, what stood before stands."""
    placer = settled()
    for _ in range(2 * TRIAL):
        borrowed = placer.borrow(1)
        if borrowed is not None:
            placer.give_back(borrowed)

    assert [Way.PLACED] * 3 == make_calls(placer, 3, 90_000, 60_000)


@pytest.mark.parametrize("enabled", [True, False])
def test_figures_do_not_pile_up(kernel: Kernel, enabled: bool) -> None:
    """However many calls, and even if none is ever placed, a trial's figures are all that is kept."""
    placer = Placer(enabled=enabled)
    kernel.refuses = ProcessLookupError
    for _ in range(3 * PERIOD):
        if enabled:
            placer.borrow(1)
        placer.learn(None, 1)

    assert 4 * TRIAL >= sum(map(len, placer._took))


def test_a_real_process() -> None:
    """The kernel agrees: one CPU while borrowed, all of ours after."""
    mine = os.sched_getaffinity(0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as sleeper:
        borrowed = borrow(Placer(enabled=True), sleeper.pid)
        assert {borrowed.cpu} == os.sched_getaffinity(sleeper.pid)
        borrowed.let_go()
        assert mine == os.sched_getaffinity(sleeper.pid)
