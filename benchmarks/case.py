"""
What a case is, and the child's half of a measurement.

`run.py` starts one fresh process per (round, competitor, placement): the case's own file with
`--measure`. That process places itself on the CPUs *before* anything is started, measures, and
prints one JSON object. Nothing here knows of rounds, tables or files.

Kept small on purpose: this is what a measuring process has imported when it forks.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

HANDLERS = Path(__file__).resolve().parent / "handlers"
SUBJECT = "fc-runtime"
TOGETHER = "all together"  # in place of a competitor's name


class Placement(StrEnum):
    """Where the processes of one measurement may run."""

    ONE_CPU = "one_cpu"  # caller and workers share a CPU: steady, fit for ratios
    SCHEDULER = "scheduler"  # as the kernel likes: what users see

    @property
    def title(self):
        if self is Placement.ONE_CPU:
            return "everything on one CPU"
        return "left to the scheduler"


class Role(StrEnum):
    SUBJECT = "subject"
    FLOOR = "floor"  # the others are read against it
    RIVAL = "rival"
    REFERENCE = "reference"  # shown beside the others, compared with nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Competitor:
    name: str
    role: Role


class UnavailableError(Exception):
    """This competitor cannot be measured here; the message says why. Its row says so too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one measuring process is asked for."""

    competitor: str
    placement: Placement
    quick: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One benchmark. `measure` runs in the fresh process and returns samples for each point; where
    all competitors are measured *together*, in one process, a map of those for each competitor;
    in their place, why there are none.
    """

    name: str
    title: str
    file: Path
    unit: str  # of a sample: "ns", "bytes", "per_s", "ratio", or "count": shown as a sum
    units: Mapping[str, str] = field(default_factory=dict)  # of points that have another one
    points: Sequence[str]
    uncompared: Sequence[str] = ()  # points of which no ratio is made
    best_rounds: bool = False  # on one CPU, make ratios of the best rounds, not of the medians
    together: bool = False
    competitors: Sequence[Competitor]
    placements: Sequence[Placement]
    rounds: int
    quick_rounds: int
    quick_competitors: Sequence[str] = ()  # in `make bench-quick`; none: it is not in it
    limit_s: float = 60.0  # of one measuring process
    measure: Callable[[Measurement], Mapping[str, Sequence[float]]]

    def unit_of(self, point):
        return self.units.get(point, self.unit)

    @property
    def floor(self):
        return next(one.name for one in self.competitors if one.role is Role.FLOOR)

    @property
    def rivals(self):
        return [one.name for one in self.competitors if one.role is Role.RIVAL]

    def role_of(self, competitor):
        return next(one.role for one in self.competitors if one.name == competitor)

    def for_a_look(self):
        """The same with the few competitors that its main ratios need; None without any."""
        if not self.quick_competitors:
            return None
        if self.together:
            return self
        few = [one for one in self.competitors if one.name in self.quick_competitors]
        return replace(self, competitors=few)


def measuring_process(case):
    """The `__main__` of a case's file: one measurement, one JSON object on stdout."""
    parser = argparse.ArgumentParser(description=f"One measurement of {case.name}; see run.py.")
    names = [TOGETHER] if case.together else [one.name for one in case.competitors]
    parser.add_argument("--measure", required=True, choices=names, metavar="COMPETITOR")
    parser.add_argument("--placement", type=Placement, default=Placement.SCHEDULER)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.placement is Placement.ONE_CPU:
        # The last one: the first serves most interrupts.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = Measurement(competitor=args.measure, placement=args.placement, quick=args.quick)
    try:
        answer = {"samples": case.measure(wanted)}
    except UnavailableError as why:
        answer = {"unavailable": str(why)}
    json.dump(answer, sys.stdout)


def runtime_class():
    """`fc_runtime.Runtime`, or `UnavailableError` while there is none."""
    try:
        from fc_runtime import Runtime
    except ImportError as error:
        reason = str(error).partition(" (")[0]  # without the path
        raise UnavailableError(reason) from None
    return Runtime


def require_tier(name):
    """`UnavailableError` unless this host offers the isolation tier *name*."""
    from fc_runtime.isolation import tiers

    try:
        tiers.open_tier(name).close()
    except tiers.UnavailableError as error:
        raise UnavailableError(f"not to be had here: {error}") from None


def rival_module(name):
    """A rival's package, or `UnavailableError` where it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnavailableError(f"{name} is not installed") from None
