"""All cases, in the order in which they are shown. One module for each topic of ``attacks``."""

from collections.abc import Iterable
from typing import Final

from fc_runtime.torture.case import Case
from fc_runtime.torture.cases import (
    children,
    deaths,
    hangs,
    host,
    idle,
    memory,
    output,
    protocol,
    startup,
    state,
    values,
    walls,
)

CASES: Final[tuple[Case, ...]] = (
    *hangs.CASES,
    *children.CASES,
    *memory.CASES,
    *deaths.CASES,
    *protocol.CASES,
    *output.CASES,
    *values.CASES,
    *startup.CASES,
    *state.CASES,
    *idle.CASES,
    *host.CASES,
    *walls.CASES,
)


def named(names: Iterable[str]) -> tuple[Case, ...]:
    """The cases of these names, in our order. KeyError names one that there is not."""
    wanted = set(names)
    for name in wanted - {case.name for case in CASES}:
        raise KeyError(name)
    return tuple(case for case in CASES if case.name in wanted)
