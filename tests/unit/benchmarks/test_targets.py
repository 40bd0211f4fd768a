"""Targets: what they name is measured somewhere, and the worst of what they name counts."""

import pytest
import run
from case import Case, Competitor, Placement, Role
from harness import Results
from targets import BEST_RIVAL, TARGETS, Target, judge

CASE = Case(
    name="case",
    title="Case",
    file=run.HERE,
    unit="per_s",
    points=["few", "many"],
    competitors=[
        Competitor(name="fc-runtime", role=Role.SUBJECT),
        Competitor(name="floor", role=Role.FLOOR),
        Competitor(name="one", role=Role.RIVAL),
        Competitor(name="two", role=Role.RIVAL),
    ],
    placements=[Placement.SCHEDULER],
    rounds=1,
    quick_rounds=1,
    measure=lambda _wanted: {},
)


@pytest.fixture
def results() -> Results:
    """The subject does 100 and 60, the rivals 50 and 40, 20 and 90."""
    found = Results(CASE, 1)
    found.add("scheduler", "fc-runtime", {"few": [100.0], "many": [60.0]})
    found.add("scheduler", "one", {"few": [50.0], "many": [20.0]})
    found.add("scheduler", "two", {"few": [40.0], "many": [90.0]})
    return found


def target(**fields: object) -> Target:
    told = {"text": "t", "case": "case", "points": ("few", "many"), "above": "fc-runtime"}
    return Target(**(told | fields))


@pytest.mark.parametrize("one", TARGETS, ids=lambda one: one.text)
def test_a_target_names_what_is_measured(one: Target) -> None:
    """Its case, placement, competitors and points: a renamed one would be held to nothing."""
    case = run.CASES[one.case]
    names = {each.name for each in case.competitors} | {BEST_RIVAL, None}

    assert one.placement in case.placements
    assert {*one.points, one.below_point} <= {*case.points, None}
    assert one.above in names - {None, BEST_RIVAL}
    assert one.below in names
    assert (one.at_most is None) != (one.at_least is None)


def test_no_two_targets_share_a_text() -> None:
    """By which a run finds what the committed one had."""
    assert len(TARGETS) == len({one.text for one in TARGETS})


@pytest.mark.parametrize("case", run.CASES.values(), ids=lambda case: case.name)
def test_a_look_has_what_its_ratios_need(case: Case) -> None:
    """The subject and a floor, where the case is in it at all."""
    few = case.for_a_look()
    if few is not None:
        assert {"fc-runtime", case.floor} <= {one.name for one in few.competitors}
        assert case.together or {*case.quick_competitors} == {one.name for one in few.competitors}


def test_the_worst_point_counts(results: Results) -> None:
    """The least where there is a least, the greatest where there is a most; and it is named."""
    assert (60.0, "many") == target(at_least=1.0).seen(results)
    assert (100.0, "few") == target(at_most=1.0).seen(results)


def test_the_best_rival_is_the_one_of_each_point(results: Results) -> None:
    """100 to 50 at the first point, 60 to 90 at the second."""
    assert (60 / 90, "many") == target(below=BEST_RIVAL, at_least=1.0).seen(results)


def test_a_point_may_be_read_against_another(results: Results) -> None:
    """Of the same competitor."""
    (verdict,) = judge([results], [target(points=("many",), below_point="few", at_least=0.6)])

    assert pytest.approx(0.6) == verdict["seen"]
    assert verdict["met"]
    assert verdict["unit"] == "ratio"


def test_what_is_missing_makes_no_verdict(results: Results) -> None:
    """One point of two, or the whole case."""
    del results.samples["scheduler", "fc-runtime", "many"]
    for found in ([results], []):
        (verdict,) = judge(found, [target(at_least=1.0)])

        assert verdict["seen"] is None
        assert verdict["met"] is None


@pytest.mark.parametrize(("at_least", "met"), [(60.0, True), (60.1, False)])
def test_a_bound_belongs_to_what_meets_it(results: Results, at_least: float, met: bool) -> None:
    """At least means at least."""
    (verdict,) = judge([results], [target(at_least=at_least)])

    assert verdict["met"] is met
