"""A whole daemon within the test: real account, real runtime, real server, no signatures."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fc_runtime import AsyncRuntime
from fc_runtime.service.account import Account
from fc_runtime.service.api import management_routes
from fc_runtime.service.app import App, build
from fc_runtime.service.express import expressed
from fc_runtime.service.gateway.invoke import Begin
from fc_runtime.service.guarded import Limits
from fc_runtime.service.settings import Settings
from support.daemon import account_in, serving


class Counted:
    """A watcher that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.left = 0
        self.statuses: list[int] = []
        self.outcomes: list[tuple[str, bool]] = []

    def invoked(self, function: str, result: Any, elapsed_ms: float) -> None:
        with self._changed:
            self.outcomes.append((function, result.ok))

    def answered(self, kind: str, status: int) -> None:
        with self._changed:
            self.statuses.append(status)

    def client_left(self) -> None:
        with self._changed:
            self.left += 1
            self._changed.notify_all()

    def wait_for_one_to_leave(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.left, 20.0), "nobody has left"


@dataclasses.dataclass
class Daemon:
    url: str
    account: Account
    app: App
    client: httpx.Client
    counted: Counted
    handlers: Path

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The server's."""
        assert self.app.presence is not None
        return self.app.presence.loop

    def create(self, name: str, handler: str = "index.handler", **more: Any) -> None:
        """An FC3 function of ``handlers/served``."""
        self.account.create_function("", name, self._document(handler, more))

    def create_fc2(self, service: str, name: str, handler: str = "index.handler") -> None:
        self.account.create_service(service, {})
        self.account.create_function(service, name, self._document(handler, {}))

    def _document(self, handler: str, more: dict[str, Any]) -> dict[str, Any]:
        code = {"folder": str(self.handlers / "served")}
        return {"runtime": "python3.10", "handler": handler, "code": code, **more}

    def invoke(self, name: str, event: Any = b"", **headers: str) -> httpx.Response:
        """By FC3's path; *event* is bytes, or a value for JSON. ``x_fc_log_type="Tail"`` …"""
        return self.post(f"/2023-03-30/functions/{name}/invocations", event, **headers)

    def post(self, path: str, event: Any = b"", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(event, bytes):
            return self.client.post(path, content=event, headers=named)
        return self.client.post(path, json=event, headers=named)


@contextmanager
def daemon_in(
    folder: Path,
    handlers: Path,
    *,
    max_queue: int = 1000,
    begin: Begin | None = None,
    express: bool = True,
    **settings: Any,
) -> Iterator[Daemon]:
    """*express*: behind the daemon's own protocol; else behind any that speaks ASGI."""
    with account_in(folder, local_code=True) as account:
        counted = Counted()
        app = build(
            Settings(**{"max_instances": 3, **settings}),
            account,
            AsyncRuntime(max_queue=max_queue),
            routes=lambda _app: management_routes(account),
            begin=begin,
            watcher=counted,
        )
        with (
            serving(
                app, lifespan="on", http=expressed(Limits(), app) if express else "auto"
            ) as url,
            httpx.Client(base_url=url, timeout=60.0) as client,
        ):
            yield Daemon(url, account, app, client, counted, handlers)


@pytest.fixture(params=["express", "asgi"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path, handlers: Path) -> Iterator[Daemon]:
    """Both ways of a request, which are to be told apart by nothing."""
    with daemon_in(tmp_path, handlers, express=request.param == "express") as made:
        yield made
