"""How often, how long, how many: frozen, pure, no clock of its own."""

from dataclasses import dataclass, field
from typing import Final

from fc_runtime.checks import check_whole, positive_seconds

AHEAD_S: Final = 0.05  # work that may lie ready for one function, so that it need not wait
MOST_AHEAD: Final = 128  # tasks of one function


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Seconds before another try: *first*, then *factor* times as long, at most *most*."""

    first: float = 1.0
    factor: float = 2.0
    most: float = 300.0

    def __post_init__(self) -> None:
        for name in ("first", "factor", "most"):
            positive_seconds(name, getattr(self, name))

    def after(self, tries: int, chance: float) -> float:
        """
        Seconds, after *tries* in vain. *chance*, from 0 to 1, takes up to a fifth off, so that
        what failed together does not come again together.
        """
        # An exponent without end would be a float overflow; 64 doublings are always too long.
        whole = min(self.most, self.first * self.factor ** min(max(0, tries - 1), 64))
        return whole * (1 - chance / 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What an engine goes by.

    Args:
        most_running: attempts at the same time, of all functions; a quarter of the places is kept
            for functions that have none running.
        retry: between attempts that end in an error of the function.
        setback: between attempts that did not begin, or ended, for a reason of ours (overload, a
            bug): they do not count, and go on until the task is too old.
        delivery: between attempts to tell a destination.
        delivery_tries: attempts to tell a destination, before it is given up.
        lease: seconds without a heartbeat, after which others take over.
        beat: seconds between looks at what others have done: stopped one, died.
        poll: seconds between looks for what other processes have accepted.
        tidy: seconds between looks at what has expired, or may be deleted.
    """

    most_running: int = 256
    retry: Backoff = field(default_factory=Backoff)
    setback: Backoff = field(default_factory=Backoff)
    delivery: Backoff = field(default_factory=Backoff)
    delivery_tries: int = 8
    lease: float = 15.0
    beat: float = 1.0
    poll: float = 0.5
    tidy: float = 10.0

    def __post_init__(self) -> None:
        check_whole("most_running", self.most_running, 1, 100_000)
        check_whole("delivery_tries", self.delivery_tries, 1, 100)
        for name in ("lease", "beat", "poll", "tidy"):
            positive_seconds(name, getattr(self, name))


def ahead(limit: int, average_s: float | None) -> int:
    """
    How many to have ready beside the *limit* that may run, of a function that takes *average_s*:
    those that long ones would keep from other processes stay in the queue.
    """
    if average_s is None:
        return 0
    return max(0, min(MOST_AHEAD, int(limit * AHEAD_S / max(average_s, 1e-6))))


def shares(rooms: dict[str, int], running: dict[str, int], free: int, kept: int) -> dict[str, int]:
    """
    How many each function may have, in turn: as evenly as their *rooms* allow.

    Args:
        rooms: how many more each could take, in the order of turns.
        running: how many each has.
        free: places in all.
        kept: of those, only for functions that have none.
    """
    given = dict.fromkeys(rooms, 0)
    open_to_all = free - kept
    wanting = [name for name, room in rooms.items() if room > 0]
    while wanting:
        for name in list(wanting):
            newcomer = not running.get(name) and not given[name]
            if free <= 0 or (open_to_all <= 0 and not newcomer):
                wanting.remove(name)
                continue
            given[name] += 1
            free -= 1
            open_to_all -= 1
            if given[name] >= rooms[name]:
                wanting.remove(name)
    return {name: count for name, count in given.items() if count}
