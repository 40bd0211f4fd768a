"""
What holds an instance, behind one small interface.

A tier answers two questions about the process tree below one pid: how much memory is it using,
and make all of it end. `portable` asks nothing of the host; tiers that have the kernel do it
(cgroups, pid namespaces) come behind the same interface (design D9).
"""

from dataclasses import dataclass
from typing import Final, Protocol

from fc_runtime.errors import InvalidFunctionError


@dataclass(frozen=True, slots=True)
class Reading:
    """The memory of a tree at one moment."""

    tree_bytes: int
    largest: str = ""  # "name[pid]" of the largest process; only told when over the limit


class Meter(Protocol):
    """Watches one tree for the length of one invocation."""

    def read(self) -> Reading: ...

    def close(self) -> None: ...


class Isolation(Protocol):
    """One tier. Stateless: all there is to know is in the pid."""

    name: str
    source: str  # who says that memory ran out, for `OutOfMemory.source`

    def meter(self, pid: int, limit_bytes: int) -> Meter:
        """*limit_bytes*: below it a cheap upper bound of the memory is good enough."""
        ...

    def kill_tree(self, pid: int, pidfd: int) -> int:
        """End *pid* and everything below it; how many other processes there were."""
        ...


TIERS: Final = ("portable",)


def choose(name: str) -> Isolation:
    """The tier called *name*; ``auto`` is the best there is on this host."""
    from fc_runtime.isolation.portable import Portable  # noqa: PLC0415 (tiers know this file)

    if name in ("auto", "portable"):
        return Portable()
    raise InvalidFunctionError("isolation", name, f"one of auto, {', '.join(TIERS)}")
