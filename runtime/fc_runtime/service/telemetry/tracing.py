"""
Spans of OpenTelemetry (extra ``otel``): one for each request that is no question about health,
below the one that the request's ``traceparent`` names.

The extra is only imported when spans are wanted: by ``OTEL_EXPORTER_OTLP_ENDPOINT`` or
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``, or by a setting. All else is OpenTelemetry's own
environment: ``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS`` …
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog
from starlette.types import Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MEND: Final = "pip install 'fc-runtime[otel]'"
SERVICE: Final = "fc-runtime"
_log = structlog.get_logger(__name__)


class RequestSpan:
    """One request's."""

    __slots__ = ("_span",)

    def __init__(self, span: "Span") -> None:
        self._span = span

    def end(self, scope: Scope, kind: str, status: int) -> None:
        """*status* 499: the client left before the answer. 500 and above is an error."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 (of an extra)

        span = self._span
        function = scope.get("fc.function")
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("fc.kind", kind)
        if function:
            span.update_name(f"{scope['method']} {function}")
            span.set_attribute("faas.invoked_name", function)
        if scope.get("fc.request_id"):
            span.set_attribute("faas.invocation_id", scope["fc.request_id"])
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()


class Tracing:
    """
    Args:
        provider: where spans go; `close` shuts it down.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 (of an extra)
            TraceContextTextMapPropagator,
        )

        self._provider = provider
        self._tracer = provider.get_tracer("fc_runtime.service")
        self._propagator = TraceContextTextMapPropagator()

    def start(self, scope: Scope) -> RequestSpan:
        """Below the span that ``traceparent`` names, or the first of a trace."""
        from opentelemetry.context import Context  # noqa: PLC0415 (of an extra)
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 (of an extra)

        path: str = scope["path"]
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        client = scope.get("client")
        attributes = {
            "http.request.method": scope["method"],
            "url.path": path,
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        if client:
            attributes["client.address"] = client[0]
        span = self._tracer.start_span(
            scope["method"],
            context=self._propagator.extract(carrier, context=Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        return RequestSpan(span)

    def close(self) -> None:
        """What has not been sent yet is sent, or given up after the exporter's own time. Blocks."""
        self._provider.shutdown()


def tracing_of(environ: Mapping[str, str], *, wanted: bool | None = None) -> Tracing | None:
    """
    Spans to where the environment says, or None.

    Args:
        wanted: None for what the environment says. If they are wanted and the extra is not
            installed, that is a warning: the daemon serves all the same.
    """
    if wanted is None:
        wanted = any(environ.get(name) for name in ENDPOINTS)
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        _log.warning("tracing.unavailable", reason=str(error), mend=MEND)
        return None
    named = environ.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(
        resource=Resource.create({"service.name": named}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
