"""How long something took, counted in buckets: a distribution that never grows."""

import threading
from bisect import bisect_left
from typing import Any, Final

BOUNDS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000)


class Histogram:
    """Durations in milliseconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS_MS) + 1)
        self._sum_ms = 0.0
        self._max_ms = 0.0

    def observe(self, milliseconds: float) -> None:
        with self._lock:
            self._counts[bisect_left(BOUNDS_MS, milliseconds)] += 1
            self._sum_ms += milliseconds
            self._max_ms = max(self._max_ms, milliseconds)

    def snapshot(self) -> dict[str, Any]:
        """
        JSON-able: ``count``, ``sum``, ``max`` in milliseconds, and ``buckets``: how many took at
        most so long, cumulative as Prometheus has it, by upper bound. Takes no lock: see
        `Runtime.stats`.
        """
        counts, total, longest = list(self._counts), self._sum_ms, self._max_ms
        buckets: dict[str, int] = {}
        so_far = 0
        for bound, count in zip((*map(str, BOUNDS_MS), "+Inf"), counts, strict=True):
            so_far += count
            buckets[bound] = so_far
        return {
            "count": so_far,
            "sum": round(total, 3),
            "max": round(longest, 3),
            "buckets": buckets,
        }
