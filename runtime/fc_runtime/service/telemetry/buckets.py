"""
Counted on the hot path, by the loop's thread alone: plain numbers, where `prometheus_client`
has a lock for each. Read from another thread, a figure may be one observation ahead of its sum.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Histogram:
    """Observations, in seconds, of one function."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has them: the bound, and how many up to it."""
        so_far = 0
        told: list[tuple[str, float]] = []
        for bound, count in zip((*map(repr, self._bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            told.append((bound, so_far))
        return told


class Histograms(Collector):
    """One metric, with a histogram for each function that has been observed."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._of: dict[str, Histogram] = {}

    def labels(self, function: str) -> Histogram:
        return self._of.setdefault(function, Histogram(self._bounds))

    def remove(self, function: str) -> None:
        self._of.pop(function, None)

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for function, histogram in list(self._of.items()):
            family.add_metric([function], histogram.cumulative(), histogram.total)
        return [family]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=["function"])


class Tally(Collector):
    """A counter with labels that are all known from the start: ``counts`` by their values."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: tuple[str, str],
        values: Iterable[tuple[str, str]],
    ) -> None:
        self._name = name
        self._text = text
        self._labels: Sequence[str] = labels
        self.counts = dict.fromkeys(values, 0)

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for values, count in self.counts.items():
            family.add_metric(values, count)
        return [family]

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._text, labels=self._labels)
