"""
The daemon as one ASGI application, put together.

Invocations are matched by hand and go straight to `gateway.invoke`; all else goes to a Starlette
application of the management API, HTTP triggers and telemetry. Nothing is in between on the first
way, unless an access log or spans are wanted.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from fc_runtime.aio import AsyncRuntime, lean_of
from fc_runtime.credentials import CredentialsSource
from fc_runtime.lean import Lean
from fc_runtime.outcome import Result
from fc_runtime.service.api.routes import path_not_supported, refusal, request_id
from fc_runtime.service.background import Background
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError, not_implemented
from fc_runtime.service.gateway import paths, replies
from fc_runtime.service.gateway.asynchronous import Wanted
from fc_runtime.service.gateway.bodies import Message, Receive, Room, Scope, Send, read
from fc_runtime.service.gateway.express import Express
from fc_runtime.service.gateway.http_triggers import NO_ROUTE
from fc_runtime.service.gateway.invoke import Begin, Invoke, Watcher
from fc_runtime.service.gateway.presence import Presence
from fc_runtime.service.instances import Instances
from fc_runtime.service.plans import Holder
from fc_runtime.service.settings import Settings

API: Final = ("/2016-08-15/", "/2021-04-06/", "/2023-03-30/")
PROXY: Final = "/2016-08-15/proxy/"
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SIGNED_BYTES: Final = 150 * 1024 * 1024  # of a signed request to the management API
_log = structlog.get_logger(__name__)

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class App:
    """
    What a server serves is itself (or ``asgi``, the same); `start` before, `stop` after, on its
    loop. It also does both when the server tells it to (lifespan).

    Args:
        runtime: opened and closed by this.
        routes: of the management API and telemetry; made once there is a loop.
        before: an application in front of those, for HTTP triggers: it takes theirs, and leaves
            the rest to the one it is given. Made once there is a loop, too.
        begin: checks who asks for an operation of the API, by the head of the request; None lets
            everybody in. HTTP triggers have rules of their own.
        watcher: counts (`telemetry.Telemetry`).
        around: what wraps all of it, for an access log or spans.
        heard: see `Invoke`.
        background: what goes on when nobody waits; made once there is a loop. None for one that
            refuses what would be asynchronous.
    """

    def __init__(
        self,
        settings: Settings,
        account: Holder,
        runtime: AsyncRuntime,
        *,
        routes: Callable[["App"], Sequence[BaseRoute]] = lambda _app: (),
        before: Callable[["App"], Callable[[Asgi], Asgi]] | None = None,
        begin: Begin | None = None,
        credentials_of: Callable[[str], CredentialsSource | None] = lambda _role: None,
        watcher: Watcher | None = None,
        around: Callable[[Asgi], Asgi] | None = None,
        heard: Callable[[Deployment, Result], None] | None = None,
        background: Callable[["App"], Background] | None = None,
    ) -> None:
        self.settings = settings
        self.account = account
        self.runtime = runtime
        self.deployer = Deployer(account, runtime, settings, credentials_of)
        self._begin = begin
        self._watcher = watcher
        self._heard = heard
        self._make_background = background
        self._around = around
        self._routes = routes
        self._before = before
        self._invoke: Invoke | None = None
        self._answer: Asgi = self._request
        self._rest: Asgi = self._api
        self._routed: Asgi = self._api
        self.lean: Lean | None = None
        self.presence: Presence | None = None
        self.background: Background | None = None
        self.express: Express | None = None  # for a server that can do without ASGI
        self._room = Room(settings.max_held_bytes)
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def asgi(self) -> Asgi:
        return self

    async def start(self) -> None:
        """On the loop that will serve. What is to be kept warm is started in the background."""
        self.lean = lean_of(self.runtime)
        self.presence = Presence(self._room)
        instances = Instances(self.deployer, self.lean)
        self.account.instances, self.account.provisioned = instances.listed, instances.count
        if self._make_background is not None:
            self.background = self._make_background(self)
        self._invoke = Invoke(
            self.deployer,
            self.lean,
            self.presence,
            self.settings,
            accept=self.accept,
            begin=self._begin,
            watcher=self._watcher,
            heard=self._heard,
        )
        if self._around is None:  # which wants to see every request
            self.express = Express(self._invoke, self.deployer, self.lean, self.presence)
        self._routed = Starlette(
            routes=list(self._routes(self)), exception_handlers={HTTPException: _nowhere}
        )
        self._rest = self._api if self._before is None else self._before(self)(self._api)
        self._answer = self._request if self._around is None else self._around(self._request)
        if self.background is not None:
            await self.background.start()
        self.settle()

    async def accept(self, wanted: Wanted) -> str:
        """See `gateway.asynchronous.Accept`. Raises ApiError 501 too."""
        if self.background is None:
            raise not_implemented("nothing is invoked asynchronously here")
        return await self.background.accept(wanted)

    def settle(self) -> None:
        """The account has changed: the runtime follows, in the background."""
        if self.background is not None:
            self.background.changed()
        task = asyncio.get_running_loop().create_task(self._settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def stop(self, grace: float = 0.0) -> None:
        """
        Refuse new invocations, wait for those under way, and for hooks that run before the end, at
        most *grace* seconds, and end whatever is left. May be called again meanwhile: the one in
        more of a hurry wins.
        """
        if self._invoke is None or self.lean is None or self.presence is None:
            return
        self._invoke.draining = True
        until = monotonic() + grace
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.presence.until_empty()
        if self.background is not None:
            await self.background.stop(max(0.0, until - monotonic()))
        for task in list(self._settling):
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)
        await self.runtime.close(drain=max(0.0, until - monotonic()))
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):  # those whose instances have been ended answer
                await self.presence.until_empty()
        self.lean.close()
        self._invoke = self.express = None

    # -- requests ------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        invoke = self._invoke
        if invoke is not None and scope["type"] == "http" and paths.is_invocation(scope["path"]):
            await invoke(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The management API, whose requests are signed; and what is nobody's secret."""
        path: str = scope["path"]
        if scope["type"] != "http" or not path.startswith(API) or path.startswith(PROXY):
            await self._routed(scope, receive, send)
            return
        revision = self.account.revision
        if self._begin is not None:
            checked = await self._checked(scope, receive, send)
            if checked is None:
                return
            receive = checked
        await self._routed(scope, receive, send)
        if scope["method"] not in READING and self.account.revision != revision:
            self.settle()

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """*receive* of a request whose signature is right; else it has been answered."""
        try:
            pending = self._begin(scope) if self._begin is not None else None
            if pending is None or pending.body_sha256 is None:
                return receive
            body = await read(receive, scope["headers"], self.settings, SIGNED_BYTES, self._room)
            digest = await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())
            pending.finish(digest)
        except ApiError as error:
            known = self._invoke.new_request_id() if self._invoke is not None else ""
            await replies.send_error(send, error, known)
            return None
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        return again

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _settle(self) -> None:
        try:
            await self.deployer.settle()
        except Exception:  # noqa: BLE001 (in the background: nobody else would hear of it)
            _log.exception("deployments.not_settled")


async def _nowhere(request: Request, error: Exception) -> Response:
    """What no route has, or not with that verb: as below the API's own paths; but for domains."""
    if not isinstance(error, HTTPException):
        raise error
    scope = request.scope
    if scope.get(NO_ROUTE):
        return PlainTextResponse(error.detail, error.status_code, error.headers)
    return refusal(path_not_supported(scope, error.headers or {}), request_id(scope))


def build(settings: Settings, account: Holder, runtime: AsyncRuntime, **options: Any) -> App:
    """See `App`."""
    return App(settings, account, runtime, **options)
