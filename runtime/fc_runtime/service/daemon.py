"""
One life of the daemon: ready, serving, draining, gone.

    start the app → accept → say so (a line, READY=1) → serve
    SIGTERM, SIGINT → no new connections, /readyz 503, what is under way may end within the grace
    SIGINT again    → everything is ended at once
    SIGHUP          → `reload`, while everything goes on

The socket is bound by the caller, before: see `listening`.
"""

import asyncio
import ctypes
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from enum import Enum
from time import monotonic
from typing import Any, Final, Protocol

import uvloop

from fc_runtime.pool.events import Log
from fc_runtime.service import notify
from fc_runtime.service.guarded import Limits
from fc_runtime.service.server import Server


class App(Protocol):
    """What is served. Made by `fc_runtime.service.app.build`."""

    @property
    def asgi(self) -> Any: ...

    async def start(self) -> None:
        """What has to be there before the first request."""

    def drain(self) -> None:
        """From now on, not ready (``/readyz``). Everything is still answered."""

    async def stop(self, grace: float) -> None:
        """End it all; what is under way has *grace* seconds."""


class Ended(Enum):
    """How a life came to its end; exit codes are the command line's business."""

    DRAINED = "drained"
    AT_ONCE = "at once"  # by a second Ctrl-C


class Daemon:
    """
    Args:
        sock: listening.
        grace_s: seconds for what is under way when it is told to stop.
        ready: called once connections are accepted.
        reload: for SIGHUP.
        beside: what else runs meanwhile (watching files); cancelled when draining begins.
    """

    def __init__(
        self,
        app: App,
        sock: socket.socket,
        *,
        grace_s: float,
        log: Log,
        ready: Callable[[], None],
        reload: Callable[[], Awaitable[None]],
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._app = app
        self._sock = sock
        self._grace_s = grace_s
        self._log = log
        self._ready = ready
        self._reload = reload
        self._beside = beside
        self._limits = Limits() if limits is None else limits
        self._told = asyncio.Event()
        self._at_once = asyncio.Event()
        self._stopping_since = 0.0
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> Ended:
        """Until told to stop, and all has ended. Raises what `App.start` raises."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        server = Server(self._app.asgi, self._limits)
        await self._app.start()
        settle_down()
        try:
            serving = loop.create_task(server.serve([self._sock]))
            try:
                await self._until_told(serving)
                await self._drain(server, serving)
            finally:
                server.force_exit = server.should_exit = True
                server.end_tasks()
                await serving
        finally:
            await self._end()
            for task in list(self._background):
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
        return Ended.AT_ONCE if self._at_once.is_set() else Ended.DRAINED

    async def _until_told(self, serving: asyncio.Task[None]) -> None:
        """
        Accepting as soon as the loop gets to it: the socket listens already, so a connection made
        from now on is served.
        """
        self._ready()
        notify.ready()
        if self._beside is not None:
            self._run(self._beside(), "beside")
        told = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()

    async def _drain(self, server: Server, serving: asyncio.Task[None]) -> None:
        notify.stopping()
        self._app.drain()
        for task in list(self._background):
            task.cancel()
        server.stop_accepting()
        self._log.info("daemon.not_accepting", requests=len(server.server_state.tasks))
        server.should_exit = True
        at_once = asyncio.ensure_future(self._at_once.wait())
        try:
            await asyncio.wait(
                {at_once, serving},
                timeout=self._grace_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            at_once.cancel()
        if not serving.done():
            self._log.warning(
                "daemon.cut_short",
                requests=len(server.server_state.tasks),
                cause="interrupted" if self._at_once.is_set() else "grace_over",
            )

    async def _end(self) -> None:
        """What instances do before they end may take the rest of the grace."""
        left = self._grace_s - (monotonic() - self._stopping_since)
        ending = asyncio.ensure_future(self._app.stop(max(0.0, left)))
        at_once = asyncio.ensure_future(self._at_once.wait())
        try:
            await asyncio.wait({at_once, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            at_once.cancel()
        if not ending.done():
            await self._app.stop(0.0)
        await ending

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("daemon.task_failed", task=task.get_name(), error=repr(error))

    def _stop(self) -> None:
        if not self._told.is_set():
            self._stopping_since = monotonic()
            self._told.set()
            self._log.info("daemon.draining", grace_s=self._grace_s)

    def _interrupt(self) -> None:
        if self._told.is_set():
            self._at_once.set()
        self._stop()

    def _hang_up(self) -> None:
        if not self._told.is_set():
            notify.reloading()
            self._run(self._reloaded(), "reload")

    async def _reloaded(self) -> None:
        try:
            await self._reload()
        finally:
            notify.ready()


_M_MMAP_THRESHOLD: Final = -3  # of malloc.h: from this size on memory is the system's own
_LARGE_BYTES: Final = 4 * 1024 * 1024


def settle_down() -> None:
    """
    What is there now stays for good: no collection need look at it again. A full one takes 50 ms
    with all that a daemon imports, and every request waits for it.

    And what is large goes back to the system at once. glibc takes memory that it has freed for a
    measure of what to keep, and keeps two or three of the largest bodies that ever came.
    """
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


class _ToStructlog(logging.Handler):
    """What the libraries below say through the standard library's logging."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        # What any client can bring about is no warning: it would fill the log.
        tell = self._log.warning if record.levelno >= logging.ERROR else self._log.debug
        tell("library.told", **fields)


def run(make: Callable[[], Coroutine[Any, Any, Ended]], log: Log) -> Ended:
    """Run a daemon on a loop of its own, in the main thread."""
    root = logging.getLogger()
    handler = _ToStructlog(log)
    root.addHandler(handler)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(make())
    finally:
        root.removeHandler(handler)
