"""
The daemon's figures and its state, and the three paths where they are read.

    /healthz    the process is up and answers
    /readyz     it takes requests; 503 before it has started, and while it drains
    /metrics    for Prometheus

None of them asks who is asking: they tell names of functions and numbers, no secrets. On a warm
invocation's way lie two observations and a counter; all else is read when it is asked for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fc_runtime.outcome import Result
from fc_runtime.service.telemetry.buckets import Histograms, Tally
from fc_runtime.service.telemetry.collector import PREFIX, RuntimeCollector
from fc_runtime.service.telemetry.labels import FunctionLabels
from fc_runtime.service.telemetry.tasks import TasksCollector
from fc_runtime.tasks import Depth

BUCKETS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
KINDS: Final = ("invoke", "http", "api", "health")
CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
CLIENT_LEFT: Final = 499  # as FC counts a client that left before the answer
BROKEN: Final = 500  # an application raised: the server answers that itself


class Telemetry:
    """
    Args:
        stats: `AsyncRuntime.stats`.
    """

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        self.ready = False  # whether to send requests here; `draining` and not started are alike
        self.registry = CollectorRegistry()
        self._labels = FunctionLabels()
        self._duration = Histograms(
            f"{PREFIX}invocation_duration_seconds", "How long handlers ran.", BUCKETS_S
        )
        self._queue = Histograms(
            f"{PREFIX}invocation_queue_seconds",
            "How long invocations took beside handler and start: waiting, mostly.",
            BUCKETS_S,
        )
        self.registry.register(self._duration)
        self.registry.register(self._queue)
        self._observers: dict[str, tuple[Callable[[float], None], Callable[[float], None]]] = {}
        self._requests = Tally(
            f"{PREFIX}http_requests",
            "Requests by kind and class of status; 499: the client left before the answer.",
            ("kind", "class"),
            [(kind, name) for kind in KINDS for name in (*CLASSES, str(CLIENT_LEFT))],
        )
        self.registry.register(self._requests)
        Gauge(f"{PREFIX}ready", "1 while requests are taken.", registry=self.registry).set_function(
            lambda: float(self.ready)
        )
        self.registry.register(RuntimeCollector(stats, self._labels, self._forget))

    def watch_tasks(
        self, depth: Callable[[], Depth], stats: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Also of asynchronous invocations: see `TasksCollector`."""
        self.registry.register(TasksCollector(depth, stats))

    def invoked(self, function: str, result: Result, elapsed_ms: float) -> None:
        """
        An invocation has come to its end.

        Args:
            function: its name in the runtime.
            elapsed_ms: of the whole call of `AsyncRuntime.invoke`.
        """
        observers = self._observers.get(function)
        if observers is None:
            observers = self._observers_of(function)
        handler_ms = result.duration_ms
        observers[0](handler_ms / 1000)
        observers[1](max(0.0, elapsed_ms - handler_ms - (result.init_duration_ms or 0.0)) / 1000)

    def answered(self, kind: str, status: int) -> None:
        """A request has been answered; *kind* is one of `KINDS`."""
        self._requests.counts[kind, CLASSES[status // 100 - 1]] += 1

    def client_left(self, kind: str = "invoke") -> None:
        """A request has not been answered: its client had gone."""
        self._requests.counts[kind, str(CLIENT_LEFT)] += 1

    def routes(self) -> list[Route]:
        """Of the three paths."""
        return [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._readiness, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]

    def _observers_of(
        self, function: str
    ) -> tuple[Callable[[float], None], Callable[[float], None]]:
        label = self._labels.of(function)
        observers = (
            self._duration.labels(label).observe,
            self._queue.labels(label).observe,
        )
        if label == function:  # kept for as long as it has a name of its own
            self._observers[function] = observers
        return observers

    def _forget(self, function: str) -> None:
        """It is registered no more: its lines go, as those of the runtime have gone."""
        if self._observers.pop(function, None) is not None:
            self._duration.remove(function)
            self._queue.remove(function)

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def _readiness(self, _request: Request) -> Response:
        if self.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, 503, {"Retry-After": "1"})

    def _metrics(self, request: Request) -> Response:
        """In a thread: the runtime's figures are behind locks."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type})
