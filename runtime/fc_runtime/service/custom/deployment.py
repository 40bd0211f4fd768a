"""
The one function of a custom runtime: settled by the first request that comes, from the settings
and from what the platform says of it; the same from then on, as an instance of FC serves one
version of one function.

The settings win over the headers: a header fills in what was left open, and may shorten a timeout
that was not.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.function import MAX_HOOK_S, MAX_IDLE_S, Function
from fc_runtime.outcome import Result
from fc_runtime.pool import nursery
from fc_runtime.service.custom.settings import DEFAULT_HANDLER, CustomSettings
from fc_runtime.service.custom.style import takes_wsgi
from fc_runtime.service.custom.told import Told

NAMELESS: Final = "function"  # outside of FC nobody has to give it a name


class Deployment:
    """Registers the function with the runtime, once."""

    def __init__(self, settings: CustomSettings, runtime: AsyncRuntime) -> None:
        self._settings = settings
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._function: Function | None = None
        self._settled: Function | None = None
        self.wsgi = False  # known once there is a function

    async def begin(self, told: Told) -> Function:
        """The function as far as the settings say it, before any request has said more."""
        async with self._lock:
            return await self._registered(told)

    async def settle(self, told: Told) -> Function:
        """The function, registered. InvalidFunctionError: it cannot work as it is."""
        if self._settled is None:
            async with self._lock:
                if self._settled is None:
                    self._settled = await self._registered(told)
        return self._settled

    async def initialize(self, function: Function, told: Told) -> Result | None:
        """A worker made ready, and what came of that; None if one is there already."""
        core = self._runtime._core  # noqa: SLF001 (`warm` keeps the log to itself)
        return await asyncio.to_thread(
            nursery.initialize,
            core,
            function.name,
            request_id=told.request_id,
            credentials=told.credentials,
        )

    def timeout_for(self, function: Function, told: Told) -> float | None:
        """Seconds for this invocation, if it is to have fewer than the function has."""
        if told.timeout is None or told.timeout >= function.timeout:
            return None
        return told.timeout

    async def _registered(self, told: Told) -> Function:
        function = await asyncio.to_thread(self._made, told)
        if function != self._function:
            self.wsgi = await asyncio.to_thread(self._takes_wsgi, function)
            if self._function is not None and self._function.name != function.name:
                await self._runtime.unregister(self._function.name)
            self._function = await self._runtime.register(function)
        return function

    def _made(self, told: Told) -> Function:
        settings = self._settings
        first = _first_given(told, settings)
        options: dict[str, Any] = {
            "name": first("name") or NAMELESS,
            "code": settings.code,
            "handler": first("handler") or DEFAULT_HANDLER,
            "initializer": first("initializer") or None,
            "environment": settings.environment,
            "credentials": settings.credentials,
            "max_instances": settings.concurrency,
            "idle_timeout": MAX_IDLE_S,  # how long an instance lasts is the platform's to say
            "sandbox": settings.sandbox,
            "service": first("service"),
            "qualifier": first("qualifier") or "LATEST",
            "version_id": first("version_id"),
            "region": first("region"),
            "account_id": first("account_id"),
            "log_project": told.log_project,
            "log_store": told.log_store,
            "pre_stop": first("pre_stop") or None,
            "pre_stop_timeout": MAX_HOOK_S,  # the platform knows the function's own, and waits no
            "pre_freeze": first("pre_freeze") or None,  # longer than that
            "pre_freeze_timeout": MAX_HOOK_S,
        }
        for name in ("timeout", "initialization_timeout", "memory_mb"):
            value = first(name)
            if value:
                options[name] = value
        return Function(**options)

    def _takes_wsgi(self, function: Function) -> bool:
        style = self._settings.http
        if style == "auto":
            return takes_wsgi(Path(function.code), function.handler)
        return style == "wsgi"


def _first_given(told: Told, settings: CustomSettings) -> Callable[[str], Any]:
    return lambda name: getattr(settings, name) or getattr(told, name)


def load_failure(function_error: InvalidFunctionError, handler: str) -> dict[str, Any]:
    """A function that could not even be registered, as FC would say it (spec 5.A)."""
    module, _, attribute = handler.rpartition(".")
    if module and attribute and function_error.field in ("handler", "initializer"):
        kind, message = "ImportModuleError", f"Unable to import module '{module}'"
    elif function_error.field in ("handler", "initializer"):
        kind, message = "InvalidHandleName", f"Invalid handler '{handler}'"
    else:
        kind, message = "InvalidFunctionError", str(function_error)
    return {
        "errorMessage": message,
        "errorType": kind,
        "stackTrace": [str(function_error)],
    }
