"""The daemon, put together: what the command line decides goes in, an app comes out."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import URL

from fc_runtime.aio import AsyncRuntime
from fc_runtime.outcome import Result
from fc_runtime.service import app as apps
from fc_runtime.service.account import Account
from fc_runtime.service.api import management_routes
from fc_runtime.service.app import App, Asgi
from fc_runtime.service.auth import Authenticator, Pending, Request
from fc_runtime.service.auth.pages import programs_only
from fc_runtime.service.background import Background
from fc_runtime.service.database import StoreError
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.bodies import Scope
from fc_runtime.service.home import Home
from fc_runtime.service.http_front import http_triggers
from fc_runtime.service.identity import RoleCredentials
from fc_runtime.service.listening import is_loopback
from fc_runtime.service.packages import Packages
from fc_runtime.service.queue import LIMITS, Queue
from fc_runtime.service.settings import Settings
from fc_runtime.service.store import Store
from fc_runtime.service.telemetry import Telemetry, Watched
from fc_runtime.service.telemetry.tracing import Tracing, tracing_of
from fc_runtime.tasks import Store as TaskStore


class Assembly:
    """
    Use it in a ``with``: it opens the account's store, and closes it. `app` is started and
    stopped, on its loop, through `start` and `stop`.

    Args:
        runtime: closed with the app.
        credentials: for the roles of functions.
        authenticator: for the API, and for triggers that are signed.
        host: what the daemon listens on, as it was said; what it is to be known by without keys.
        local_code: may the API name a folder of this machine as code?
        heard: what a function wrote, of each call that wrote anything or failed.
        store: where asynchronous invocations are kept, as `tasks.Store` takes it; None for a file
            in *home*.
    Raises: StoreError (either), InvalidFunctionError.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        runtime: AsyncRuntime,
        credentials: RoleCredentials,
        authenticator: Authenticator,
        host: str,
        local_code: bool,
        access_log: bool,
        heard: Callable[[Deployment, Result], None] | None,
        store: str | None = None,
    ) -> None:
        self._closing = ExitStack()
        resources = Store(home.database)
        self._closing.callback(resources.close)
        self.account = Account(
            resources,
            Packages(home.packages),
            account_id=settings.account_id,
            region=settings.region,
            local_code=local_code,
        )
        try:
            self.account.sweep()  # nobody can change anything yet
        except ApiError as error:
            raise StoreError(f"{home.database} cannot be used: {error.message}") from error
        tasks = TaskStore(_in_file(home.tasks) if store is None else store, limits=LIMITS)
        self._closing.callback(tasks.close)
        queue = self.account.queue = Queue(tasks)
        self.telemetry = Telemetry(runtime.stats)
        self._tracing: Tracing | None = tracing_of(os.environ)
        if self._tracing is not None:
            self._closing.callback(self._tracing.close)
        begins = _let_in(host) if authenticator.is_off else _begin(authenticator)
        wrapped = access_log or self._tracing is not None
        self.app: App = apps.build(
            settings,
            self.account,
            runtime,
            routes=lambda _app: [*self.telemetry.routes(), *management_routes(self.account)],
            before=http_triggers(self.account, self.telemetry, authenticator, heard=heard),
            begin=begins,
            credentials_of=credentials.source,
            watcher=self.telemetry,
            around=self._watched(access_log=access_log) if wrapped else None,
            heard=heard,
            background=lambda app: Background(
                self.account,
                queue,
                app.deployer,
                runtime,
                settings,
                watcher=self.telemetry,
                heard=heard,
            ),
        )
        self.telemetry.watch_tasks(queue.depth, self._task_stats)

    def _task_stats(self) -> dict[str, Any]:
        background = self.app.background
        return {} if background is None else background.stats()

    @property
    def asgi(self) -> Asgi:
        return self.app.asgi

    async def start(self) -> None:
        await self.app.start()
        self.telemetry.ready = True

    def drain(self) -> None:
        self.telemetry.ready = False

    async def stop(self, grace: float) -> None:
        await self.app.stop(grace)

    def _watched(self, *, access_log: bool) -> Callable[[Asgi], Asgi]:
        def around(inner: Asgi) -> Asgi:
            return Watched(inner, access_log=access_log, tracing=self._tracing)

        return around

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()


def _in_file(path: Path) -> str:
    """As the URL of a database."""
    url = URL.create("sqlite", database=str(path))
    return url.render_as_string(hide_password=False)


def _begin(authenticator: Authenticator) -> Callable[[Scope], Pending]:
    def begin(scope: Scope) -> Pending:
        return authenticator.begin(
            Request(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        )

    return begin


def _let_in(host: str) -> Callable[[Scope], None]:
    """Everybody but web pages."""
    check = programs_only(host, is_loopback=is_loopback(host))

    def begin(scope: Scope) -> None:
        check(scope["headers"])

    return begin
