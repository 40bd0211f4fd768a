"""What each tier and each sandbox can do, and so which cases are promised where: two tables."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from fc_runtime.isolation import tiers


class Power(StrEnum):
    """Something that a case may need; its value is what is said where it is missing."""

    TREE = "the kernel knows which processes belong to an instance"
    MEMORY = "the kernel limits the memory of the tree"
    PROCESSES = "the kernel limits the number of processes"
    LIMITS = "resource limits and no_new_privs"
    WALLS = "a world of its own: files, processes, network, few system calls"


TIERS: Final[Mapping[str, frozenset[Power]]] = {
    "portable": frozenset(),
    "pidns": frozenset({Power.TREE}),
    "cgroup1": frozenset({Power.TREE, Power.MEMORY, Power.PROCESSES}),
    "cgroup2": frozenset({Power.TREE, Power.MEMORY, Power.PROCESSES}),
}
SANDBOXES: Final[Mapping[str, frozenset[Power]]] = {
    "none": frozenset(),
    "standard": frozenset({Power.LIMITS}),
    "strict": frozenset({Power.LIMITS, Power.WALLS}),
}


def tiers_here() -> tuple[str, ...]:
    """The tiers that this host allows, best first."""
    return tiers.available()


def powers_of(tier: str, sandbox: str) -> frozenset[Power]:
    """What an instance of *tier* in *sandbox* is held by."""
    return TIERS[tier] | SANDBOXES[sandbox]
