"""Durations in buckets, cumulative as Prometheus has them."""

import json
import math
from bisect import bisect_right

import pytest
from fc_runtime.pool.histogram import BOUNDS_MS, Histogram
from hypothesis import given, strategies as st

durations = st.floats(0, 1e6)


def test_empty() -> None:
    """Nothing yet: every bucket is there, and zero."""
    told = Histogram().snapshot()

    assert {"count": 0, "sum": 0.0, "max": 0.0} == {
        key: told[key] for key in ("count", "sum", "max")
    }
    assert [*map(str, BOUNDS_MS), "+Inf"] == list(told["buckets"])
    assert {0} == set(told["buckets"].values())


@pytest.mark.parametrize(
    ("milliseconds", "first_bucket"),
    [(0.0, "1"), (1.0, "1"), (1.001, "2"), (50, "50"), (5000, "5000"), (5000.1, "+Inf")],
)
def test_bound_is_in_its_bucket(milliseconds: float, first_bucket: str) -> None:
    """``le``: a bucket counts what took at most so long."""
    histogram = Histogram()
    histogram.observe(milliseconds)

    buckets = histogram.snapshot()["buckets"]
    assert first_bucket == next(bound for bound, count in buckets.items() if count)


@given(st.lists(durations))
def test_buckets_are_cumulative(observed: list[float]) -> None:
    """Each counts those of the one before as well; the last counts all."""
    histogram = Histogram()
    for milliseconds in observed:
        histogram.observe(milliseconds)

    told = json.loads(json.dumps(histogram.snapshot()))

    expected = [bisect_right(sorted(observed), bound) for bound in (*BOUNDS_MS, math.inf)]
    assert expected == list(told["buckets"].values())
    assert len(observed) == told["count"]
    assert told["sum"] == pytest.approx(sum(observed), abs=1e-3)
    assert told["max"] == pytest.approx(max(observed, default=0.0), abs=1e-3)
