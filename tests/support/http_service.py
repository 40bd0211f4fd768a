"""A daemon with functions behind HTTP triggers: a real server on a free port, a real account."""

import asyncio
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from fc_runtime import AsyncRuntime
from fc_runtime.service.account import Account
from fc_runtime.service.app import build
from fc_runtime.service.auth import AccessKeys, Authenticator
from fc_runtime.service.http_front import http_triggers
from fc_runtime.service.packages import Packages
from fc_runtime.service.settings import Settings
from fc_runtime.service.store import Store
from fc_runtime.service.telemetry import Telemetry, Watched
from fc_runtime.service.telemetry.tracing import Tracing

ACCOUNT = "123456789012"
ALL_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")


class HttpService:
    """Used as a context; `get`, `post` … are those of httpx."""

    def __init__(
        self,
        *,
        keys: AccessKeys | None = None,
        attachment: bool = False,
        access_log: bool = False,
        tracing: Tracing | None = None,
        **settings: Any,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        data = Path(self._folder.name)
        self._store = Store(data / "state.db")
        self.settings = Settings(account_id=ACCOUNT, **settings)
        self.account = Account(
            self._store,
            Packages(data / "packages"),
            account_id=ACCOUNT,
            region="local",
            local_code=True,
        )
        self._keys = keys
        self._attachment = attachment
        self._watched = (access_log, tracing)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, name="http-service")
        self._serving = threading.Event()

    def add(
        self,
        folder: Path,
        handler: str = "index.handler",
        *,
        service: str = "",
        name: str = "app",
        trigger: str = "http",
        methods: tuple[str, ...] = ALL_METHODS,
        config: dict[str, Any] | None = None,
        **document: Any,
    ) -> str:
        """A function with an HTTP trigger. Hands back the trigger's URL, as FC would have it."""
        if service:
            self.account.create_service(service, {})
        made = {"runtime": "python3.10", "handler": handler, "code": {"folder": str(folder)}}
        self.account.create_function(service, name, made | document)
        self.add_trigger(service, name, trigger, methods=list(methods), **(config or {}))
        if service:
            return f"{self.base}/2016-08-15/proxy/{service}/{name}"
        return f"{self.base}/_fc/http/{trigger}.{name}"

    def add_trigger(self, service: str, function: str, name: str, **config: Any) -> None:
        document = {
            "triggerName": name,
            "triggerType": "http",
            "triggerConfig": {"authType": "anonymous"} | config,
        }
        self.account.create_trigger(service, function, document)

    def metrics(self) -> str:
        return str(self.client.get(f"{self.base}/metrics").text)

    def stop(self) -> None:
        """As SIGTERM would: no new connections, those with requests are served to the end."""
        self._server.should_exit = True

    def __getattr__(self, verb: str) -> Any:
        return getattr(self.client, verb)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._serving.wait(30):
            raise AssertionError("the service has not started")
        self.client = httpx.Client(timeout=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.stop()
        self._thread.join(30)
        self._socket.close()
        self._store.close()
        self._folder.cleanup()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        runtime = AsyncRuntime(max_event_bytes=2 * self.settings.max_body_bytes)
        self.telemetry = telemetry = Telemetry(runtime.stats)
        access_log, tracing = self._watched
        keys = self._keys

        app = build(
            self.settings,
            self.account,
            runtime,
            routes=lambda _app: telemetry.routes(),
            before=http_triggers(
                self.account,
                telemetry,
                Authenticator(keys, account=ACCOUNT),
                attachment=self._attachment,
            ),
            watcher=telemetry,
            around=lambda inner: Watched(inner, access_log=access_log, tracing=tracing),
        )
        await app.start()
        telemetry.ready = True
        config = uvicorn.Config(app, lifespan="off", log_level="warning")
        self._server = uvicorn.Server(config)
        self._serving.set()  # the socket listens already
        await self._server.serve(sockets=[self._socket])
        await app.stop()
