"""All that goes on in the background, as one thing that the daemon starts and stops."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from fc_runtime.aio import AsyncRuntime
from fc_runtime.outcome import Result
from fc_runtime.service.account import Account
from fc_runtime.service.background.accepting import Accepting
from fc_runtime.service.background.attempting import Attempting
from fc_runtime.service.background.rules import Rules
from fc_runtime.service.background.telling import Telling
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.asynchronous import Wanted
from fc_runtime.service.gateway.ids import RequestIds
from fc_runtime.service.gateway.paths import Asked
from fc_runtime.service.queue import Queue, names_in
from fc_runtime.service.settings import Settings
from fc_runtime.service.timers import Timer, Timers
from fc_runtime.service.timers.running import Fired
from fc_runtime.tasks import Engine

PASSING: Final = frozenset({429, 500, 503})
FIRED_BEFORE: Final = 409
_log = structlog.get_logger(__name__)


class Watcher(Protocol):
    """Who counts invocations."""

    def invoked(self, function: str, result: Result, elapsed_ms: float) -> None: ...


class Background:
    """
    Belongs to the loop that it is started on.

    Args:
        watcher, heard: as of invocations that are waited for.
    """

    def __init__(
        self,
        account: Account,
        queue: Queue,
        deployer: Deployer,
        runtime: AsyncRuntime,
        settings: Settings,
        *,
        watcher: Watcher | None = None,
        heard: Callable[[Deployment, Result], None] | None = None,
    ) -> None:
        self._watcher = watcher
        self._heard = heard
        self._ids = RequestIds()
        rules = Rules(account, settings)
        self.accept = Accepting(account, deployer, queue, rules)
        self._engine = Engine(
            queue.store,
            Attempting(deployer, runtime, self._told),
            concurrency=lambda name: rules.most(*names_in(name)),
            destinations=Telling(self.accept),
            log=_log,
        )
        self._timers = Timers(account.timers, self._fire)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what the last life of this daemon left, and go on. Raises StoreError."""
        await self._engine.start()
        self._running = asyncio.get_running_loop().create_task(self._timers.run(), name="timers")

    def changed(self) -> None:
        """The account has: there may be other timers."""
        self._timers.changed()

    async def stop(self, grace: float) -> None:
        """Begin nothing more; what runs has *grace* seconds, and goes back to the queue then."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
        await self._engine.stop(grace)

    def stats(self) -> dict[str, Any]:
        """See `Engine.stats`."""
        return self._engine.stats()

    async def _fire(self, timer: Timer, due: datetime) -> Fired:
        wanted = Wanted(
            Asked(timer.service, timer.function, timer.qualifier),
            timer.event(due),
            self._ids.new(fc2=bool(timer.service)),
            timer.task_id(due),
            0.0,
        )
        about = {"trigger": timer.name, "function": timer.function, "service": timer.service}
        try:
            await self.accept(wanted)
        except ApiError as error:
            if error.status == FIRED_BEFORE:
                _log.debug("timer.fired_before", due=due.isoformat(), **about)
                return Fired.DONE
            _log.warning("timer.not_fired", due=due.isoformat(), error=error.message, **about)
            return Fired.LATER if error.status in PASSING else Fired.DONE
        _log.debug("timer.fired", due=due.isoformat(), **about)
        return Fired.DONE

    def _told(self, deployment: Deployment, result: Result, elapsed_ms: float) -> None:
        if self._watcher is not None:
            self._watcher.invoked(deployment.key, result, elapsed_ms)
        if self._heard is not None and (result.log or not result.ok):
            self._heard(deployment, result)
