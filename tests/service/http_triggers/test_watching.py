"""What watches the daemon: health, metrics, the access log, spans."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from fc_runtime import Result, Returned, Usage
from fc_runtime.service.telemetry import Telemetry
from fc_runtime.service.telemetry.labels import OTHERS, FunctionLabels
from fc_runtime.service.telemetry.tracing import MEND, Tracing, tracing_of
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from support.http_service import HttpService

APP = "app/LATEST"  # what the runtime knows it by
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and values of labels, in the order of the labels' names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_and_readiness(service: HttpService) -> None:
    """Up as long as it answers; ready only while it takes requests."""
    before = service.get(f"{service.base}/readyz").status_code
    service.telemetry.ready = False
    draining = service.get(f"{service.base}/readyz")

    assert 200 == before
    assert (503, "1") == (draining.status_code, draining.headers["retry-after"])
    assert 200 == service.get(f"{service.base}/healthz").status_code


def test_metrics_of_what_happened(service: HttpService, handlers: Path) -> None:
    """Invocations by outcome, starts, durations, instances and requests: as many as there were."""
    url = service.add(handlers / "http_event")
    for path in ("/plain", "/plain", "/raise"):
        service.get(url + path)
    service.delete(f"{service.base}/_fc/http/none.app/")
    seen = samples(service.metrics())

    assert 2 == seen["fc_runtime_invocations_total", APP, "returned"]
    assert 1 == seen["fc_runtime_invocations_total", APP, "raised"]
    assert 1 <= seen["fc_runtime_cold_starts_total", APP]
    assert 3 == seen["fc_runtime_invocation_duration_seconds_count", APP]
    assert 3 == seen["fc_runtime_invocation_queue_seconds_count", APP]
    assert 3 == seen["fc_runtime_invocation_duration_seconds_bucket", APP, "+Inf"]
    assert 1 <= seen["fc_runtime_instances", APP, "idle"]
    assert 0 == seen["fc_runtime_queue_length", APP]
    assert 2 == seen["fc_runtime_http_requests_total", "2xx", "http"]
    assert 1 == seen["fc_runtime_http_requests_total", "4xx", "http"]
    assert 1 == seen["fc_runtime_http_requests_total", "5xx", "http"]
    assert (1, 0) == (seen["fc_runtime_ready",], seen["fc_runtime_kill_seconds_count",])


def test_metrics_of_a_kill(service: HttpService, handlers: Path) -> None:
    """A function that hangs is one kill, with its latency, once nothing of it is left."""
    url = service.add(handlers / "http_event", timeout=1)
    reply = service.get(f"{url}/hang")
    until = time.monotonic() + 10.0  # it is answered first, and then seen to be gone
    seen = samples(service.metrics())
    while seen["fc_runtime_kill_seconds_count",] == 0 and time.monotonic() < until:
        seen = samples(service.metrics())

    assert 502 == reply.status_code
    assert "timed out after 1 seconds" in reply.json()["errorMessage"]
    assert 1 == seen["fc_runtime_invocations_total", APP, "timed_out"]
    assert 1 == seen["fc_runtime_kill_seconds_count",]
    assert 1 <= seen["fc_runtime_kills_total",]


def result_of(duration_ms: float, init_ms: float | None = None) -> Result:
    return Result(
        payload=b"",
        outcome=Returned(),
        log=b"",
        request_id="r",
        function="f",
        duration_ms=duration_ms,
        init_duration_ms=init_ms,
        cold_start=init_ms is not None,
        usage=Usage(),
    )


def stats_of(*functions: str) -> dict[str, Any]:
    states = dict.fromkeys(("idle", "serving", "warming", "processes", "waiting"), 1)
    counts = {"cold_starts": 1, "refused": 0, "outcomes": {"returned": 1}}
    buckets = {"1": 0, "250": 2, "+Inf": 3}
    latency = {"count": 3, "sum": 500.0, "max": 300.0, "buckets": buckets}
    return {
        "kills": 3,
        "survivors": 0,
        "deadline_to_empty_ms": latency,
        "functions": {name: {**states, **counts} for name in functions},
    }


def collected(telemetry: Telemetry) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
    }


def test_time_in_the_queue() -> None:
    """Is what an invocation took beside the handler and the start; kills are told in seconds."""
    telemetry = Telemetry(lambda: stats_of("f"))
    telemetry.invoked("f", result_of(20.0, 30.0), 60.0)
    seen = collected(telemetry)

    assert pytest.approx(0.02) == seen["fc_runtime_invocation_duration_seconds_sum", "f"]
    assert pytest.approx(0.01) == seen["fc_runtime_invocation_queue_seconds_sum", "f"]
    assert (2, 0.5) == (
        seen["fc_runtime_kill_seconds_bucket", "0.25"],
        seen["fc_runtime_kill_seconds_sum",],
    )


def test_labels_have_a_bound() -> None:
    """Beyond the bound functions are summed up; a name is free when its function is gone."""
    labels = FunctionLabels(most=2)

    assert ["a", "b", OTHERS, "a"] == [labels.of(name) for name in ("a", "b", "c", "a")]
    assert {"b"} == labels.keep_only({"a", "c"})
    assert ["c", OTHERS] == [labels.of(name) for name in ("c", "b")]


def test_a_function_that_is_gone() -> None:
    """Takes its lines with it, all of them."""
    there = ["f", "g"]
    telemetry = Telemetry(lambda: stats_of(*there))
    telemetry.invoked("f", result_of(1.0), 1.0)
    telemetry.invoked("g", result_of(1.0), 1.0)
    collected(telemetry)
    there.remove("g")
    collected(telemetry)

    assert {"f"} == {part for key in collected(telemetry) for part in key[1:] if part in ("f", "g")}


def test_the_access_log(handlers: Path) -> None:
    """An event a request, without the query, that may hold secrets; none for health."""
    with structlog.testing.capture_logs() as events, HttpService(access_log=True) as service:
        url = service.add(handlers / "http_event")
        reply = service.get(f"{url}/plain?token=secret")
        service.get(f"{service.base}/healthz")
    (event,) = (event for event in events if event["event"] == "request.answered")

    assert {
        "event": "request.answered",
        "log_level": "info",
        "method": "GET",
        "path": "/_fc/http/http.app/plain",
        "status": 200,
        "duration_ms": event["duration_ms"],
        "request_id": reply.headers["x-fc-request-id"],
        "function": APP,
        "bytes": len(reply.content),
    } == event
    assert 0 < event["duration_ms"]


def test_no_access_log(handlers: Path) -> None:
    """Is off where it was not asked for."""
    with structlog.testing.capture_logs() as events, HttpService() as service:
        service.get(service.add(handlers / "http_event"))

    assert not [event for event in events if event["event"] == "request.answered"]


def test_spans(handlers: Path) -> None:
    """One a request, below the caller's, with function, status and request id; none for health."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with HttpService(tracing=Tracing(provider)) as service:
        url = service.add(handlers / "http_event")
        reply = service.get(f"{url}/raise", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        service.get(f"{service.base}/healthz")
    (span,) = exporter.get_finished_spans()
    provider.shutdown()

    assert f"GET {APP}" == span.name
    assert (int(TRACE, 16), int(PARENT, 16)) == (span.context.trace_id, span.parent.span_id)
    assert 502 == span.attributes["http.response.status_code"]
    assert reply.headers["x-fc-request-id"] == span.attributes["faas.invocation_id"]
    assert not span.status.is_ok


def test_spans_are_wanted_by_the_environment() -> None:
    """By an endpoint, or by the setting; off by OpenTelemetry's own switch."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    assert tracing_of({}) is None
    assert tracing_of(endpoint | {"OTEL_SDK_DISABLED": "true"}) is None
    assert tracing_of(endpoint, wanted=False) is None
    for found in (tracing_of(endpoint), tracing_of({}, wanted=True)):
        assert found is not None
        found.close()


def test_spans_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning that says what to install; the daemon serves all the same."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with structlog.testing.capture_logs() as events:
        assert tracing_of({}, wanted=True) is None

    assert [MEND] == [event["mend"] for event in events]


def test_metrics_in_either_format(service: HttpService) -> None:
    """The old text, or OpenMetrics for who asks for it."""
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_metrics = service.get(f"{service.base}/metrics", headers=accept)

    assert open_metrics.text.endswith("# EOF\n")
    assert "openmetrics" in open_metrics.headers["content-type"]
    assert "text/plain" in service.get(f"{service.base}/metrics").headers["content-type"]
