"""
The face for asyncio programs: `AsyncRuntime`, the same verbs, awaited.

An invocation is driven by the caller's own event loop, what nearly all are by `lean`; only what may
block for milliseconds (starting the first process of a function, ending a tree) goes to a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from fc_runtime.credentials import Credentials
from fc_runtime.dispatch.drive_async import drive
from fc_runtime.dispatch.watch import Ending
from fc_runtime.errors import InvalidFunctionError, OverloadedError
from fc_runtime.function import Function
from fc_runtime.http import HttpRequest
from fc_runtime.lean import Lean
from fc_runtime.outcome import Result
from fc_runtime.pool import back_stop
from fc_runtime.pool.core import Core
from fc_runtime.pool.grants import Grant, Leave, OnItsOwn, Waiter
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.request import NOTHING, Request, encode_event
from fc_runtime.pool.serving import STARTS, Declined, Serving, hold
from fc_runtime.pool.threads import start_thread
from fc_runtime.runtime import Runtime, refusal, start

if TYPE_CHECKING:
    from fc_runtime.tasks.handles import AsyncTask

T = TypeVar("T")
running_loop: Final[Callable[[], asyncio.AbstractEventLoop | None]] = asyncio._get_running_loop  # noqa: SLF001 (documented; the public one raises where there is none)


class TaskWaiter(OnItsOwn):
    """A task asleep on a future of its loop."""

    __slots__ = ("_future", "_loop", "grant")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.grant: Grant | None = None

    def offer(self, grant: Grant) -> None:
        if self._future.cancelled():
            return
        self.grant = grant
        if running_loop() is self._loop:  # from task to task: the loop is awake
            self._wake()
            return
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed under its tasks
            self.grant = None

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, pool: Pool) -> Grant:
        if self.grant is None:
            try:
                await self._future
            except BaseException:  # cancelled while queueing: leave the queue, or give back
                pool.withdraw(self)
                raise
        if self.grant is None:
            raise AssertionError("woken without a grant")
        return self.grant


class AsyncRuntime:
    """
    `Runtime` for asyncio (and uvloop): same arguments, same results, same errors.

    Cancelling a task that awaits `invoke` ends the instance that was serving it.
    """

    def __init__(self, **options: Any) -> None:
        self._runtime = Runtime(**options)
        self._core = self._runtime._core  # noqa: SLF001 (two faces of one thing)
        self._leans: dict[asyncio.AbstractEventLoop, Lean] = {}

    @classmethod
    def _of(cls, core: Core) -> Self:
        """
        This face of a runtime that somebody else has: for invocations alone. Does not keep that
        one alive.
        """
        self = cls.__new__(cls)
        self._core = core
        self._leans = {}
        return self

    async def register(self, function: Function | str, /, **options: Any) -> Function:
        """See `Runtime.register`."""
        return await _in_thread(partial(self._runtime.register, function, **options))

    async def unregister(self, name: str) -> None:
        """See `Runtime.unregister`."""
        self._runtime.unregister(name)

    def functions(self) -> dict[str, Function]:
        """See `Runtime.functions`."""
        return self._runtime.functions()

    async def warm(self, name: str, n: int = 1) -> None:
        """See `Runtime.warm`."""
        await _in_thread(partial(self._runtime.warm, name, n))

    async def invoke(
        self,
        name: str,
        event: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = NOTHING,
        timeout: float | None = None,  # noqa: ASYNC109 (handler time, enforced by the pool)
        request_id: str | None = None,
        credentials: Credentials | None = None,
        http: HttpRequest | None = None,
        check: bool = True,
    ) -> Result:
        """See `Runtime.invoke`."""
        core = self._core
        if (
            type(event) is bytes
            and json is NOTHING
            and timeout is None
            and request_id is None
            and credentials is None
            and http is None
        ):
            lean = lean_of(self)
            pool = lean.takes(name, len(event))
            if pool is not None:
                result = await lean.fly(pool, event, core.new_request_id())
                return result.raise_for_outcome() if check else result
        request = await self._request(
            name,
            event,
            json_value=json,
            timeout=timeout,
            request_id=request_id,
            credentials=credentials,
            http=http,
        )
        result = await self._serve(request)
        return result.raise_for_outcome() if check else result

    async def _request(self, name: str, event: object, **told: Any) -> Request:
        """See `Core.request`; a function's credentials may have to be asked for, which blocks."""
        core = self._core
        make = partial(core.request, name, event, **told)
        asks = told["credentials"] is None and callable(core.pool(name).function.credentials)
        return await _in_thread(make) if asks else make()

    async def _serve(
        self,
        request: Request,
        *,
        grant: Grant | Waiter | None = None,
        serving: Serving | None = None,
    ) -> Result:
        """
        The general way, for those who made the *request* themselves: from the queue, from what
        the pool has given them already, or from where a call of theirs has left off.
        """
        core = self._core
        tries = STARTS
        while tries:
            if serving is None:
                if grant is None:
                    grant = request.pool.lease(TaskWaiter)
                if isinstance(grant, TaskWaiter):
                    grant = await grant.wait(request.pool)
                if type(grant) is Instance:
                    serving = hold(core, request, grant, cold=False)
                elif grant is Leave.START:
                    serving = hold(core, request, await _start(request.pool), cold=True)
                elif grant is Leave.MOVED:
                    request.pool = core.pool(request.pool.name)
                    grant = None
                    continue
                else:
                    return refusal(request, grant)
            if not request.pool.roster.back_stop_planned:
                back_stop.plan(request.pool)
            try:
                ending = await drive(serving.call)
            except BaseException:
                serving.abandon()
                raise
            try:
                return await _conclude(serving, ending)
            except Declined as declined:
                request.last_refusal = str(declined)
                serving = grant = None
                tries -= request.pool.roster.end is None  # replaced under the start: no fault
        raise OverloadedError(
            f"{request.pool.name}: no instance would take it: {request.last_refusal}"
        )

    def submit(
        self,
        name: str,
        event: bytes | bytearray | memoryview | str = b"",
        **options: Any,
    ) -> "asyncio.Task[Result]":
        """As `invoke`, as a task of the running loop."""
        self._core.check_open()
        return asyncio.get_running_loop().create_task(self.invoke(name, event, **options))

    async def map(
        self,
        name: str,
        events: Iterable[bytes | bytearray | memoryview | str],
        *,
        concurrency: int | None = None,
        **options: Any,
    ) -> AsyncIterator[Result]:
        """See `Runtime.map`."""
        if concurrency is None:
            concurrency = self._core.pool(name).function.max_instances
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidFunctionError("concurrency", concurrency, "a whole number from 1")
        under_way: list[asyncio.Task[Result]] = []
        try:
            for event in events:
                under_way.append(self.submit(name, event, **options))
                if len(under_way) >= concurrency:
                    yield await under_way.pop(0)
            while under_way:
                yield await under_way.pop(0)
        finally:
            for task in under_way:
                task.cancel()

    def _lean_for(self, loop: asyncio.AbstractEventLoop) -> Lean:
        leans = self._leans
        _close_the_gone(leans)
        face = self._of(self._core)  # the loop, which holds it, must not keep us alive
        look_around = partial(_close_the_gone, leans)
        lean = leans[loop] = Lean(self._core, face.invoke, face._serve, look_around)  # noqa: SLF001 (a face)
        return lean

    async def invoke_async(
        self,
        name: str,
        event: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = NOTHING,
        task_id: str | None = None,
        delay: float = 0.0,
        max_retries: int = 3,
        max_age: float = 86_400.0,
        on_success: str | None = None,
        on_failure: str | None = None,
    ) -> "AsyncTask":
        """See `Runtime.invoke_async`."""
        return await self._runtime._tasks().invoke_async(  # noqa: SLF001 (two faces of one thing)
            self._core,
            name,
            encode_event(event, json),
            task_id=task_id,
            delay=delay,
            max_retries=max_retries,
            max_age=max_age,
            on_success=on_success,
            on_failure=on_failure,
        )

    async def task(self, name: str, task_id: str) -> "AsyncTask":
        """See `Runtime.task`."""
        return await self._runtime._tasks().task_async(name, task_id)  # noqa: SLF001 (idem)

    def stats(self) -> dict[str, Any]:
        """See `Runtime.stats`."""
        return self._runtime.stats()

    async def close(self, drain: float | None = None) -> None:
        """See `Runtime.close`."""
        await _in_thread(partial(self._runtime.close, drain))
        here = asyncio.get_running_loop()
        while self._leans:
            loop, lean = self._leans.popitem()
            if loop is here or loop.is_closed():
                lean.close()
            else:
                with suppress(RuntimeError):  # closed since
                    loop.call_soon_threadsafe(lean.close)

    async def __aenter__(self) -> Self:
        self._core.check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        in_a_hurry = kind is not None and not issubclass(kind, Exception)
        await self.close(0.0 if in_a_hurry else None)

    def __repr__(self) -> str:
        return repr(self._runtime).replace("Runtime", "AsyncRuntime", 1)


