"""
The custom-runtime face as an ASGI application: what Function Compute asks of the program that it
starts in a custom runtime or a container (spec 9.A).

Which kind of call it is, ``x-fc-control-path`` says; without it (Knative, any container, curl) the
path does. What the function did is in ``x-fc-status``: 200, or 404 if it failed; the HTTP status
says the same of events and hooks, and belongs to the client of an HTTP trigger.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime
from fc_runtime.errors import (
    EventTooLargeError,
    InternalError,
    InvalidFunctionError,
    OverloadedError,
    RefusedError,
)
from fc_runtime.function import Function
from fc_runtime.outcome import Result
from fc_runtime.pool.events import Log
from fc_runtime.service.custom import output, passing
from fc_runtime.service.custom.deployment import Deployment, load_failure
from fc_runtime.service.custom.hooks import HookLog
from fc_runtime.service.custom.replies import JSON, OCTETS, answer, answer_with, refuse
from fc_runtime.service.custom.settings import DEFAULT_HANDLER, CustomSettings
from fc_runtime.service.custom.told import Told, told_by
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.bodies import ClientGoneError, Receive, Room, Scope, Send, read
from fc_runtime.service.gateway.http_wsgi import request_of
from fc_runtime.service.gateway.presence import Presence
from fc_runtime.service.settings import Settings

BODIES: Final = Settings()  # of bodies FC's own limits hold here too
MAX_BODY_BYTES: Final = BODIES.max_body_bytes

Call = Callable[[Scope, Told, Receive, Send], Awaitable[None]]


class CustomApp:
    """
    ``await app(scope, receive, send)``; `start` before the first request, `stop` after the last.

    Args:
        hooks: the log of *runtime*, which tells what the function's hooks write.
    """

    def __init__(
        self,
        settings: CustomSettings,
        runtime: AsyncRuntime,
        out: output.Output | None = None,
        hooks: HookLog | None = None,
    ) -> None:
        self.settings = settings
        self._runtime = runtime
        self._deployment = Deployment(settings, runtime)
        self._out = out or output.Output()
        self._hooks = hooks or HookLog(self._out)
        self._presence: Presence | None = None
        self._room = Room(BODIES.max_held_bytes)

    async def start(self) -> None:
        """Have a worker ready, where nobody else says when (`CustomSettings.eager`)."""
        self._presence = Presence(self._room)
        if self.settings.eager:
            told = told_by([])
            await self._initialize(told, await self._deployment.begin(told))

    async def stop(self, grace: float | None = None) -> None:
        """End all workers, pre-stop hooks first; running calls have *grace* seconds, or `grace`."""
        await self._runtime.close(self.settings.grace if grace is None else grace)

    # -- which kind of call --------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(self.start, self.stop, receive, send)
            return
        if scope["type"] != "http":
            raise InternalError(f"no {scope['type']} here")  # the server was told not to
        try:
            told = told_by(scope["headers"], believed=self.settings.platform)
        except ApiError as error:
            await refuse(send, error, told_by([]))
            return
        try:
            await self._route(scope, told)(scope, told, receive, send)
        except ClientGoneError:
            await self._out.end(output.INVOKE, told.request_id, b"", output.CANCELLED)
        except InvalidFunctionError as error:
            handler = self.settings.handler or told.handler or DEFAULT_HANDLER
            details = json.dumps(load_failure(error, handler), indent=4, sort_keys=True)
            await answer(send, told, 404, JSON, details.encode(), failed=True)
        except RefusedError as error:
            await refuse(send, _refusal(error), told)
        except ApiError as error:
            await refuse(send, error, told)
        except Exception:  # noqa: BLE001 (ours: the platform would count a bare 500 as a success)
            sys.stderr.write(f"fc-runtime: {told.request_id}: {traceback.format_exc()}")
            bug = ApiError(500, "InternalServerError", "a bug in fc-runtime; its log says more")
            await refuse(send, bug, told)

    def _route(self, scope: Scope, told: Told) -> Call:
        asked = told.control_path or f"{scope['method']} {scope['path']}"
        if not self.settings.platform and asked not in ("/invoke", "POST /invoke"):
            return self._passed
        match asked:
            case "/invoke" | "POST /invoke":
                return self._invoked
            case "/initialize" | "POST /initialize":
                return self._initialized
            case "/pre-stop" | "GET /pre-stop":
                return self._stopped
            case "/pre-freeze" | "GET /pre-freeze":
                return self._frozen
            case _:
                return self._passed

    # -- the calls -----------------------------------------------------------------------------

    async def _invoked(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        event = await _body(scope, receive, self._room)
        function = await self._deployment.settle(told)
        result = await self._run(told, receive, function, event)
        kind = OCTETS if result.ok else JSON
        await answer(
            send, told, 200 if result.ok else 404, kind, result.payload, failed=not result.ok
        )

    async def _passed(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        content = await _body(scope, receive, self._room)
        function = await self._deployment.settle(told)
        call = passing.asked(scope, told)
        if self._deployment.wsgi:
            result = await self._run(told, receive, function, content, http=request_of(call))
        else:
            account_id = self.settings.account_id or told.account_id
            event = passing.event_of(call, content, told, account_id, datetime.now(UTC))
            result = await self._run(told, receive, function, event)
        given = passing.answer_of(result)
        await answer_with(
            send,
            told,
            given.status,
            given.headers,
            given.body,
            failed=not result.ok or bool(given.error_type),
            bodiless=scope["method"] == "HEAD",
        )

    async def _initialized(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        await _body(scope, receive, self._room)
        failure = await self._initialize(told, await self._deployment.settle(told))
        if failure is None:
            await answer(send, told, 200, OCTETS, b"", failed=False)
        else:
            await answer(send, told, 404, JSON, failure, failed=True)

    async def _initialize(self, told: Told, function: Function) -> bytes | None:
        """None once a worker is ready, else FC's error body."""
        await self._out.start(output.INITIALIZE, told.request_id)
        result = await self._deployment.initialize(function, told)
        if result is None:
            await self._out.end(output.INITIALIZE, told.request_id, b"")
            return None
        error = output.error_suffix(result)
        await self._out.end(output.INITIALIZE, told.request_id, result.log, error)
        return None if result.ok else result.payload

    async def _stopped(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        """Nothing comes after it: FC destroys the instance, so the workers end here and now."""
        await _body(scope, receive, self._room)
        await self._out.start(output.PRE_STOP, told.request_id)
        self._hooks.stopping = True
        await self.stop()
        await self._out.end(output.PRE_STOP, told.request_id, b"", self._hooks.failure)
        await answer(send, told, 200, OCTETS, b"", failed=False)

    async def _frozen(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        """The hook itself runs in the worker, right after each invocation."""
        await _body(scope, receive, self._room)
        await answer(send, told, 200, OCTETS, b"", failed=False)

    async def _run(
        self, told: Told, receive: Receive, function: Function, event: bytes, **options: Any
    ) -> Result:
        """One invocation, its log written before anybody is answered."""
        if self._presence is None:
            raise InternalError("the app has to be started first")
        await self._out.start(output.INVOKE, told.request_id)
        try:
            with self._presence.of(receive) as visit:
                try:
                    result = await self._runtime.invoke(
                        function.name,
                        event,
                        timeout=self._deployment.timeout_for(function, told),
                        request_id=told.request_id,
                        credentials=told.credentials,
                        check=False,
                        **options,
                    )
                except asyncio.CancelledError:
                    if not visit.has_left:
                        raise
                    visit.forgive()
                    raise ClientGoneError from None
        except RefusedError as error:
            await self._out.end(output.INVOKE, told.request_id, b"", str(error))
            raise
        log = output.with_initialization(result) if function.initializer else result.log
        await self._out.end(output.INVOKE, told.request_id, log, output.error_suffix(result))
        return result


def build_custom(
    settings: CustomSettings,
    out: output.Output | None = None,
    log: Log | None = None,
    **options: Any,
) -> CustomApp:
    """
    The ASGI application of a custom runtime, with a runtime of its own, which it closes.

    Args:
        log: for what the runtime's supervisor does; what hooks write goes to *out*.
        options: of `AsyncRuntime`.
    """
    out = out or output.Output()
    hooks = HookLog(out, log)
    # Of an HTTP request an event holds base64.
    runtime = AsyncRuntime(max_event_bytes=2 * MAX_BODY_BYTES, log=hooks, **options)
    return CustomApp(settings, runtime, out, hooks)


def _refusal(error: RefusedError) -> ApiError:
    if isinstance(error, OverloadedError):
        return ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"})
    if isinstance(error, EventTooLargeError):
        return ApiError(400, "EntityTooLarge", str(error))
    return ApiError(503, "ServiceUnavailable", str(error))


async def _body(scope: Scope, receive: Receive, room: Room) -> bytes:
    return await read(receive, scope["headers"], BODIES, MAX_BODY_BYTES, room)


async def _lifespan(
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
    receive: Receive,
    send: Send,
) -> None:
    await receive()
    await start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await stop()
    await send({"type": "lifespan.shutdown.complete"})
