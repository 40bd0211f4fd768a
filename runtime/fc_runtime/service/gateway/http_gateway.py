"""
HTTP triggers from request to response: an ASGI application.

    which trigger → may this method, may this caller → body → event or WSGI → invoke → answer

FC2's functions are called the WSGI way, FC3's get an event (spec 4.A, 4.B). Decided: a CORS
preflight to a trigger that does not take ``OPTIONS`` is answered here with FC's defaults, for no
browser could call the function otherwise; one that does gets to see it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from fc_runtime.errors import EventTooLargeError, OverloadedError, RuntimeClosedError
from fc_runtime.outcome import Result
from fc_runtime.service.account import Target
from fc_runtime.service.errors import ApiError, not_implemented
from fc_runtime.service.gateway import http_event, http_wsgi
from fc_runtime.service.gateway.http_answer import (
    Answer,
    accepted,
    failed,
    on_the_wire,
    refused,
)
from fc_runtime.service.gateway.http_body import ClientGoneError, read_body, while_connected
from fc_runtime.service.gateway.http_call import HttpCall, call_of, sent_header
from fc_runtime.service.gateway.http_platform import new_request_id, platform_headers, type_of
from fc_runtime.service.gateway.http_triggers import Domains, Holder, Triggers, Wanted, check_method
from fc_runtime.service.telemetry import Telemetry
from fc_runtime.service.telemetry.watched import FUNCTION, KIND, REQUEST_ID

LARGE: Final = 256 * 1024  # bytes: to encode or decode more would hold up the loop
INVOCATION_TYPES: Final = ("", "sync")
_log = structlog.get_logger(__name__)


class Deployment(Protocol):
    """A version of a function that is registered in the runtime."""

    @property
    def key(self) -> str: ...
    @property
    def target(self) -> Target: ...


Deploy = Callable[[str, str, str | None], Awaitable[Deployment]]
Invoke = Callable[..., Awaitable[Result]]
# Of a trigger's configuration and the request: headers to add, claims of a token. ApiError 403.
Authorize = Callable[[Mapping[str, Any], Scope], Awaitable[Sequence[tuple[bytes, bytes]]]]


@dataclass(frozen=True, slots=True)
class Work:
    """One request on its way."""

    wanted: Wanted
    deployment: Deployment
    call: HttpCall
    request_id: str


class HttpGateway:
    """
    Args:
        deploy: see `Deployer`.
        invoke: `AsyncRuntime.invoke`.
        authorize: None to let everybody in.
        attachment: force ``Content-Disposition: attachment``, as FC's default domain does.
    """

    def __init__(
        self,
        account: Holder,
        deploy: Deploy,
        invoke: Invoke,
        telemetry: Telemetry,
        *,
        domains: Domains | None = None,
        authorize: Authorize | None = None,
        attachment: bool = False,
    ) -> None:
        self._account_id = account.account_id
        self._triggers = Triggers(account, domains)
        self._deploy = deploy
        self._invoke = invoke
        self._telemetry = telemetry
        self._authorize = authorize
        self._attachment = attachment

    async def is_for_one(self, scope: Scope) -> bool:
        """Is the request for a function over HTTP, rather than for the API?"""
        return await self._triggers.is_for_one(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[KIND] = "http"
        request_id = scope.setdefault(REQUEST_ID, new_request_id())
        try:
            answer = await self._answer(scope, receive, request_id)
        except ApiError as error:
            answer = refused(error, request_id)
        except ClientGoneError:
            _log.info(
                "invocation.canceled_by_client",
                request_id=request_id,
                function=scope.get(FUNCTION),
            )
            return
        except Exception:  # noqa: BLE001 - our bug: the client is told, the log has it whole
            _log.exception("http_trigger.failed", request_id=request_id)
            bug = ApiError(500, "InternalServerError", "see the daemon's log")
            answer = refused(bug, request_id)
        if not answer.platform:
            answer.platform = [("X-Fc-Request-Id", request_id)]
        status, headers, body = on_the_wire(
            answer, origin=sent_header(scope, b"origin"), attachment=self._attachment
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        wanted = await self._triggers.wanted(scope)
        trigger = wanted.trigger
        if _is_preflight(scope) and "OPTIONS" not in trigger.methods:
            return _preflight_answer(wanted, scope)
        check_method(trigger, scope["method"])
        extra: Sequence[tuple[bytes, bytes]] = ()
        if self._authorize is not None:
            extra = await self._authorize(trigger.config, scope)
        call = call_of(scope, wanted.raw_path, extra)
        _check_invocation_type(scope)
        body = await read_body(receive)
        deployment = await self._deploy(trigger.service, trigger.function, wanted.qualifier)
        scope[FUNCTION] = deployment.key
        work = Work(wanted, deployment, call, request_id)
        result = await while_connected(receive, self._result(work, body))
        tail = sent_header(scope, b"x-fc-log-type").lower() == "tail"
        answer = await _answer_of(work, result)
        answer.platform = platform_headers(deployment.target, result, tail=tail)
        return answer

    async def _result(self, work: Work, body: bytes) -> Result:
        started = perf_counter()
        key = work.deployment.key
        try:
            if is_wsgi(work.deployment.target):
                result = await self._invoke(
                    key,
                    body,
                    request_id=work.request_id,
                    check=False,
                    http=http_wsgi.request_of(work.call),
                )
            else:
                event = await self._event(work, body)
                result = await self._invoke(key, event, request_id=work.request_id, check=False)
        except EventTooLargeError as error:
            raise ApiError(400, "EntityTooLarge", str(error)) from error
        except OverloadedError as error:
            raise ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"}) from error
        except RuntimeClosedError as error:
            raise ApiError(503, "ServiceUnavailable", "the daemon is stopping") from error
        self._telemetry.invoked(key, result, (perf_counter() - started) * 1000)
        return result

    async def _event(self, work: Work, body: bytes) -> bytes:
        now = datetime.now(UTC)

        def make() -> bytes:
            return http_event.event_of(
                work.call,
                body,
                account_id=self._account_id,
                domain_prefix=work.wanted.domain_prefix,
                request_id=work.request_id,
                now=now,
            )

        return make() if len(body) < LARGE else await asyncio.to_thread(make)


def is_wsgi(target: Target) -> bool:
    """Raises ApiError 501 for a runtime whose HTTP server is the function's own."""
    runtime = str(target.document.get("runtime", ""))
    if runtime.startswith("custom"):
        raise not_implemented(
            f"HTTP triggers of runtime '{runtime}': run the function's own server; "
            "a Python runtime is served here"
        )
    return target.service != ""


async def _answer_of(work: Work, result: Result) -> Answer:
    payload = result.payload
    if not result.ok:
        return failed(payload, type_of(result.outcome))
    if is_wsgi(work.deployment.target):
        return accepted(http_wsgi.answer_of(result.http, payload))
    if len(payload) < LARGE:
        return accepted(http_event.answer_of(payload))
    return accepted(await asyncio.to_thread(http_event.answer_of, payload))


def _check_invocation_type(scope: Scope) -> None:
    asked = sent_header(scope, b"x-fc-invocation-type").lower()
    if asked not in INVOCATION_TYPES:
        raise not_implemented(
            f"X-Fc-Invocation-Type '{asked}' of an HTTP trigger: only synchronous calls, so far"
        )


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and bool(
        sent_header(scope, b"access-control-request-method")
    )


def _preflight_answer(wanted: Wanted, scope: Scope) -> Answer:
    headers = [("Access-Control-Allow-Methods", ",".join(sorted(wanted.trigger.methods)))]
    asked = sent_header(scope, b"access-control-request-headers")
    if asked:
        headers.append(("Access-Control-Allow-Headers", asked))
    return Answer(204, headers, b"")