def lean_of(runtime: AsyncRuntime) -> Lean:
    """For warm calls of *runtime* from the running loop: one for all who ask there."""
    loop = asyncio.get_running_loop()
    return runtime._leans.get(loop) or runtime._lean_for(loop)  # noqa: SLF001 (its own)


def _close_the_gone(leans: dict[asyncio.AbstractEventLoop, Lean]) -> None:
    """Of loops that were closed under their calls: nobody else would give back what those hold."""
    for gone in [known for known in list(leans) if known.is_closed()]:
        lean = leans.pop(gone, None)  # None: another thread has looked around, too
        if lean is not None:
            lean.close()


def close_lean(runtime: AsyncRuntime) -> None:
    """The running loop is about to end: calls of *runtime* in the air there go the general way."""
    lean = runtime._leans.pop(asyncio.get_running_loop(), None)  # noqa: SLF001 (its own)
    if lean is not None:
        lean.close()


async def _start(pool: Pool) -> Instance:
    """A start takes milliseconds when the zygote has to be started too; never on the loop."""
    starting = _begin(partial(start, pool))
    try:
        return await asyncio.wrap_future(starting)
    except BaseException:
        # It cannot be called back: when it is there it ends, whatever has become of the loop.
        starting.add_done_callback(partial(_discard, pool))
        raise


def _discard(pool: Pool, starting: "Future[Instance]") -> None:
    if starting.exception() is None:
        pool.discard_start(starting.result())


async def _conclude(serving: Serving, ending: Ending) -> Result:
    if ending is Ending.ANSWERED and serving.answered_well:
        return serving.conclude(ending)
    # Ending a tree must not stop half-way because the task was cancelled.
    return await _in_thread(partial(serving.conclude, ending))


async def _in_thread(work: Callable[[], T]) -> T:
    """Await *work*; it is carried through even if the task that awaits it is cancelled."""
    return await asyncio.wrap_future(_begin(work))


def _begin(work: Callable[[], T]) -> "Future[T]":
    """
    Do *work* in a daemon thread of its own: the loop's default executor is the host's, and may be
    full, or be joined at exit. If the host has no room for a thread, the loop has to wait: what
    has been begun is carried through.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on no task, nor loop, can cancel it

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 (carried over to the task, whatever it is)
            done.set_exception(error)
        else:
            done.set_result(result)

    try:
        start_thread("fc-runtime-aio", run)
    except OverloadedError:
        run()
    return done
