"""
What the runtime counts anyway, as metrics: read from `Runtime.stats` when somebody asks, so that
no invocation pays for it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fc_runtime.service.telemetry.labels import FunctionLabels

PREFIX: Final = "fc_runtime_"
STATES: Final = ("idle", "serving", "warming")
Values = dict[tuple[str, ...], float]


class RuntimeCollector(Collector):
    """
    Args:
        stats: `Runtime.stats`.
        gone: is told the functions that had labels and are no more.
    """

    def __init__(
        self,
        stats: Callable[[], Mapping[str, Any]],
        labels: FunctionLabels,
        gone: Callable[[str], None],
    ) -> None:
        self._stats = stats
        self._labels = labels
        self._gone = gone

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the runtime before it is there."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """In the thread of whoever asks for ``/metrics``."""
        told = self._stats()
        functions: Mapping[str, Mapping[str, Any]] = told["functions"]
        for function in self._labels.keep_only(set(functions)):
            self._gone(function)
        yield from self._counters(functions)
        yield from self._gauges(functions)
        yield from _of_kills(told)

    def _counters(self, functions: Mapping[str, Mapping[str, Any]]) -> Iterable[Metric]:
        outcomes: Values = defaultdict(float)
        cold: Values = defaultdict(float)
        refused: Values = defaultdict(float)
        for name, counts in functions.items():
            label = self._labels.of(name)
            for outcome, count in counts["outcomes"].items():
                outcomes[label, outcome] += count
            cold[label,] += counts["cold_starts"]
            refused[label,] += counts["refused"]
        yield _counter("invocations", "By what became of them.", ("function", "outcome"), outcomes)
        yield _counter("cold_starts", "Invocations that waited for a start.", ("function",), cold)
        yield _counter("refused", "Invocations refused: all was busy.", ("function",), refused)

    def _gauges(self, functions: Mapping[str, Mapping[str, Any]]) -> Iterable[Metric]:
        instances: Values = defaultdict(float)
        processes: Values = defaultdict(float)
        waiting: Values = defaultdict(float)
        for name, counts in functions.items():
            label = self._labels.of(name)
            for state in STATES:
                instances[label, state] += counts[state]
            processes[label,] += counts["processes"]
            waiting[label,] += counts["waiting"]
        yield _gauge("instances", "By state.", ("function", "state"), instances)
        yield _gauge("processes", "Worker processes that live.", ("function",), processes)
        yield _gauge("queue_length", "Invocations waiting.", ("function",), waiting)


def _of_kills(told: Mapping[str, Any]) -> Iterable[Metric]:
    yield _counter("kills", "Instances that were killed.", (), {(): told["kills"]})
    yield _counter("kill_survivors", "Processes that outlived it.", (), {(): told["survivors"]})
    latency = told["deadline_to_empty_ms"]
    buckets = [
        (bound if bound == "+Inf" else repr(float(bound) / 1000), count)
        for bound, count in latency["buckets"].items()
    ]
    family = HistogramMetricFamily(
        f"{PREFIX}kill_seconds", "From a deadline until nothing of the instance was left."
    )
    family.add_metric((), buckets, latency["sum"] / 1000)
    yield family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    return _filled(CounterMetricFamily(f"{PREFIX}{name}", text, labels=labels), values)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    return _filled(GaugeMetricFamily(f"{PREFIX}{name}", text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
