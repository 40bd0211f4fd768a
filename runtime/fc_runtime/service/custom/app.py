"""
The custom-runtime face as an ASGI application: what Function Compute asks of the program that it
starts in a custom runtime or a container (spec 9.A).

Which kind of call it is, ``x-fc-control-path`` says; without it (Knative, any container, curl) the
path does. What the function did is in ``x-fc-status``: 200, or 404 if it failed; the HTTP status
says the same of events and hooks, and belongs to the client of an HTTP trigger.
"""

import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from starlette.types import Receive, Scope, Send

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
from fc_runtime.service.custom import output, passing
from fc_runtime.service.custom.deployment import Deployment, load_failure
from fc_runtime.service.custom.settings import DEFAULT_HANDLER, CustomSettings
from fc_runtime.service.custom.told import Told, told_by
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.http_body import ClientGoneError, read_body, while_connected

MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # FC's own, spec 4.C
OCTETS: Final = "application/octet-stream"
JSON: Final = "application/json"
_FAILED: Final = "404"
_WELL: Final = "200"

Headers = Iterable[tuple[str, str]]
Call = Callable[[Told, Receive, Send], Awaitable[None]]


class CustomApp:
    """
    ``await app(scope, receive, send)``; `start` before the first request, `stop` after the last.
    """

    def __init__(
        self,
        settings: CustomSettings,
        runtime: AsyncRuntime,
        out: output.Output | None = None,
    ) -> None:
        self.settings = settings
        self._runtime = runtime
        self._deployment = Deployment(settings, runtime)
        self._out = out or output.Output()

    async def start(self) -> None:
        """Have a worker ready, where nobody else says when (`CustomSettings.eager`)."""
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
            await _refuse(send, error, told_by([]).request_id)
            return
        try:
            await self._route(scope, told)(told, receive, send)
        except ClientGoneError:
            await self._out.end(output.INVOKE, told.request_id, b"", output.CANCELLED)
        except InvalidFunctionError as error:
            handler = self.settings.handler or told.handler or DEFAULT_HANDLER
            details = json.dumps(load_failure(error, handler), indent=4, sort_keys=True)
            await _answer(send, told, 404, JSON, details.encode(), failed=True)
        except RefusedError as error:
            await _refuse(send, _refusal(error), told.request_id)
        except ApiError as error:
            await _refuse(send, error, told.request_id)
        except Exception:  # noqa: BLE001 (ours: the platform would count a bare 500 as a success)
            sys.stderr.write(f"fc-runtime: {told.request_id}: {traceback.format_exc()}")
            bug = ApiError(500, "InternalServerError", "a bug in fc-runtime; its log says more")
            await _refuse(send, bug, told.request_id)

    def _route(self, scope: Scope, told: Told) -> Call:
        asked = told.control_path or f"{scope['method']} {scope['path']}"
        if not self.settings.platform and asked not in ("/invoke", "POST /invoke"):
            return partial(self._passed, scope)
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
                return partial(self._passed, scope)

    # -- the calls -----------------------------------------------------------------------------

    async def _invoked(self, told: Told, receive: Receive, send: Send) -> None:
        event = await read_body(receive, MAX_BODY_BYTES)
        function = await self._deployment.settle(told)
        result = await self._run(told, receive, function, event)
        kind = OCTETS if result.ok else JSON
        await _answer(
            send, told, 200 if result.ok else 404, kind, result.payload, failed=not result.ok
        )

    async def _passed(self, scope: Scope, told: Told, receive: Receive, send: Send) -> None:
        content = await read_body(receive, MAX_BODY_BYTES)
        function = await self._deployment.settle(told)
        call = passing.asked(scope, told)
        if self._deployment.wsgi:
            result = await self._run(
                told, receive, function, content, http=passing.request_of(call)
            )
        else:
            account_id = self.settings.account_id or told.account_id
            event = passing.event_of(call, content, told, account_id, datetime.now(UTC))
            result = await self._run(told, receive, function, event)
        answer = passing.answer_of(result)
        await _answer_with(
            send,
            answer.status,
            [
                *answer.headers,
                ("x-fc-request-id", told.request_id),
                ("x-fc-status", _FAILED if answer.error_type else _WELL),
            ],
            answer.body,
            bodiless=scope["method"] == "HEAD",
        )

    async def _initialized(self, told: Told, receive: Receive, send: Send) -> None:
        await read_body(receive, MAX_BODY_BYTES)
        failure = await self._initialize(told, await self._deployment.settle(told))
        if failure is None:
            await _answer(send, told, 200, OCTETS, b"", failed=False)
        else:
            await _answer(send, told, 404, JSON, failure, failed=True)

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

    async def _stopped(self, told: Told, receive: Receive, send: Send) -> None:
        """Nothing comes after it: FC destroys the instance, so the workers end here and now."""
        await read_body(receive, MAX_BODY_BYTES)
        await self._out.start(output.PRE_STOP, told.request_id)
        await self.stop()
        await self._out.end(output.PRE_STOP, told.request_id, b"")
        await _answer(send, told, 200, OCTETS, b"", failed=False)

    async def _frozen(self, told: Told, receive: Receive, send: Send) -> None:
        """The hook itself runs in the worker, right after each invocation."""
        await read_body(receive, MAX_BODY_BYTES)
        await _answer(send, told, 200, OCTETS, b"", failed=False)

    async def _run(
        self, told: Told, receive: Receive, function: Function, event: bytes, **options: Any
    ) -> Result:
        """One invocation, its log written before anybody is answered."""
        await self._out.start(output.INVOKE, told.request_id)
        try:
            result = await while_connected(
                receive,
                self._runtime.invoke(
                    function.name,
                    event,
                    timeout=self._deployment.timeout_for(function, told),
                    request_id=told.request_id,
                    credentials=told.credentials,
                    check=False,
                    **options,
                ),
            )
        except RefusedError as error:
            await self._out.end(output.INVOKE, told.request_id, b"", str(error))
            raise
        log = output.with_initialization(result) if function.initializer else result.log
        await self._out.end(output.INVOKE, told.request_id, log, output.error_suffix(result))
        return result


