"""
Asynchronous invocations of a program's own: store, and engine on a thread and a loop of its own,
beside the pools of one runtime. What `Runtime(store=…)` holds.
"""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime, close_lean
from fc_runtime.errors import FunctionNotFoundError, RuntimeClosedError
from fc_runtime.outcome import Result
from fc_runtime.pool.core import Core
from fc_runtime.pool.threads import start_thread
from fc_runtime.tasks.destinations import (
    Destination,
    FunctionDestination,
    UndeliverableError,
    WebhookDestination,
)
from fc_runtime.tasks.engine import Engine
from fc_runtime.tasks.handles import AsyncTask, Task
from fc_runtime.tasks.holding import Attempt
from fc_runtime.tasks.policy import Policy
from fc_runtime.tasks.records import Limits, Record, Submission
from fc_runtime.tasks.running import run_once
from fc_runtime.tasks.store import Store
from fc_runtime.tasks.threads import in_thread

_ADDRESSES: Final = ("http://", "https://")


class Local:
    """
    Begins when it is made; ends with the runtime, before it. Raises what `Store` and
    `Engine.start` raise.
    """

    def __init__(
        self, core: Core, url: str, *, limits: Limits | None = None, policy: Policy | None = None
    ) -> None:
        self._runtime = AsyncRuntime._of(core)  # noqa: SLF001 (a third face of the same thing)
        self._core = core
        self._policy = policy
        self._closing: list[asyncio.Task[None]] = []
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None
        self.store = Store(url, limits=limits)
        begun: Future[None] = Future()
        try:
            self._thread = start_thread("fc-runtime-tasks", lambda: asyncio.run(self._serve(begun)))
            begun.result()
        except BaseException:
            self.store.close()
            raise
        core.before_close.append(self.close)

    # -- what is asked of it -------------------------------------------------------------------

    def invoke(self, core: Core, name: str, event: bytes, **options: Any) -> Task:
        """See `Runtime.invoke_async`."""
        record = self.store.accept(_submission(core, name, event, options))
        return Task(self.store, name, record.task_id)

    async def invoke_async(self, core: Core, name: str, event: bytes, **options: Any) -> AsyncTask:
        """See `AsyncRuntime.invoke_async`."""
        accepting = self.store.accept_soon(_submission(core, name, event, options))
        record = await asyncio.wrap_future(accepting)
        return AsyncTask(self.store, name, record.task_id)

    def task(self, name: str, task_id: str) -> Task:
        """See `Runtime.task`."""
        self.store.get(name, task_id, bodies=False)
        return Task(self.store, name, task_id)

    async def task_async(self, name: str, task_id: str) -> AsyncTask:
        """See `AsyncRuntime.task`."""
        await in_thread(partial(self.store.get, name, task_id, bodies=False))
        return AsyncTask(self.store, name, task_id)

    def stats(self) -> dict[str, Any]:
        """See `Engine.stats`."""
        return {} if self._engine is None else self._engine.stats()

    def close(self, drain: float | None) -> None:
        """As `Engine.stop`. Safe to call twice, also while the first call still waits."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._ask_to_stop, drain)
        if self._thread is not threading.current_thread():
            self._thread.join()
            self.store.close()

    # -- on its thread -------------------------------------------------------------------------

    async def _serve(self, begun: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        try:
            self._engine = engine = Engine(
                self.store,
                self._run,
                concurrency=self._core.most_instances,
                destinations=self._destination,
                policy=self._policy,
                log=self._core.supervisor.log,
            )
            await engine.start()
        except BaseException as error:  # noqa: BLE001 (raised where it was made)
            begun.set_exception(error)
            return
        begun.set_result(None)
        await self._asked.wait()
        while self._closing:  # more may come meanwhile, in more of a hurry
            await self._closing.pop()
        close_lean(self._runtime)

    def _ask_to_stop(self, drain: float | None) -> None:
        if self._engine is not None and self._asked is not None and self._loop is not None:
            self._closing.append(self._loop.create_task(self._engine.stop(drain)))
            self._asked.set()

    async def _run(self, attempt: Attempt) -> Result:
        try:
            return await run_once(
                self._runtime,
                attempt.function,
                attempt.event,
                request_id=attempt.request_id,
                retry_count=attempt.retry_count,
            )
        except FunctionNotFoundError as error:
            # Unregistered since it was taken. It may be registered again: its task waits.
            raise RuntimeClosedError(str(error)) from error

    def _destination(self, where: str, _ended: Record) -> Destination:
        if where.startswith(_ADDRESSES):
            return WebhookDestination(where)
        if not self._core.most_instances(where):
            raise UndeliverableError(f"no function {where!r} is registered")
        return FunctionDestination(self.store, where)


def _submission(core: Core, name: str, event: bytes, options: dict[str, Any]) -> Submission:
    """Raises InvalidFunctionError, FunctionNotFoundError."""
    core.pool(name)
    for destination in (options["on_success"], options["on_failure"]):
        if isinstance(destination, str) and not destination.startswith(_ADDRESSES):
            core.pool(destination)
    return Submission(function=name, event=event, request_id=core.new_request_id(), **options)
