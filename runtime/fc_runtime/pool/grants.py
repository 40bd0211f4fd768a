"""
What passes between a pool and its callers: what one may be given, who may be given it later, and
what is counted of it all. Values and one protocol; nothing here decides, locks or waits.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol, TypeAlias

from fc_runtime.outcome import Outcome, Result
from fc_runtime.pool.instance import Instance


class Leave(Enum):
    """What a caller may be given instead of an instance."""

    START = auto()  # start one yourself: a place is kept for you
    MOVED = auto()  # the function was registered anew: ask its new pool
    CLOSED = auto()


Grant: TypeAlias = Instance | Leave | Result  # a Result: why no instance would start


class Waiter(Protocol):
    """A caller in the queue. Touched only under the pool's lock."""

    grant: Grant | None

    @property
    def errand(self) -> object | None:
        """What whoever hands him an instance may `begin`; None if nobody else can."""
        ...

    def offer(self, grant: Grant) -> None:
        """Take it, as ``grant``; which stays None if the caller has given up."""
        ...

    def begin(self, instance: Instance) -> None:
        """
        Outside the lock, instead of `offer`, when *instance* is his ``grant``: write his event to
        it. He is woken by `wake`, whatever came of this.
        """
        ...

    def wake(self) -> None: ...

    def wait_until_begun(self) -> bool:
        """He has gone, and had an instance: has somebody written his event to it?"""
        ...


class OnItsOwn:
    """Of a `Waiter`: it begins its call itself, once it is awake."""

    __slots__ = ()
    errand: Final = None

    def begin(self, instance: Instance) -> None:
        """Nobody else can."""

    def wake(self) -> None:
        """Never called."""

    def wait_until_begun(self) -> bool:
        return False


@dataclass(slots=True)
class Counts:
    """What `Runtime.stats` tells of one function, since it was registered."""

    invocations: int = 0
    cold_starts: int = 0
    refused: int = 0
    late_bytes: int = 0  # written between two invocations, by threads of the handler
    outcomes: defaultdict[type, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, outcome: Outcome, *, cold: bool) -> None:
        self.invocations += 1
        self.cold_starts += cold
        self.outcomes[type(outcome)] += 1
