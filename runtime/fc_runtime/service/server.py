"""uvicorn as it is used here: no signal handlers of its own, and an eye on the connections."""

from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any, Final

import uvicorn

from fc_runtime.service.express import expressed
from fc_runtime.service.guarded import GuardedProtocol, Limits
from fc_runtime.service.listening import BACKLOG

KEEP_ALIVE_S: Final = 75  # longer than clients and proxies keep one, so that they close first
TICKS_A_SECOND: Final = 10  # uvicorn's own


class Server(uvicorn.Server):
    """``serve([sock])`` until ``should_exit``, then until what is under way has ended."""

    def __init__(self, asgi: Any, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            uvicorn.Config(
                asgi,
                http=expressed(limits, asgi),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=None,  # the daemon sees to that
                backlog=BACKLOG,
            )
        )

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            now = monotonic()
            guarded_ones = [
                connection
                for connection in self.server_state.connections
                if isinstance(connection, GuardedProtocol)
            ]
            for connection in guarded_ones:
                connection.check(now)
            self._make_room(guarded_ones, now)
        return await super().on_tick(counter)

    def _make_room(self, connections: list[GuardedProtocol], now: float) -> None:
        """
        Replies that nobody takes are given up if they are too many, the oldest first. Those that
        have moved since we looked last are spared, up to twice as many.
        """
        most = self._limits.unsent_bytes
        too_many = sum(connection.unsent for connection in connections) - most
        if too_many <= 0:
            return
        for connection in sorted(connections, key=lambda each: (each.since, -each.unsent)):
            if too_many <= 0 or (connection.since >= now and too_many <= most):
                return
            if connection.unsent:
                too_many -= connection.unsent
                connection.give_up()

    def stop_accepting(self) -> None:
        """From now on connecting is refused. Closing again, as uvicorn will, does nothing."""
        for listening in getattr(self, "servers", ()):  # none before it has started
            listening.close()

    def end_tasks(self) -> None:
        """Those that still answer a request."""
        for task in list(self.server_state.tasks):
            task.cancel()
