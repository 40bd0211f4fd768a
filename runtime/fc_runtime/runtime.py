"""
The face for ordinary programs: `Runtime`, with `invoke` in the caller's own thread.

One invocation: name to pool, event to bytes (`Core.request`) → an instance (`Pool.lease`) → its
bytes there and back (`drive_sync`) → what came of it (`Serving.conclude`).
"""

import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from fc_runtime.checks import (
    check_flag,
    check_interpreter,
    check_label,
    check_log,
    checked_drain,
)
from fc_runtime.credentials import Credentials
from fc_runtime.dispatch.drive_sync import drive
from fc_runtime.errors import (
    InvalidFunctionError,
    OverloadedError,
    RuntimeClosedError,
)
from fc_runtime.function import Function
from fc_runtime.http import HttpRequest
from fc_runtime.outcome import Result
from fc_runtime.pool import nursery
from fc_runtime.pool.closing import close_dropped
from fc_runtime.pool.core import Core
from fc_runtime.pool.events import SILENCE, Log
from fc_runtime.pool.grants import Grant, Leave, Waiter
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.request import NOTHING, Request, encode_event
from fc_runtime.pool.serving import STARTS, Declined, Serving, hold
from fc_runtime.pool.turns import take_turn
from fc_runtime.pool.warm import WARM_BYTES, Refused, try_warm

if TYPE_CHECKING:
    from fc_runtime.tasks.handles import Task
    from fc_runtime.tasks.local import Local

MiB: Final = 1024 * 1024


def _give_back(pool: Pool, grant: Grant) -> None:
    """Nobody will serve with it."""
    if type(grant) is Instance:
        pool.abandon(grant)
    elif grant is Leave.START:
        pool.cancel_start()


