"""Instants on CLOCK_MONOTONIC. A *timeout* exists only as an argument; inside it is a deadline."""

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant; the clock's steps and the host's suspends do not move it."""

    at_ns: int

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(time.monotonic_ns() + int(seconds * 1e9))

    @property
    def left_s(self) -> float:
        """Seconds from now, never negative."""
        return max(0.0, (self.at_ns - time.monotonic_ns()) / 1e9)

    @property
    def passed(self) -> bool:
        return time.monotonic_ns() >= self.at_ns
