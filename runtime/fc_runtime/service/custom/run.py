"""
The custom runtime as a program: the application of `app` behind uvicorn, until it is told to stop.

SIGTERM and SIGINT: no new connections, calls under way may end within `CustomSettings.grace`, then
the workers go, pre-stop hooks first. A second one does not wait.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from fc_runtime.errors import InvalidFunctionError
from fc_runtime.pool.events import Log
from fc_runtime.service.custom.app import CustomApp, build_custom
from fc_runtime.service.custom.settings import CustomSettings
from fc_runtime.service.listening import BACKLOG, ListenError, listen, url_of

KEEP_ALIVE_S: Final = 20 * 60  # FC reuses connections, and asks for no less than 15 min (spec 9.A)
STARTED: Final = 0
NOT_STARTED: Final = 2  # as of a command line that cannot work
NO_ADDRESS: Final = 69  # as of a daemon whose address is another's


def run_custom(
    settings: CustomSettings,
    *,
    isolation: str = "auto",
    max_queue: int = 1000,
    log: Log | None = None,
) -> int:
    """
    Serve until SIGTERM or SIGINT; hands back the exit code.

    Says ``http://HOST:PORT`` on standard output once it accepts connections; what keeps it from
    starting, in one line on standard error.
    """
    try:
        with listen(settings.host, settings.port) as listening:
            asyncio.run(
                _serve(settings, listening, isolation=isolation, max_queue=max_queue, log=log)
            )
    except ListenError as error:
        _say(str(error))
        return NO_ADDRESS
    except InvalidFunctionError as error:
        _say(str(error))
        return NOT_STARTED
    return STARTED


async def _serve(
    settings: CustomSettings, listening: socket.socket, *, log: Log | None, **options: Any
) -> None:
    app = build_custom(settings, log=log, **options)
    server = _Server(_configured(app, settings))
    server.host = settings.host
    server.starting = asyncio.ensure_future(app.start())
    try:
        with server.heeding_signals():
            await asyncio.wait((server.starting,))
            if not server.starting.cancelled():
                server.starting.result()  # what kept it from starting
                server.starting = None
                await server.serve(sockets=[listening])
    finally:
        in_a_hurry = server.force_exit or server.starting is not None
        await app.stop(0.0 if in_a_hurry else settings.grace)


def _configured(app: CustomApp, settings: CustomSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        loop="none",  # the one that runs already
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )


class _Server(uvicorn.Server):
    """Says that it serves; takes a signal as a request to stop, not as its own end."""

    host = ""  # as it was asked for
    starting: "asyncio.Future[None] | None" = None  # until it has started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            os.write(sys.stdout.fileno(), f"{url_of(listening, self.host)}\n".encode())

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `heeding_signals` lasts longer

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """For as long as there is something to stop, the start included."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        try:
            yield
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)

    def _stop(self) -> None:
        if self.starting is not None:
            self.starting.cancel()
        self.force_exit = self.should_exit
        self.should_exit = True


def _say(text: str) -> None:
    sys.stderr.write(f"fc-runtime: {text}\n")