class Runtime:
    """
    Runs handlers in a warm pool of worker processes. Thread-safe; one for a program is enough.

    Making one is cheap: processes start with the first invocation or `warm`. Close it, or use it
    in a ``with``: leaving waits for what is running (each bounded by its own timeout).

    Args:
        isolation: ``auto`` (the best tier of this host) or ``portable``.
        max_queue: callers that may wait for one function before `OverloadedError`.
        max_event_bytes: bytes of one event; FC's own limit is 32 MiB (spec 12).
        max_response_bytes: bytes of one encoded result.
        placement: wake a worker on its caller's CPU, keep it awake between calls that follow each
            other at once, or off the CPU of threads that queue for it, where that is measured to
            pay (docs/adr/0007).
        region: for ``context.region`` and ``FC_REGION``.
        account_id: for ``context.account_id`` and ``FC_ACCOUNT_ID``.
        log: a structlog logger for what the supervisor does; None says nothing.
        store: for `invoke_async`, where its tasks are kept: ``sqlite:////absolute/path.db`` or
            ``postgresql+psycopg://user@host/name``. Those that are there already run as soon as
            their function is registered. Needs the extra ``tasks``, or ``postgres``.
    """

    def __init__(
        self,
        *,
        isolation: str = "auto",
        max_queue: int = 1000,
        max_event_bytes: int = 32 * MiB,
        max_response_bytes: int = 32 * MiB,
        placement: bool = True,
        region: str = "",
        account_id: str = "",
        log: Log | None = None,
        store: str | None = None,
    ) -> None:
        for name, value in (
            ("max_queue", max_queue),
            ("max_event_bytes", max_event_bytes),
            ("max_response_bytes", max_response_bytes),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise InvalidFunctionError(name, value, "a whole number from 0 to 2147483647")
        check_label("region", region)
        check_label("account_id", account_id)
        check_flag("placement", placement)
        if log is not None:
            check_log(log)
        check_interpreter()
        self._core = Core(
            isolation=isolation,
            max_queue=max_queue,
            max_event_bytes=max_event_bytes,
            max_response_bytes=max_response_bytes,
            placement=placement,
            region=region,
            account_id=account_id,
            log=SILENCE if log is None else log,
        )
        self._finalizer = weakref.finalize(self, close_dropped, self._core)
        self._finalizer.atexit = False  # `core` sees to that itself
        self._local = None if store is None else _local(self._core, store)

    # -- functions -----------------------------------------------------------------------------

    def register(self, function: Function | str, /, **options: Any) -> Function:
        """
        Make a function known, or replace it: running calls end on the old, new ones start on the
        new. Takes a `Function`, or its name and the other fields as keywords.

        Raises: InvalidFunctionError, which names field, value and mend. OverloadedError, if there
            is no room on the disk to unpack it. RuntimeClosedError.
        """
        if isinstance(function, Function):
            if options:
                raise InvalidFunctionError(next(iter(options)), "…", "set it in the Function")
        else:
            function = Function.made_from(function, options)
        self._core.register(function)
        return function

    def unregister(self, name: str) -> None:
        """Forget a function; running calls end, waiting ones are refused. FunctionNotFoundError."""
        self._core.unregister(name)

    def functions(self) -> dict[str, Function]:
        """What is registered, by name."""
        return self._core.functions()

    def warm(self, name: str, n: int = 1) -> None:
        """
        Return when *n* instances are up, ready or already serving.

        Raises InitializationError if one does not come up, OverloadedError if there is no room.
        """
        pool = self._core.pool(name)
        most = pool.function.max_instances
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
            raise InvalidFunctionError("n", n, f"from 1 to max_instances, {most}")
        failure = nursery.wait_until_warm(pool, n, pool.function.initialization_timeout + 10.0)
        if failure is not None:
            failure.raise_for_outcome()

    # -- invocations ---------------------------------------------------------------------------

    def invoke(
        self,
        name: str,
        event: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = NOTHING,
        timeout: float | None = None,
        request_id: str | None = None,
        credentials: Credentials | None = None,
        http: HttpRequest | None = None,
        check: bool = True,
    ) -> Result:
        """
        Run function *name* once on a warm instance and hand back what it returned.

        Args:
            event: what the handler gets, as bytes; str is encoded as UTF-8.
            json: instead of *event*, a value to be encoded as JSON.
            timeout: seconds of handler time, never longer than the function's own.
            request_id: for ``context.request_id``; made up if None.
            credentials: for this invocation only, instead of the function's.
            http: call it the WSGI way, ``app(environ, start_response)``, with *event* as the
                body (spec 4.A); what it answers is in ``Result.http`` and ``Result.payload``.
            check: raise the outcome's error; False hands back the `Result` whatever happened.

        Raises: RefusedError subclasses: no handler code ran, a retry is safe. InvocationError
            subclasses: handler code ran, ``.result`` tells all. InternalError: our bug.
        Cost: one pipe round trip in the calling thread; see ``benchmarks/warm_call.py``.
        """
        core = self._core
        serving: Serving | None = None
        grant: Grant | None = None
        if (
            type(event) is bytes
            and len(event) <= WARM_BYTES
            and json is NOTHING
            and timeout is None
            and request_id is None
            and credentials is None
            and http is None
        ):
            pool = core.pool(name)
            if pool.plain and len(event) <= core.max_event_bytes:
                begun = try_warm(core, pool, event, take_turn)
                if type(begun) is Result:
                    return begun
                if isinstance(begun, Serving):
                    serving = begun
                elif isinstance(begun, Refused):
                    grant = begun.grant
        try:
            request = (
                serving.request
                if serving is not None
                else core.request(
                    name,
                    event,
                    json_value=json,
                    timeout=timeout,
                    request_id=request_id,
                    credentials=credentials,
                    http=http,
                )
            )
        except BaseException:  # Ctrl-C, if there is a grant: all else has been looked at
            if grant is not None:
                _give_back(pool, grant)
            raise
        if grant is not None and request.pool is not pool:  # registered anew while he waited
            _give_back(pool, grant)
            grant = None
        try:
            result = self._serve(request, serving, grant)
        except BaseException:
            if serving is not None:  # Ctrl-C on the way in
                serving.abandon()
            raise
        return result.raise_for_outcome() if check else result

    def _serve(
        self, request: Request, serving: Serving | None, grant: Grant | None = None
    ) -> Result:
        """
        The general way: from the queue, from what the pool has given already, or from where the
        warm path has left off.
        """
        core = self._core
        tries = STARTS
        while tries:
            if serving is None:
                if grant is None:
                    grant = take_turn(request.pool)
                if type(grant) is Instance:
                    serving = hold(core, request, grant, cold=False)
                elif grant is Leave.START:
                    serving = hold(core, request, start(request.pool), cold=True)
                elif grant is Leave.MOVED:
                    request.pool = core.pool(request.pool.name)
                    grant = None
                    continue
                else:
                    return refusal(request, grant)
            try:
                ending = drive(serving.call)
            except BaseException:
                serving.abandon()
                raise
            try:
                return serving.conclude(ending)
            except Declined as declined:
                request.last_refusal = str(declined)
                serving = grant = None
                tries -= request.pool.roster.end is None  # replaced under the start: no fault
            except BaseException:  # Ctrl-C once more
                serving.abandon()
                raise
        raise OverloadedError(
            f"{request.pool.name}: no instance would take it: {request.last_refusal}"
        )

    def _submitted(
        self,
        future: "Future[Result]",
        name: str,
        event: bytes | bytearray | memoryview | str,
        options: dict[str, Any],
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self.invoke(name, event, **options)
        except BaseException as error:  # noqa: BLE001 (the future carries it, whatever it is)
            future.set_exception(error)
            del future  # or the error would keep it, by its traceback: a cycle
        else:
            future.set_result(result)

    def submit(
        self,
        name: str,
        event: bytes | bytearray | memoryview | str = b"",
        **options: Any,
    ) -> "Future[Result]":
        """
        As `invoke`, in the background. Refusals are in the future too; cancelling works until it
        has begun.
        """
        self._core.check_open()
        future: Future[Result] = Future()

        core = self._core
        try:
            if core.submitted.backlog >= max(1, core.max_queue):
                raise OverloadedError(
                    f"{name}: {core.submitted.backlog} submitted calls wait already"
                )
            core.submitted.run(partial(self._submitted, future, name, event, options))
        except OverloadedError as error:
            future.set_exception(error)
        return future

    def map(
        self,
        name: str,
        events: Iterable[bytes | bytearray | memoryview | str],
        *,
        concurrency: int | None = None,
        **options: Any,
    ) -> Iterator[Result]:
        """
        Results in the order of *events*, at most *concurrency* of them under way (None: as many
        as the function has instances). Takes from *events* only as results are taken.
        """
        if concurrency is None:
            concurrency = self._core.pool(name).function.max_instances
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidFunctionError("concurrency", concurrency, "a whole number from 1")
        return self._map(name, iter(events), concurrency, options)

    def _map(
        self,
        name: str,
        events: Iterator[bytes | bytearray | memoryview | str],
        concurrency: int,
        options: dict[str, Any],
    ) -> Iterator[Result]:
        under_way: list[Future[Result]] = []
        try:
            for event in events:
                under_way.append(self.submit(name, event, **options))
                if len(under_way) >= concurrency:
                    yield under_way.pop(0).result()
            while under_way:
                yield under_way.pop(0).result()
        finally:
            for future in under_way:
                future.cancel()

    def invoke_async(
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
    ) -> "Task":
        """
        Have *name* invoked later: when this returns it is on the disk of ``Runtime(store=…)``, and
        will be run at least once, whatever becomes of this process.

        Args:
            event, json: as `invoke`; at most 128 KiB.
            task_id: ``[A-Za-z_][A-Za-z0-9_-]{0,127}``, unique in the function; made up if None.
            delay: seconds before it may run.
            max_retries: after an error of the function, 0 to 8, with back-off.
            max_age: seconds after which no attempt begins.
            on_success, on_failure: a function's name, or an HTTP address, that is told of its end.

        Raises: RefusedError subclasses: it was not accepted (TaskExistsError: that id is taken;
            OverloadedError: too many wait). StoreError: it may have been.
        """
        return self._tasks().invoke(
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

    def task(self, name: str, task_id: str) -> "Task":
        """What `invoke_async` handed back, in this process or an earlier one. TaskNotFoundError."""
        return self._tasks().task(name, task_id)

    # -- the rest ------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """
        Counters and gauges, JSON-able; see docs/operations.md. Takes no lock of a pool's, so that a
        signal handler may call it; while calls come and go, two gauges may be a moment apart.
        """
        tasks = {} if self._local is None else {"tasks": self._local.stats()}
        return {**self._core.stats(), **tasks}

    def close(self, drain: float | None = None) -> None:
        """
        End everything, and return when it is gone. Callers who wait in a queue are refused.
        A log that is told something may call it, too: then it may return before that.

        Args:
            drain: seconds that running invocations may still take, then they are killed. None:
                as long as their own timeouts let them.
        """
        self._core.close(checked_drain(drain))
        self._finalizer.detach()

    def __enter__(self) -> Self:
        self._core.check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Ctrl-C, or an exit under way: nobody wants to wait for handlers now.
        in_a_hurry = kind is not None and not issubclass(kind, Exception)
        self.close(0.0 if in_a_hurry else None)

    def __repr__(self) -> str:
        state = "closed" if self._core.closed else "open"
        return f"<{type(self).__name__} {state}, {len(self._core.functions())} functions>"

    def _tasks(self) -> "Local":
        self._core.check_open()
        if self._local is None:
            raise InvalidFunctionError("store", None, "say where: Runtime(store='sqlite:////…')")
        return self._local


def _local(core: Core, store: str) -> "Local":
    """What `invoke_async` needs: imported here, for who asks. Raises InvalidFunctionError."""
    try:
        from fc_runtime.tasks.local import Local  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InvalidFunctionError(
            "store", "…", f"there is no {error.name}: pip install 'fc-runtime[tasks]'"
        ) from error
    return Local(core, store)


def start(pool: Pool) -> Instance:
    """A new instance for the caller, whose place is kept; freed again if there is no room."""
    try:
        return nursery.start_instance(pool)
    except BaseException:
        pool.cancel_start()
        raise


def refusal(request: Request, grant: Grant | Waiter | Leave) -> Result:
    """What to answer when there is no instance to be had. Raises RuntimeClosedError."""
    if isinstance(grant, Result):
        return request.same_failure(grant)
    raise RuntimeClosedError(f"{request.pool.name}: closed or unregistered meanwhile")
