"""
What the pool decides by: frozen, pure, asked with a snapshot, answering with a word or a number.
They never act.
"""

from dataclasses import dataclass
from typing import Final

from fc_runtime.function import Function
from fc_runtime.isolation.tiers import Limits


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait before starting again what has just failed *failures* times in a row."""

    first_s: float = 0.1
    factor: float = 2.0
    most_s: float = 10.0

    def delay_s(self, failures: int) -> float:
        """Seconds; none before the first failure."""
        if failures <= 0:
            return 0.0
        return min(self.most_s, self.first_s * self.factor ** min(failures - 1, 32))


@dataclass(frozen=True, slots=True)
class RecyclePolicy:
    """Replace an instance after so many invocations; None keeps it for good."""

    max_invocations: int | None

    def reason(self, invocations: int) -> str | None:
        """Why to replace it (a log word), or None to keep it."""
        if self.max_invocations is not None and invocations >= self.max_invocations:
            return "worn_out"
        return None


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """How many instances to have ready besides those that serve."""

    min_instances: int
    idle_ns: int

    def wanted_idle(self, serving: int, *, warm: bool) -> int:
        """Ready ones: up to the minimum, and one standby beyond demand while in use (D3)."""
        return max(self.min_instances - serving, STANDBY if warm else 0)

    def surplus(self, idle_since_ns: list[int], serving: int, now_ns: int, *, warm: bool) -> int:
        """How many of the idle ones, oldest first, have been unused for too long."""
        expired = sum(since + self.idle_ns <= now_ns for since in idle_since_ns)
        spare = len(idle_since_ns) - self.wanted_idle(serving, warm=warm)
        return max(0, min(expired, spare))


def limits_of(function: Function) -> Limits:
    """What the tree of each of its instances may have."""
    return Limits(
        memory_bytes=function.memory_mb * 1024 * 1024,
        processes=function.max_processes,
        cpu=function.cpu,
    )


def longest_call_s(function: Function) -> float:
    """What one invocation may take: its start, itself, and the hooks after it."""
    longest = function.initialization_timeout + function.timeout
    if function.pre_freeze is not None:
        longest += function.pre_freeze_timeout
    if function.pre_stop is not None:
        longest += function.pre_stop_timeout
    return longest


STANDBY: Final = 1
