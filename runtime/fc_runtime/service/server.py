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
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    connection.check(now)
        return await super().on_tick(counter)

    def stop_accepting(self) -> None:
        """From now on connecting is refused. Closing again, as uvicorn will, does nothing."""
        for listening in getattr(self, "servers", ()):  # none before it has started
            listening.close()

    def end_tasks(self) -> None:
        """Those that still answer a request."""
        for task in list(self.server_state.tasks):
            task.cancel()
