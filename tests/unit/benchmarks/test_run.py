"""One run: whose turn it is, what is published, and what it is shown beside."""

from typing import Any

import compare
import pytest
import run
import throughput
from case import Placement
from harness import measurements
from targets import TARGETS


def test_everybody_has_a_turn_in_every_round() -> None:
    """In an order that moves on by one, so that a slow minute meets all of them."""
    case = run.CASES["throughput"]
    names = [one.name for one in case.competitors]
    turns = [*measurements(case, range(2))]

    assert names == [name for number, name, _ in turns if number == 0]
    assert [*names[1:], names[0]] == [name for number, name, _ in turns if number == 1]
    assert {Placement.SCHEDULER} == {placement for _, _, placement in turns}


@pytest.mark.parametrize("more", [["--quick"], ["--only", "warm_call"]])
def test_only_a_full_run_is_published(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A page of a look, or of one case, would not be of one run."""
    with pytest.raises(SystemExit):
        run.arguments(["--publish", *more])

    assert "one full run" in capsys.readouterr().err


def test_a_look_is_shown_beside_the_committed_run() -> None:
    """By each target that both have; a machine that differs is told."""
    machine = {
        "date": "2026-01-01",
        "revision": "abc",
        "cpu_model": "A",
        "cpus_allowed": 2,
        "python": "CPython 3.11.7",
        "python_build_flags": [],
        "kernel": "Linux",
    }
    now = {"machine": machine, "targets": [seen("one", 2.0), seen("two", 3.0), seen("three", None)]}
    then = {"machine": machine | {"cpu_model": "B"}, "targets": [seen("one", 4.0)]}
    lines = compare.beside_committed(now, then).splitlines()

    assert ["one", "2.00x", "4.00x", "0.50"] == lines[2].split()
    assert ["two", "3.00x", "-", "-"] == lines[3].split()
    assert not [line for line in lines if "three" in line]
    assert "note: another CPU than the committed run's: read ratios only" in lines


def test_a_look_needs_no_committed_run() -> None:
    """The first one has nothing to stand beside."""
    now = {"machine": {}, "targets": [seen("one", 2.0)]}

    assert "no figures are committed yet" in compare.beside_committed(now, None)


def seen(text: str, value: float | None) -> dict[str, Any]:
    return {"target": text, "seen": value, "unit": "ratio", "at": None}


@pytest.mark.parametrize(
    ("counts", "unfair"),
    [([10, 10, 10], 1.0), ([10, 10, 5], 2.0), ([0, 0, 30], 20.0), ([0, 10], 10.0), ([0, 0], 1.0)],
)
def test_how_unfair_it_was(counts: list[int], unfair: float) -> None:
    """The slowest beside the usual; where most of them starve, beside a fair share."""
    assert unfair == throughput.unfairness(counts)


def test_most_targets_are_ratios() -> None:
    """Absolute figures are of one machine: only few targets have them, where people feel them."""
    assert sum(one.is_ratio for one in TARGETS) > len(TARGETS) * 2 / 3
