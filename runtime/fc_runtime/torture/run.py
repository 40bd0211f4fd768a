"""
Plays a case and judges it: what was seen, the call after it, what is left, and how long it took.

The order matters: probe, attack, probe again, look for processes that have no business to be
there while the runtime lives, close it, and look whether the host is as it was. What is left
after all that is told, and ended: a run leaves nothing behind, whatever it has shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fc_runtime.torture import footing
from fc_runtime.torture.case import Case, Expectation, Seen
from fc_runtime.torture.stage import Grounds, Stage

SETTLE_S: Final = 3.0  # what has been told to go may take a moment to be gone
PROBE_WITHIN_S: Final = 10.0  # a cold start included, on a machine that has none to spare


class Status(StrEnum):
    AS_EXPECTED = "as expected"
    NOT_PROMISED = "not promised"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    One row of the table.

    ``survivors``: processes that were there when nobody should have been, by name and pid.
    ``harm``: what went wrong besides, a sentence each, where nothing is promised.
    ``troubles``: what is wrong, a sentence each; none: it is as it should be.
    """

    case: Case
    tier: str
    sandbox: str
    expected: Expectation | None
    seen: Seen
    survivors: tuple[str, ...]
    harm: tuple[str, ...]
    troubles: tuple[str, ...]

    @property
    def status(self) -> Status:
        if self.troubles:
            return Status.WRONG
        return Status.AS_EXPECTED if self.expected is not None else Status.NOT_PROMISED

    @property
    def ok(self) -> bool:
        return not self.troubles


def run_all(cases: Iterable[Case], tier: str, sandbox: str) -> Iterator[Verdict]:
    """A verdict for each, as it comes."""
    with Grounds(tier, sandbox) as grounds:
        for case in cases:
            yield run(grounds, case)


def run(grounds: Grounds, case: Case) -> Verdict:
    """Play *case* and judge it."""
    expected = case.expectation(grounds.tier, grounds.sandbox)
    before = footing.Footing.now()
    stage = Stage(grounds, case)
    survivors: list[footing.Marked] = []
    troubles: list[str] = []
    try:
        with stage:
            first = None if case.cold else stage.probe()
            each = 0 if case.cold else _each(stage)
            seen = stage.attack() if case.play is None else case.play(stage)
            if case.cold and case.cure is not None:
                stage.register(dict(case.cure))
            troubles += _judge_next(first, stage.probe())
            if not case.cold:
                survivors += _too_many(stage, each)
        survivors += footing.settle(lambda: list(stage.marked().values()), SETTLE_S)
    finally:
        footing.kill(stage.mark)
    told = footing.settled(before, SETTLE_S)
    names = tuple(dict.fromkeys(map(str, survivors)))
    if expected is not None and not expected.holds(seen):
        troubles.insert(0, f"expected: {expected.phrase}; seen: {seen.words}")
    if seen.took_s > case.timeout + case.within_s:
        troubles.append(f"it took {seen.took_s:.1f} s")
    shown = expected is None and case.harms
    if names and not shown:
        troubles.append(f"left: {', '.join(names)}")
    return Verdict(
        case=case,
        tier=grounds.tier,
        sandbox=grounds.sandbox,
        expected=expected,
        seen=seen,
        survivors=names,
        harm=tuple(troubles) if shown else (),
        troubles=tuple(told) if shown else (*troubles, *told),
    )


def _judge_next(first: Seen | None, then: Seen) -> list[str]:
    """The call after it: right, and soon."""
    troubles = []
    if first is not None and (first.result is None or not first.result.ok):
        troubles.append(f"the call before it: {first.words}")
    elif then.result is None or not then.result.ok:
        troubles.append(f"the next call: {then.words}")
    elif first is not None and first.result and first.result.payload != then.result.payload:
        troubles.append(f"the next call {then.words}, the one before it {first.words}")
    if then.took_s > PROBE_WITHIN_S:
        troubles.append(f"the next call took {then.took_s:.1f} s")
    return troubles


def _each(stage: Stage) -> int:
    """How many processes there are for an instance: one, or with an init of its own, two."""
    instances = stage.instances()
    return max(1, (len(stage.marked()) - len(stage.zygotes())) // max(1, instances))


def _too_many(stage: Stage, each: int) -> list[footing.Marked]:
    """
    Who has no business to be there: the runtime says how many instances it has (besides the one
    that serves, a standby), and there are no more processes than those need. Which ones are too
    many is a guess: those that no zygote has begotten, and then the oldest.
    """

    def excess() -> list[footing.Marked]:
        zygotes = stage.zygotes()
        allowed = len(zygotes) + each * stage.instances()
        now = [one for one in stage.marked().values() if one.pid not in zygotes]
        now.sort(key=lambda one: (one.parent in zygotes, one.born))
        return now[: max(0, len(zygotes) + len(now) - allowed)]

    return footing.settle(excess, SETTLE_S)
