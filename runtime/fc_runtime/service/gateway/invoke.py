"""
The invoke operation of all three generations (spec 7.A), as a raw ASGI application: the hot path.

In the order it happens: whose call it is (path), who asks (signature), the body, the version that
serves (`Deployer`), the call (`Lean`), the reply. On a warm call nothing of it waits but the call
itself, nothing is looked up but in dictionaries, nothing is logged.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

import structlog

from fc_runtime.errors import (
    EventTooLargeError,
    FunctionNotFoundError,
    InvalidFunctionError,
    OverloadedError,
    RuntimeClosedError,
)
from fc_runtime.flight import Flight
from fc_runtime.lean import Lean
from fc_runtime.outcome import Result
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError, invalid, not_found
from fc_runtime.service.gateway import asynchronous, paths, replies
from fc_runtime.service.gateway.bodies import ClientGoneError, Receive, Scope, Send, read, too_large
from fc_runtime.service.gateway.ids import RequestIds
from fc_runtime.service.gateway.presence import Presence
from fc_runtime.service.gateway.tail import cancelled
from fc_runtime.service.settings import Settings

REQUEST_ID: Final = "fc.request_id"  # left in the scope for whoever logs the request
FUNCTION: Final = "fc.function"
BEGUN: Final = "fc.begun"  # in the scope: a `Begun`, of a request that `Express` had to pass on
MOVES: Final = 3  # how often a function may be taken away under a call that has found it
HASHED_ON_THE_LOOP: Final = 256 * 1024  # bytes; more are hashed in a thread
ACCEPTED: Final = 202
BROKEN: Final = ApiError(500, "InternalServerError", "see the daemon's log")
_log = structlog.get_logger(__name__)


class Pending(Protocol):
    """A signature of which all but the body has been checked."""

    @property
    def body_sha256(self) -> str | None: ...
    def finish(self, sha256_hex: str) -> Any: ...


Begin = Callable[[Scope], Pending | None]


class Begun(NamedTuple):
    """A request whose signature has been checked, and whose call may be under way."""

    request_id: str
    deployment: Deployment | None = None
    flight: Flight | None = None  # landed: to be finished
    refusal: Exception | None = None  # what to say instead


class Watcher(Protocol):
    """Who counts. Called on the hot path: to return at once."""

    def invoked(self, function: str, result: Result, elapsed_ms: float) -> None: ...
    def answered(self, kind: str, status: int) -> None: ...
    def client_left(self) -> None: ...


class Invoke:
    """
    Args:
        begin: checks who asks, by the head of the request; None lets everybody in.
        watcher: None if nobody counts.
        heard: what a function wrote, of each call that wrote anything or failed.
        accept: takes what nobody waits for.
    """

    def __init__(
        self,
        deployer: Deployer,
        lean: Lean,
        presence: Presence,
        settings: Settings,
        *,
        accept: asynchronous.Accept,
        begin: Begin | None = None,
        watcher: Watcher | None = None,
        heard: Callable[[Deployment, Result], None] | None = None,
    ) -> None:
        self._deployer = deployer
        self._lean = lean
        self._presence = presence
        self._settings = settings
        self._accept = accept
        self._begin = begin
        self._watcher = watcher
        self._heard = heard
        self._ids = RequestIds()
        self.draining = False

    def new_request_id(self, *, fc2: bool = True) -> str:
        return self._ids.new(fc2=fc2)

    def check(self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """The signature of a POST that is all there. Raises ApiError."""
        if self._begin is not None:
            path, _, query = url.partition(b"?")
            scope = {"method": "POST", "raw_path": path, "query_string": query, "headers": headers}
            pending = self._begin(scope)
            if pending is not None and pending.body_sha256 is not None:
                pending.finish(hashlib.sha256(body).hexdigest())

    def told(self, deployment: Deployment, result: Result, elapsed_ms: float) -> None:
        """Of an invocation that has come to its end, to those who want to know."""
        if self._watcher is not None:
            self._watcher.invoked(deployment.key, result, elapsed_ms)
        if self._heard is not None and (result.log or not result.ok):
            self._heard(deployment, result)

    def count(self, status: int | None) -> None:
        """A request has been answered; None: its client has gone."""
        if self._watcher is not None:
            if status is None:
                self._watcher.client_left()
            else:
                self._watcher.answered("invoke", status)

    def overloaded(self, error: OverloadedError) -> ApiError:
        return ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """*scope*: of a request whose path `paths.is_invocation`."""
        path: str = scope["path"]
        begun: Begun | None = scope.get(BEGUN)
        if begun is None:
            begun = Begun(self._ids.new(fc2=not path.startswith("/2023")))
        request_id = scope[REQUEST_ID] = begun.request_id
        status: int | None = 200
        try:
            if scope["method"] != "POST":
                raise paths.method_not_allowed(scope["method"], path)
            if begun.flight is None and asynchronous.is_asynchronous(scope["headers"]):
                status = ACCEPTED
                await self._answer_later(scope, receive, send, request_id)
            else:
                await self._answer(scope, receive, send, begun)
        except ApiError as error:
            status = error.status
            await replies.send_error(send, error, request_id)
        except ClientGoneError:
            status = None
        except Exception:  # noqa: BLE001 (the edge: said below)
            # Our bug, or credentials that are not to be had: the client is told that much, the
            # log has it whole.
            status = 500
            _log.exception("invocation.broken", request_id=request_id, path=path)
            await replies.send_error(send, BROKEN, request_id)
        self.count(status)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, begun: Begun) -> None:
        request_id = begun.request_id
        if begun.refusal is not None:
            raise begun.refusal
        if self.draining and begun.flight is None:
            raise closing()
        asked = paths.asked(scope["path"], scope["query_string"])
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        with_log = wants_log(headers)
        pending = None if self._begin is None or begun.flight else self._begin(scope)
        if begun.flight is not None:  # whoever has gone, it has to be finished
            event = begun.flight.event
            self._presence.room.share().take(len(event))
        else:
            most = self._settings.max_body_bytes
            event = await read(receive, headers, self._settings, most, self._presence.room)
        if pending is not None and pending.body_sha256 is not None:
            pending.finish(await _sha256(event))
        with self._presence.of(receive) as visit:
            try:
                deployment, result = await self._invoke(asked, event, begun)
            except asyncio.CancelledError:
                visit.forgive()
                if not visit.has_left:
                    raise closing() from None
                lasted_ms = (time.monotonic() - visit.since) * 1000
                scope[FUNCTION] = asked.function
                _log.info(
                    "invocation.cancelled",
                    function=asked.function,
                    service=asked.service,
                    request_id=request_id,
                    line=cancelled(request_id, lasted_ms),
                )
                raise ClientGoneError from None
        del event  # which may be as large as the reply that its client takes its time to read
        scope[FUNCTION] = deployment.key
        if result is None:
            reply, body = replies.load_failure(deployment, request_id), deployment.load_error or b""
        else:
            reply = replies.headers_of(deployment, result, with_log=with_log)
            body = result.payload
            self.told(deployment, result, (time.monotonic() - visit.since) * 1000)
        await replies.send(send, 200, reply, body)

    async def _answer_later(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> None:
        if self.draining:
            raise closing()
        asked = paths.asked(scope["path"], scope["query_string"])
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        pending = None if self._begin is None else self._begin(scope)
        most = asynchronous.MOST_BYTES
        event = await read(receive, headers, self._settings, most, self._presence.room)
        if pending is not None and pending.body_sha256 is not None:
            pending.finish(await _sha256(event))
        scope[FUNCTION] = asked.function
        # From here on whether its client stays makes no difference: it has said all it had to.
        task_id = await self._accept(asynchronous.wanted(asked, headers, event, request_id))
        await replies.send(send, ACCEPTED, asynchronous.headers_of(asked, task_id, request_id), b"")

    async def _invoke(
        self, asked: paths.Asked, event: bytes, begun: Begun
    ) -> tuple[Deployment, Result | None]:
        """The result; None if there is none because the code cannot be loaded."""
        _, deployment, flight, _ = begun
        for _ in range(MOVES):
            if flight is None or deployment is None:
                deployment = self._deployer.known(*asked) or await self._deployer.deploy(*asked)
            if deployment.load_error is not None:
                return deployment, None
            going, flight = flight, None
            try:
                if going is not None:
                    return deployment, await self._lean.finish(going)
                return deployment, await self._lean.invoke(deployment.key, event, begun.request_id)
            except OverloadedError as error:
                raise self.overloaded(error) from error
            except EventTooLargeError:
                raise too_large(self._settings.max_body_bytes) from None
            except InvalidFunctionError as error:
                raise invalid(str(error)) from error
            except (FunctionNotFoundError, RuntimeClosedError) as error:
                # Deleted, or replaced, after it was found: what is there now decides.
                if self.draining:
                    raise closing() from error
        raise not_found("Function", asked.function)


def wants_log(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """
    Of a call that is waited for. Raises ApiError for what is not to be had, and also for one that
    `is_asynchronous`, which whoever has not looked leaves to who does.
    """
    with_log = False
    for name, value in headers:
        if name == b"x-fc-log-type":
            if value not in (b"None", b"Tail", b""):
                raise invalid(f"X-Fc-Log-Type: None or Tail, not {value.decode('latin-1')!r}")
            with_log = value == b"Tail"
        elif name == b"x-fc-invocation-type" and value not in (b"Sync", b""):
            raise invalid(f"X-Fc-Invocation-Type: Sync or Async, not {value.decode('latin-1')!r}")
    return with_log


async def _sha256(body: bytes) -> str:
    if len(body) <= HASHED_ON_THE_LOOP:
        return hashlib.sha256(body).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())


def closing() -> ApiError:
    """To whoever comes, or still waits, when the daemon ends."""
    return ApiError(
        503,
        "ServiceUnavailable",
        "the daemon is shutting down",
        {"Retry-After": "1", "Connection": "close"},
    )
