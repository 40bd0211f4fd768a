"""
HTTP triggers from request to response: an ASGI application in front of another.

    which trigger → may this method, may this caller → body → event or WSGI → invoke → answer

FC2's functions are called the WSGI way, FC3's get an event (spec 4.A, 4.B). Decided: a CORS
preflight to a trigger that does not take ``OPTIONS`` is answered here, for no browser could call
the function otherwise; one that does gets to see it.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import structlog

from fc_runtime.aio import AsyncRuntime
from fc_runtime.errors import (
    EventTooLargeError,
    FunctionNotFoundError,
    OverloadedError,
    RuntimeClosedError,
)
from fc_runtime.lean import Lean
from fc_runtime.outcome import Result
from fc_runtime.service.auth import Admitted, Authenticator, Request, authorize_http
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError, not_found
from fc_runtime.service.gateway import asynchronous, http_cors, http_event, http_wsgi
from fc_runtime.service.gateway.bodies import ClientGoneError, Receive, Scope, Send, read
from fc_runtime.service.gateway.http_answer import (
    Answer,
    accepted,
    failed,
    of_platform,
    on_the_wire,
    refused,
)
from fc_runtime.service.gateway.http_call import (
    HttpCall,
    call_of,
    check_limits,
    raw_path_of,
    sent_header,
)
from fc_runtime.service.gateway.http_triggers import Holder, Triggers, Wanted, check_method
from fc_runtime.service.gateway.ids import RequestIds
from fc_runtime.service.gateway.invoke import closing, wants_log
from fc_runtime.service.gateway.paths import Asked
from fc_runtime.service.gateway.presence import Presence
from fc_runtime.service.gateway.replies import headers_of, load_failure
from fc_runtime.service.gateway.tail import cancelled
from fc_runtime.service.settings import Settings
from fc_runtime.service.telemetry import Telemetry
from fc_runtime.service.telemetry.watched import FUNCTION, KIND, REQUEST_ID

LARGE: Final = 256 * 1024  # bytes: to encode, decode or hash more would hold up the loop
MOVES: Final = 3  # how often a function may be taken away under a call that has found it
_log = structlog.get_logger(__name__)

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Work:
    """One request on its way."""

    wanted: Wanted
    call: HttpCall
    body: bytes
    request_id: str


class HttpGateway:
    """
    Args:
        lean, presence: of the loop that serves.
        authenticator: for triggers that are signed; those with tokens need none of it.
        heard: what a function wrote, of each call that wrote anything or failed.
        attachment: force ``Content-Disposition: attachment``, as FC's default domain does.
        accept: takes what nobody waits for.
    """

    def __init__(
        self,
        *,
        account: Holder,
        deployer: Deployer,
        runtime: AsyncRuntime,
        lean: Lean,
        presence: Presence,
        settings: Settings,
        telemetry: Telemetry,
        authenticator: Authenticator,
        accept: asynchronous.Accept,
        heard: Callable[[Deployment, Result], None] | None = None,
        attachment: bool = False,
    ) -> None:
        self._accept = accept
        self._triggers = Triggers(account)
        self._deployer = deployer
        self._runtime = runtime
        self._lean = lean
        self._presence = presence
        self._settings = settings
        self._telemetry = telemetry
        self._authenticator = authenticator
        self._heard = heard
        self._attachment = attachment
        self._ids = RequestIds()

    def before(self, rest: Asgi) -> Asgi:
        """An application that serves what is for an HTTP trigger, and leaves all else to *rest*."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not await self._serves(scope, receive, send):
                await rest(scope, receive, send)

        return serve

    async def _serves(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """False if the request is for somebody else; nothing has been read or sent then."""
        request_id = self._ids.new(fc2=False)
        cors: Mapping[str, Any] = {}
        try:
            wanted = await self._triggers.wanted(scope)
            if wanted is None:
                return False
            cors = wanted.trigger.rules.cors
            if wanted.trigger.service:
                request_id = self._ids.new(fc2=True)
            answer = await self._answer(wanted, scope, receive, request_id)
        except ApiError as error:
            answer = refused(error, request_id)
        except ClientGoneError:
            answer = None
        except Exception:  # noqa: BLE001 (the edge: the client is told, the log has it whole)
            _log.exception("http_trigger.broken", request_id=request_id)
            bug = ApiError(500, "InternalServerError", "see the daemon's log")
            answer = refused(bug, request_id)
        scope[KIND] = "http"
        scope[REQUEST_ID] = request_id
        if answer is not None:
            await self._send(answer, cors, scope, send)
        return True

    async def _send(
        self, answer: Answer, cors: Mapping[str, Any], scope: Scope, send: Send
    ) -> None:
        if not answer.platform:
            answer.platform = [(b"X-Fc-Request-Id", scope[REQUEST_ID].encode())]
        http_cors.add_to(answer.headers, cors, sent_header(scope, b"origin"))
        status, headers, body = on_the_wire(answer, attachment=self._attachment)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, wanted: Wanted, scope: Scope, receive: Receive, request_id: str
    ) -> Answer:
        check_limits(scope)
        rules = wanted.trigger.rules
        if http_cors.is_preflight(scope) and (rules.cors or "OPTIONS" not in rules.methods):
            return http_cors.preflight_answer(rules.methods, rules.cors, scope)
        check_method(wanted.trigger, scope["method"])
        admitted = self._admitted(wanted, scope)
        later = asynchronous.is_asynchronous(scope["headers"])
        tail = False if later else wants_log(scope["headers"])
        most = asynchronous.MOST_BYTES if later else self._settings.max_body_bytes
        body = await read(receive, scope["headers"], self._settings, most, self._presence.room)
        if admitted.pending is not None and admitted.pending.body_sha256 is not None:
            admitted.pending.finish(await _sha256(body))
        call = call_of(
            scope, wanted.raw_path, *admitted.rewrite(scope["headers"], scope["query_string"])
        )
        work = Work(wanted, call, body, request_id)
        if later:
            return await self._later(work, scope)
        with self._presence.of(receive) as visit:
            try:
                return await self._invoked(work, scope, tail=tail, since=visit.since)
            except asyncio.CancelledError:
                visit.forgive()
                if not visit.has_left:
                    raise closing() from None
                lasted_ms = (time.monotonic() - visit.since) * 1000
                _log.info(
                    "invocation.cancelled",
                    function=wanted.trigger.function,
                    service=wanted.trigger.service,
                    request_id=request_id,
                    line=cancelled(request_id, lasted_ms),
                )
                raise ClientGoneError from None

    def _admitted(self, wanted: Wanted, scope: Scope) -> Admitted:
        """Raises ApiError 403."""
        rules = wanted.trigger.rules
        request = Request(
            scope["method"],
            raw_path_of(scope).encode(),
            scope["query_string"],
            scope["headers"],
        )
        path = unquote(wanted.raw_path, errors="replace")
        return authorize_http(
            rules.auth_type, rules.auth_config, request, self._authenticator, path=path
        )

    async def _invoked(self, work: Work, scope: Scope, *, tail: bool, since: float) -> Answer:
        trigger, qualifier = work.wanted.trigger, work.wanted.qualifier
        asked = (trigger.service, trigger.function, qualifier)
        for _ in range(MOVES):
            deployment = self._deployer.known(*asked) or await self._deployer.deploy(*asked)
            scope[FUNCTION] = deployment.key
            if deployment.load_error is not None:
                answer = failed(deployment.load_error)
                answer.platform = of_platform(load_failure(deployment, work.request_id))
                return answer
            try:
                result = await self._result(work, deployment)
            except FunctionNotFoundError:
                continue  # deleted or replaced after it was found: what is there now decides
            self._telemetry.invoked(deployment.key, result, (time.monotonic() - since) * 1000)
            if self._heard is not None and (result.log or not result.ok):
                self._heard(deployment, result)
            answer = await _answer_of(deployment, result)
            answer.platform = of_platform(headers_of(deployment, result, with_log=tail))
            return answer
        raise not_found("Function", trigger.function)

    async def _result(self, work: Work, deployment: Deployment) -> Result:
        """Raises ApiError, FunctionNotFoundError."""
        try:
            if deployment.target.service:
                return await self._runtime.invoke(
                    deployment.key,
                    work.body,
                    request_id=work.request_id,
                    check=False,
                    http=http_wsgi.request_of(work.call),
                )
            event = await self._event(work)
            return await self._lean.invoke(deployment.key, event, work.request_id)
        except EventTooLargeError as error:
            raise ApiError(400, "EntityTooLarge", str(error)) from error
        except OverloadedError as error:
            raise ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"}) from error
        except RuntimeClosedError as error:
            raise closing() from error

    async def _later(self, work: Work, scope: Scope) -> Answer:
        """202, once it is on disk. Raises ApiError."""
        trigger = work.wanted.trigger
        asked = Asked(trigger.service, trigger.function, work.wanted.qualifier)
        http = http_wsgi.request_of(work.call) if trigger.service else None
        event = work.body if trigger.service else await self._event(work)
        task_id = await self._accept(
            asynchronous.wanted(asked, scope["headers"], event, work.request_id, http=http)
        )
        answer = Answer(202, [], b"")
        answer.platform = asynchronous.headers_of(asked, task_id, work.request_id)
        return answer

    async def _event(self, work: Work) -> bytes:
        now = datetime.now(UTC)

        def make() -> bytes:
            return http_event.event_of(
                work.call,
                work.body,
                account_id=self._settings.account_id,
                domain_prefix=work.wanted.domain_prefix,
                request_id=work.request_id,
                now=now,
            )

        return make() if len(work.body) < LARGE else await asyncio.to_thread(make)


async def _answer_of(deployment: Deployment, result: Result) -> Answer:
    payload = result.payload
    if not result.ok:
        return failed(payload)
    if deployment.target.service:
        return accepted(http_wsgi.answer_of(result.http, payload))
    if len(payload) < LARGE:
        return accepted(http_event.answer_of(payload))
    return accepted(await asyncio.to_thread(http_event.answer_of, payload))


async def _sha256(body: bytes) -> str:
    if len(body) < LARGE:
        return hashlib.sha256(body).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())
