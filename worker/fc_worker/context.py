"""
The ``context`` argument: plain objects with Function Compute's names, made anew for every call.

A handler may set attributes on any of them, and none of that may reach the next invocation. So
nothing is shared: the factory holds ready-made attribute dicts and every object gets a copy of
its own, which costs less than running an ``__init__``.

It is a superset of what each runtime offers (spec 2.A and 2.C): logger, remaining time, and what
python3.12 has moved to other places (``function.qualifier``, ``context.log_store``) are always
there. Values that nobody knows are ``''``. What prints a context must not leak what it carries:
the reprs show neither secret nor token.
"""

import json
import logging
import math
import time
from collections.abc import Sequence
from typing import Any, Final

from fc_worker.messages import WorkerConfig

_NO_CREDENTIALS: Final = ("", "", "")


class Credentials:
    """The function's temporary identity. All three are ``''`` for a function without a role."""

    access_key_id: str
    access_key_secret: str
    security_token: str

    @property
    def accessKeyId(self) -> str:  # noqa: N802 (the name is FC's)
        return self.access_key_id

    @property
    def accessKeySecret(self) -> str:  # noqa: N802
        return self.access_key_secret

    @property
    def securityToken(self) -> str:  # noqa: N802
        return self.security_token

    def to_dict(self) -> dict[str, str]:
        """All three, secret included, by their camelCase names."""
        return {
            "accessKeyId": self.access_key_id,
            "accessKeySecret": self.access_key_secret,
            "securityToken": self.security_token,
        }

    def __repr__(self) -> str:
        return f"<Credentials access_key_id={self.access_key_id!r}>"


class FunctionMeta:
    """What is known of the function itself."""

    name: str
    handler: str
    memory: int  # MB
    timeout: int  # seconds, rounded up
    qualifier: str
    version_id: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "handler": self.handler,
            "memory": self.memory,
            "timeout": self.timeout,
        }


class ServiceMeta:
    """The FC 2.0 service around the function; its name is ``''`` in FC 3.0."""

    name: str
    log_project: str
    log_store: str
    qualifier: str
    version_id: str

    def to_dict(self) -> dict[str, str]:
        return {
            "name": self.name,
            "logProject": self.log_project,
            "logStore": self.log_store,
            "qualifier": self.qualifier,
            "versionId": self.version_id,
        }


class Tracing:
    """OpenTracing values; nothing fills them here."""

    span_context: str
    jaeger_endpoint: str
    span_baggages: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "openTracingSpanContext": self.span_context,
            "openTracingSpanBaggages": self.span_baggages,
            "jaegerEndpoint": self.jaeger_endpoint,
        }


class Context:
    """
    What a handler gets as its second argument.

    Source: spec 2.A; ``get_remaining_time_in_millis`` is ours.
    """

    request_id: str
    requestId: str  # noqa: N815 (the name is FC's)
    credentials: Credentials
    function: FunctionMeta
    service: ServiceMeta
    tracing: Tracing
    region: str
    account_id: str
    retry_count: int
    logger: logging.Logger
    log_project: str
    log_store: str
    _deadline_ns: int  # CLOCK_MONOTONIC

    def getLogger(self) -> logging.Logger:  # noqa: N802 (the name is FC's)
        """The logger: the root logger, unless the handler put another one here."""
        return self.logger

    def get_remaining_time_in_millis(self) -> int:
        """Whole milliseconds until the invocation is ended; 0 once the deadline has passed."""
        return max(0, (self._deadline_ns - time.monotonic_ns()) // 1_000_000)

    def to_json(self) -> str:
        """A JSON object with exactly the keys of spec 2.A, credentials included."""
        return json.dumps(
            {
                "requestId": self.request_id,
                "credentials": self.credentials.to_dict(),
                "function": self.function.to_dict(),
                "service": self.service.to_dict(),
                "region": self.region,
                "accountId": self.account_id,
                "retryCount": self.retry_count,
                "tracing": self.tracing.to_dict(),
            }
        )

    def __repr__(self) -> str:
        return f"<Context request_id={self.request_id!r} function={self.function.name!r}>"


class ContextFactory:
    """Makes the contexts of one function; holds what they have in common."""

    def __init__(self, config: WorkerConfig) -> None:
        self._next: Context | None = None
        self._context = {
            "request_id": "",
            "requestId": "",
            "credentials": None,
            "function": None,
            "service": None,
            "tracing": None,
            "region": config.region,
            "account_id": config.account_id,
            "retry_count": 0,
            "logger": logging.getLogger(),
            "log_project": config.log_project,
            "log_store": config.log_store,
        }
        self._function = {
            "name": config.function,
            "handler": config.handler,
            "memory": config.memory_mb,
            "timeout": math.ceil(config.timeout_s),
            "qualifier": config.qualifier,
            "version_id": config.version_id,
        }
        self._service = {
            "name": config.service,
            "log_project": config.log_project,
            "log_store": config.log_store,
            "qualifier": config.qualifier,
            "version_id": config.version_id,
        }

    def make(
        self,
        *,
        request_id: str,
        credentials: Sequence[str] | None,
        deadline_ns: int,
        retry_count: int = 0,
    ) -> Context:
        """
        A context that shares no object with any other, but for the logger.

        Args:
            credentials: access key id, access key secret, security token, in this order.
            deadline_ns: when the invocation will be ended, on CLOCK_MONOTONIC [ns].
            retry_count: how often this event has been tried before.
        """
        context = self._next or self._blank()
        self._next = None
        context.request_id = context.requestId = request_id
        context._deadline_ns = deadline_ns  # noqa: SLF001 (made here and nowhere else)
        if credentials:
            identity = context.credentials
            (
                identity.access_key_id,
                identity.access_key_secret,
                identity.security_token,
            ) = credentials
        if retry_count:
            context.retry_count = retry_count
        return context

    def prepare(self) -> None:
        """Between two invocations: make what the next `make` then only has to fill in."""
        self._next = self._blank()

    def _blank(self) -> Context:
        identity = Credentials()
        (
            identity.access_key_id,
            identity.access_key_secret,
            identity.security_token,
        ) = _NO_CREDENTIALS
        function = FunctionMeta()
        function.__dict__ = self._function.copy()
        service = ServiceMeta()
        service.__dict__ = self._service.copy()
        tracing = Tracing()
        tracing.span_context = tracing.jaeger_endpoint = ""
        tracing.span_baggages = {}
        context = Context()
        context.__dict__ = self._context.copy()
        context.credentials = identity
        context.function = function
        context.service = service
        context.tracing = tracing
        return context