def build_custom(settings: CustomSettings, runtime: AsyncRuntime) -> CustomApp:
    """
    The ASGI application of a custom runtime; it owns *runtime* and closes it.

    Its lifespan is `CustomApp.start` and `CustomApp.stop`.
    """
    return CustomApp(settings, runtime)


def _refusal(error: RefusedError) -> ApiError:
    if isinstance(error, OverloadedError):
        return ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"})
    if isinstance(error, EventTooLargeError):
        return ApiError(400, "EntityTooLarge", str(error))
    return ApiError(503, "ServiceUnavailable", str(error))


async def _refuse(send: Send, error: ApiError, request_id: str) -> None:
    await _answer_with(
        send,
        error.status,
        [
            ("content-type", JSON),
            ("x-fc-request-id", request_id),
            ("x-fc-status", _FAILED),
            *error.headers.items(),
        ],
        json.dumps(error.body(request_id)).encode(),
    )


async def _answer(
    send: Send, told: Told, status: int, kind: str, content: bytes, *, failed: bool
) -> None:
    await _answer_with(
        send,
        status,
        [
            ("content-type", kind),
            ("x-fc-request-id", told.request_id),
            ("x-fc-status", _FAILED if failed else _WELL),
        ],
        content,
    )


async def _answer_with(
    send: Send, status: int, headers: Headers, content: bytes, *, bodiless: bool = False
) -> None:
    raw = [(name.lower().encode("latin-1"), _encoded(value)) for name, value in headers]
    if status not in (204, 304):
        raw.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    without = bodiless or status in (204, 304)
    await send({"type": "http.response.body", "body": b"" if without else content})


def _encoded(value: str) -> bytes:
    """Latin-1 where that is enough, as HTTP means it; else UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


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
