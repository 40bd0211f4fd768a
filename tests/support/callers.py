"""
Callers with the same blocking verbs: what the contract is asked of.

`SyncCaller` is a `Runtime` used from the test's own thread. `AsyncCaller` is an `AsyncRuntime` on an
event loop that runs in a thread of its own; each verb is a coroutine handed to that loop.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from fc_runtime import AsyncRuntime, Function, Result, Runtime

T = TypeVar("T")


class SyncCaller:
    def __init__(self, **options: Any) -> None:
        self.runtime = Runtime(**options)

    def register(self, function: Function | str, /, **options: Any) -> Function:
        return self.runtime.register(function, **options)

    def unregister(self, name: str) -> None:
        self.runtime.unregister(name)

    def functions(self) -> dict[str, Function]:
        return self.runtime.functions()

    def warm(self, name: str, n: int = 1) -> None:
        self.runtime.warm(name, n)

    def invoke(self, name: str, event: Any = b"", **options: Any) -> Result:
        return self.runtime.invoke(name, event, **options)

    def submit(self, name: str, event: Any = b"", **options: Any) -> "Future[Result]":
        return self.runtime.submit(name, event, **options)

    def map(self, name: str, events: Any, **options: Any) -> list[Result]:
        return list(self.runtime.map(name, events, **options))

    def stats(self) -> dict[str, Any]:
        return self.runtime.stats()

    def close(self, drain: float | None = None) -> None:
        self.runtime.close(drain)

    def end(self) -> None:
        """Close, and let go of everything: for the fixture."""
        self.runtime.close()


class AsyncCaller:
    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="async-caller")
        self._thread.start()
        try:
            self.runtime = AsyncRuntime(**options)
        except BaseException:
            self._leave()
            raise

    def register(self, function: Function | str, /, **options: Any) -> Function:
        return self._run(self.runtime.register(function, **options))

    def unregister(self, name: str) -> None:
        self._run(self.runtime.unregister(name))

    def functions(self) -> dict[str, Function]:
        return self.runtime.functions()

    def warm(self, name: str, n: int = 1) -> None:
        self._run(self.runtime.warm(name, n))

    def invoke(self, name: str, event: Any = b"", **options: Any) -> Result:
        return self._run(self.runtime.invoke(name, event, **options))

    def submit(self, name: str, event: Any = b"", **options: Any) -> "Future[Result]":
        async def submitted() -> Result:
            return await self.runtime.submit(name, event, **options)

        return asyncio.run_coroutine_threadsafe(submitted(), self._loop)

    def map(self, name: str, events: Any, **options: Any) -> list[Result]:
        async def mapped() -> list[Result]:
            return [result async for result in self.runtime.map(name, events, **options)]

        return self._run(mapped())

    def stats(self) -> dict[str, Any]:
        return self.runtime.stats()

    def close(self, drain: float | None = None) -> None:
        self._run(self.runtime.close(drain))

    def end(self) -> None:
        """Close, and let go of everything: for the fixture."""
        try:
            self.close()
        finally:
            self._leave()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _leave(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Caller: TypeAlias = SyncCaller | AsyncCaller
CALLERS: dict[str, type[SyncCaller] | type[AsyncCaller]] = {
    "sync": SyncCaller,
    "async": AsyncCaller,
}


@dataclass(frozen=True)
class Deployed:
    """A registered function, and who calls it."""

    caller: Caller
    name: str

    def __call__(self, event: Any = b"", **options: Any) -> Result:
        return self.caller.invoke(self.name, event, **options)

    def fail(self, event: Any = b"", **options: Any) -> Result:
        """Invoke it without raising; the test looks at the outcome."""
        return self.caller.invoke(self.name, event, check=False, **options)
