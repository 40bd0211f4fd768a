"""
What holds an instance, behind one small interface, and which of them this host offers.

A tier makes a `Cell` for each instance: where the instance's processes are, how much they use, and
how all of them are made to end. What is asked of the kernel differs (docs/security.md):

    cgroup2, cgroup1   the kernel counts and limits the tree, and ends it in one call
    pidns              the kernel ends the tree with its process 1; memory is watched
    portable           asks nothing of the host: /proc, signals and patience

A tier is found to work by making it do its work (`host`), never by a version number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fc_runtime.errors import InvalidFunctionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the processes of one instance may use together. Policy only: nothing is called here."""

    memory_bytes: int
    processes: int  # and threads, where the kernel counts
    cpu: float | None = None  # CPUs' worth of time, None for as much as there is


@dataclass(frozen=True, slots=True)
class Reading:
    """A tree at one moment."""

    tree_bytes: int
    largest: str = ""  # "name[pid]" of the largest process; told when memory is short
    processes: int = 1
    enforced: bool = False  # the kernel holds the memory limit, whoever looks
    killed_for_memory: bool = False  # it has ended one of them because there was no more


class Meter(Protocol):
    """Watches one tree for the length of one invocation."""

    def read(self) -> Reading: ...

    def close(self) -> None: ...


class Cell(Protocol):
    """What holds the processes of one instance."""

    @property
    def folders(self) -> Sequence[str]:
        """The cgroups to join, for the worker, before it does anything else."""
        ...

    def meter(self, pid: int) -> Meter: ...

    def get_ready(self, pid: int) -> None:
        """
        The worker's deadline is near: do now what of `kill` can be done ahead. There may be none.
        """
        ...

    def stand_down(self) -> None:
        """There is none: let go of what `get_ready` has taken."""
        ...

    def kill(self, pid: int, pidfd: int, init_pidfd: int) -> None:
        """
        Make everything end that the instance has ever started; does not wait for it.

        Args:
            pid, pidfd: of the worker.
            init_pidfd: of process 1 of its pid namespace, -1 if it has none.
        """
        ...

    def ran_out_of_memory(self) -> bool:
        """Has the kernel ended one of them because the tree was at its limit?"""
        ...

    def close(self) -> bool:
        """Let go of it; False if there is still somebody in it. May be called again."""
        ...

    def members(self) -> Sequence[int]:
        """Who is in it, as far as the cell itself knows: for telling of survivors."""
        ...

    def holds_more_than(self, known: int) -> bool:
        """Are there more than *known* processes in it, as far as the cell itself knows?"""
        ...

    def forget(self) -> None:
        """In a forked child of the host: close the child's copies of its descriptors."""
        ...


class Isolation(Protocol):
    """One tier, as used by one runtime."""

    name: str
    source: str  # who says that memory ran out, for `OutOfMemory.source`
    enforces: frozenset[str]  # of "memory", "processes", "cpu": by the kernel, not by watching

    def cell(self, number: int, limits: Limits) -> Cell:
        """For instance *number*. Raises OSError if the host has no room for it."""
        ...

    def make_ready(self) -> None:
        """In nobody's time: make what the next cell would have to wait for. Never raises."""
        ...

    def close(self) -> None:
        """Let go of what is shared by all cells; they are closed by now."""
        ...


class UnavailableError(Exception):
    """This host does not offer a tier. ``mend`` is the one thing that would change that."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.mend = mend


TIERS: Final = ("cgroup2", "cgroup1", "pidns", "portable")  # the best first


def check_name(name: str) -> None:
    """Raises InvalidFunctionError if there is no tier called *name*."""
    if name != "auto" and name not in TIERS:
        raise InvalidFunctionError("isolation", name, f"one of auto, {', '.join(TIERS)}")


def open_tier(name: str) -> Isolation:
    """
    The tier called *name*, for one runtime. Raises UnavailableError, saying what is missing.
    """

    from fc_runtime.isolation.cgroup1 import Cgroup1  # noqa: PLC0415
    from fc_runtime.isolation.cgroup2 import Cgroup2  # noqa: PLC0415
    from fc_runtime.isolation.namespaces import PidNamespaces  # noqa: PLC0415
    from fc_runtime.isolation.portable import Portable  # noqa: PLC0415

    match name:
        case "cgroup2":
            return Cgroup2.open()
        case "cgroup1":
            return Cgroup1.open()
        case "pidns":
            return PidNamespaces.open()
        case _:
            return Portable()


def choose(name: str) -> Isolation:
    """
    The tier called *name*; ``auto`` is the best there is on this host.

    Raises InvalidFunctionError if there is no such tier, or this host does not offer it.
    """
    check_name(name)
    for candidate in TIERS if name == "auto" else (name,):
        try:
            return open_tier(candidate)
        except UnavailableError as error:
            if name != "auto":
                raise InvalidFunctionError(
                    "isolation", name, f"not to be had here: {error}; {error.mend}"
                ) from error
    raise AssertionError("the portable tier is always there")


def available() -> tuple[str, ...]:
    """The tiers that this host offers, the best first."""
    found = []
    for name in TIERS:
        try:
            open_tier(name).close()
        except UnavailableError:
            continue
        found.append(name)
    return tuple(found)
