"""
Every adversarial case, in every tier that this host allows and in every sandbox: what
``fc-runtime torture`` shows is what is tested here, from the same table.

A case says what is promised. Where nothing is, it still has to end in time, the next call of the
same function has to succeed, and nothing may be left (`run.run` judges all of it).
"""

import os
from collections.abc import Callable, Iterator

import pytest
from fc_runtime.function import SANDBOXES
from fc_runtime.torture.case import Case
from fc_runtime.torture.cases import CASES, named
from fc_runtime.torture.promises import Power, tiers_here
from fc_runtime.torture.run import Status, run
from fc_runtime.torture.stage import Grounds


def cases_in(sandbox: str) -> Iterator[Case]:
    """Without a sandbox only what a sandbox is there for is another matter."""
    for case in CASES:
        if sandbox != "none" or case.needs & {Power.LIMITS, Power.WALLS}:
            yield case


# What a tier has a say in. All the rest too, in every tier: FC_TEST_EVERYWHERE=1.
OF_THE_TIER = frozenset({"children", "deaths", "hangs", "host", "idle", "memory", "startup"})


def parameters() -> Iterator[object]:
    """All in the best tier of this host, in each sandbox; what a tier has a say in, in the others."""
    best, *others = tiers_here()
    for tier, sandbox in [
        *((best, one) for one in SANDBOXES),
        *((one, "standard") for one in others),
    ]:
        for case in cases_in(sandbox):
            elsewhere = tier == best or case.handler in OF_THE_TIER
            if not elsewhere and "FC_TEST_EVERYWHERE" not in os.environ:
                continue
            text = f"{case.name}: the handler {case.what}"
            yield pytest.param(tier, sandbox, case, id=f"{tier}-{sandbox}-{text}")


@pytest.mark.parametrize(("tier", "sandbox", "case"), list(parameters()))
def test_case(grounds: Callable[[str, str], Grounds], tier: str, sandbox: str, case: Case) -> None:
    """As promised, in bounded time; the next call succeeds, and nothing is left."""
    verdict = run(grounds(tier, sandbox), case)

    assert () == verdict.troubles


# -- the cases themselves --------------------------------------------------------------------------

# What succeeds for whoever runs as the same user in the same world, whatever else he may do.
ATTACKS_THAT_WORK = (
    *("environ-of-the-host", "environ-of-a-neighbour", "everybody", "signalling"),
    *("prlimit-of-a-neighbour", "secret-beside-the-code", "through-a-descriptor"),
    *("code-of-a-neighbour", "writing-to-the-code", "shared-memory-of-the-host"),
    *("scratch-of-a-neighbour", "abstract-socket", "socket-file", "tcp-to-the-host"),
)


@pytest.mark.parametrize("name", ATTACKS_THAT_WORK)
def test_attacks_are_real(grounds: Callable[[str, str], Grounds], name: str) -> None:
    """Without walls they succeed: that they are refused behind walls means something."""
    (case,) = named([name])

    verdict = run(grounds("portable", "none"), case)

    assert verdict.status is Status.NOT_PROMISED
    assert verdict.seen.words.startswith("managed: ")


def test_every_row_is_a_case() -> None:
    """
    Rows of the list this project began with: all but 36, which kills the host, and is
    ``tests/guest/test_host_killed.py``.
    """
    assert {*range(1, 41)} - {36} == {case.row for case in CASES if case.row is not None}


def test_cases_have_names_of_their_own() -> None:
    """A name is what one is asked for by."""
    names = [case.name for case in CASES]

    assert len(names) == len(set(names))
