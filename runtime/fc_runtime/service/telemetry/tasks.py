"""
Asynchronous invocations as metrics: how full the queue is, for whoever shares the store, and what
this daemon has done with it since its start.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fc_runtime.errors import StoreError
from fc_runtime.service.telemetry.labels import FunctionLabels
from fc_runtime.tasks import FINAL, Depth

PREFIX: Final = "fc_runtime_tasks_"
COUNTS: Final = {  # of `Engine.stats`
    "attempts": "Runs that were begun.",
    "retries": "Runs that followed an error of the function.",
    "setbacks": "Runs that could not be begun, or ended, for a reason of the daemon's.",
    "taken_over": "Tasks of a daemon that was gone.",
    "deliveries": "Outcomes that a destination was told.",
    "deliveries_failed": "Outcomes that a destination could not be told.",
}
_log = structlog.get_logger(__name__)


class TasksCollector(Collector):
    """
    Args:
        depth: `Store.depth`; asked in the thread of whoever asks for ``/metrics``.
        stats: `Engine.stats`; empty before it is started.
    """

    def __init__(self, depth: Callable[[], Depth], stats: Callable[[], Mapping[str, Any]]) -> None:
        self._depth = depth
        self._stats = stats
        self._labels = FunctionLabels()

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the store before it is there."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What the store cannot tell now is left out, as Prometheus has it."""
        try:
            yield from self._of_the_queue(self._depth())
        except StoreError as error:
            _log.warning("tasks.depth_unknown", error=str(error))
        told = self._stats()
        if not told:
            return
        running = GaugeMetricFamily(f"{PREFIX}running", "Under way in this daemon.")
        running.add_metric((), told["running"])
        yield running
        ended = CounterMetricFamily(f"{PREFIX}ended", "By what became of them.", labels=["status"])
        for status in sorted(FINAL):
            ended.add_metric((status,), told["ended"].get(status, 0))
        yield ended
        for name, text in COUNTS.items():
            family = CounterMetricFamily(f"{PREFIX}{name}", text)
            family.add_metric((), told[name])
            yield family

    def _of_the_queue(self, depth: Depth) -> Iterable[Metric]:
        waiting = GaugeMetricFamily(
            f"{PREFIX}waiting", "In the queue; some may not be due yet.", labels=["function"]
        )
        self._labels.keep_only(set(depth.waiting_by_function))
        counts: dict[str, int] = defaultdict(int)
        for function, count in depth.waiting_by_function.items():
            counts[self._labels.of(function)] += count
        for label, count in counts.items():
            waiting.add_metric((label,), count)
        yield waiting
        held = GaugeMetricFamily(f"{PREFIX}held", "Taken out of the queue by a daemon, to be run.")
        held.add_metric((), depth.held)
        yield held
        oldest = GaugeMetricFamily(
            f"{PREFIX}oldest_due_seconds", "How long the oldest in the queue has been due."
        )
        oldest.add_metric((), depth.oldest_due_s)
        yield oldest
