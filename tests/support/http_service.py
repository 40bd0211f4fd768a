"""
A daemon with HTTP triggers and nothing else: a real server on a free port, a real runtime, and an
account that is a dictionary.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from fc_runtime import AsyncRuntime
from fc_runtime.service.account import Target
from fc_runtime.service.errors import not_found
from fc_runtime.service.gateway.http_gateway import Authorize, HttpGateway
from fc_runtime.service.store import Entry
from fc_runtime.service.telemetry import Telemetry, Watched
from fc_runtime.service.telemetry.tracing import Tracing
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

ACCOUNT = "123456789012"


def trigger_entry(name: str, scope: str, config: Mapping[str, Any], qualifier: str = "") -> Entry:
    document = {"triggerType": "http", "triggerConfig": dict(config), "qualifier": qualifier}
    return Entry("trigger", scope, name, document, "e", "", "")


@dataclass
class Holding:
    """An account in memory."""

    account_id: str = ACCOUNT
    revision: int = 1
    documents: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    held: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    reads: int = 0

    def functions(self) -> list[Entry]:
        return [
            Entry("function", service, name, document, "e", "", "")
            for (service, name), document in sorted(self.documents.items())
        ]

    def triggers(self, service: str, function: str) -> list[Entry]:
        self.reads += 1
        return list(self.held.get((service, function), ()))

    def targets(
        self, service: str, function: str, qualifier: str | None
    ) -> tuple[tuple[Target, float], ...]:
        document = self.documents.get((service, function))
        if document is None:
            raise not_found("Function", function)
        named = qualifier or "LATEST"
        return ((Target(service, function, named, named, document, {}, "e"), 1.0),)

    def add_trigger(
        self, service: str, function: str, name: str, qualifier: str = "", **config: Any
    ) -> None:
        config = {"authType": "anonymous", "methods": ["GET", "POST"], **config}
        entry = trigger_entry(name, f"{service}/{function}", config, qualifier)
        self.held.setdefault((service, function), []).append(entry)
        self.revision += 1


@dataclass
class Domain:
    """One custom domain, that leads to one function; its paths begin with ``/app``."""

    host: str
    service: str
    function: str

    def hosts(self) -> frozenset[str]:
        return frozenset({self.host})

    def route(self, host: str, path: str) -> tuple[str, str, str | None, str] | None:
        if host != self.host or not path.startswith("/app"):
            return None
        return self.service, self.function, None, path.removeprefix("/app") or "/"


@dataclass(frozen=True)
class Deployed:
    key: str
    target: Target


class HttpService:
    """Used as a context; `get`, `post` … are those of httpx."""

    def __init__(
        self,
        *,
        domain: Domain | None = None,
        authorize: Authorize | None = None,
        attachment: bool = False,
        access_log: bool = False,
        tracing: Tracing | None = None,
        **options: Any,
    ) -> None:
        self.account = Holding()
        self.runtime = AsyncRuntime(**options)
        self.telemetry = Telemetry(self.runtime.stats)
        self._code: dict[tuple[str, str], dict[str, Any]] = {}
        self._known: dict[str, Deployed] = {}
        self._gateway = HttpGateway(
            self.account,
            self._deploy,
            self.runtime.invoke,
            self.telemetry,
            domains=domain,
            authorize=authorize,
            attachment=attachment,
        )
        self._rest = Starlette(routes=self.telemetry.routes())
        app = Watched(self._app, self.telemetry, access_log=access_log, tracing=tracing)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=5)
        )
        self._thread = threading.Thread(target=self._run, name="http-service")

    def add(
        self,
        folder: Path,
        handler: str = "index.handler",
        *,
        service: str = "",
        name: str = "app",
        trigger: str = "http",
        runtime: str = "python3.10",
        methods: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"),
        **options: Any,
    ) -> str:
        """A function with an HTTP trigger. Hands back the trigger's URL, as FC would have it."""
        code = {"checksum": "42"}
        self.account.documents[service, name] = {"runtime": runtime, "code": code}
        self._code[service, name] = {"code": str(folder), "handler": handler, **options}
        self.account.add_trigger(service, name, trigger, methods=list(methods))
        if service:
            return f"{self.base}/2016-08-15/proxy/{service}/{name}"
        return f"{self.base}/_fc/http/{trigger}.{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.client = httpx.Client(timeout=30)
        self.telemetry.ready = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(30)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self.client, verb)

    def metrics(self) -> str:
        return str(self.client.get(f"{self.base}/metrics").text)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._gateway.is_for_one(scope):
            await self._gateway(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _deploy(self, service: str, function: str, qualifier: str | None) -> Deployed:
        find = partial(self.account.targets, service, function, qualifier)
        ((target, _),) = await asyncio.to_thread(find)
        key = "-".join(filter(None, (service, function)))
        if key not in self._known:
            await self.runtime.register(key, **self._code[service, function])
            self._known[key] = Deployed(key, target)
        return self._known[key]

    def _run(self) -> None:
        async def serve() -> None:
            await self._server.serve(sockets=[self._socket])
            await self.runtime.close()

        asyncio.run(serve())
        self._socket.close()
