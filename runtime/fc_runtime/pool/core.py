"""
What all pools of one runtime share, and the map from a function's name to its pool.

Both faces, `Runtime` and `AsyncRuntime`, hold one of these and nothing else.
"""

import itertools
import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fc_worker import messages as m

from fc_runtime import code_package
from fc_runtime.checks import positive_seconds
from fc_runtime.credentials import Credentials, Renewing
from fc_runtime.dispatch.exchange import Ids
from fc_runtime.dispatch.placement import Placer
from fc_runtime.errors import (
    EventTooLargeError,
    FunctionNotFoundError,
    InvalidFunctionError,
    RuntimeClosedError,
)
from fc_runtime.function import Function
from fc_runtime.http import HttpRequest
from fc_runtime.outcome import name_of_kind
from fc_runtime.pool import nursery
from fc_runtime.pool.closing import Closing
from fc_runtime.pool.events import Guarded, Log
from fc_runtime.pool.grants import Leave
from fc_runtime.pool.holding import Holding
from fc_runtime.pool.hooks import Hooks
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.request import (
    Request,
    check_request_id,
    encode_event,
    request_headers,
)
from fc_runtime.pool.supervisor import Supervisor
from fc_runtime.pool.threads import Threads

SUBMIT_THREADS: Final = 64


class Core:
    def __init__(
        self,
        *,
        isolation: str,
        max_queue: int,
        max_event_bytes: int,
        max_response_bytes: int,
        placement: bool,
        region: str,
        account_id: str,
        log: Log,
    ) -> None:
        self.holding = Holding(isolation)
        self.max_queue = max_queue
        self.max_event_bytes = max_event_bytes
        self.max_response_bytes = max_response_bytes
        self.placer = Placer(enabled=placement)
        self.closed = False
        self.supervisor = Supervisor(Guarded(log))
        self.hooks = Hooks(self)
        self.submitted = Threads("fc-runtime-submit", SUBMIT_THREADS)
        self._region = region
        self._account_id = account_id
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._old_pools: set[Pool] = set()
        self._renewing: dict[str, Renewing] = {}
        self._instance_ids = itertools.count(1)
        self._request_prefix = f"{secrets.randbits(32):08x}"
        self._request_second = 0
        self._request_start = ""
        self._request_ids = itertools.count(secrets.randbits(40))
        self.next_id = self._instance_ids.__next__
        self.next_invocation = Ids().draw
        self.before_close: list[Callable[[float | None], None]] = []  # what feeds it ends first
        self._closing = Closing(self, self._owner)

    # -- names ---------------------------------------------------------------------------------

    def pool(self, name: str) -> Pool:
        """Raises FunctionNotFoundError, RuntimeClosedError."""
        try:
            pool = self._pools.get(name)
        except TypeError:  # no hash
            raise InvalidFunctionError("name", name, "a text") from None
        if pool is None or self.closed:
            self.check_open()
            known = ", ".join(sorted(self._pools)) or "none"
            raise FunctionNotFoundError(f"no function {name!r} is registered (there are: {known})")
        return pool

    def register(self, function: Function) -> None:
        self.check_open()
        self.holding.check(function)
        pool = Pool(function, self._worker_config(function), self)
        with self._lock:
            self.check_open()
            old = self._pools.get(pool.name)
            self._pools[pool.name] = pool
            self._renewing.pop(pool.name, None)
            if callable(function.credentials):
                self._renewing[pool.name] = Renewing(function.credentials)
            if old is not None:
                self._old_pools.add(old)
        was_warm = False
        if old is not None:
            was_warm = old.roster.snapshot()["processes"] > 0
            old.close(Leave.MOVED)
        nursery.warm(pool, max(function.min_instances, int(was_warm)))

    def unregister(self, name: str) -> None:
        self.pool(name)
        with self._lock:
            self.check_open()
            pool = self._pools.pop(name, None)
            if pool is None:
                raise FunctionNotFoundError(f"no function {name!r} is registered")
            self._old_pools.add(pool)
            self._renewing.pop(name, None)
        pool.close(Leave.CLOSED)

    def functions(self) -> dict[str, Function]:
        with self._lock:
            return {name: pool.function for name, pool in self._pools.items()}

    def most_instances(self, name: str) -> int:
        """How many calls of it may run at the same time; 0 if it is not registered."""
        pool = self._pools.get(name)
        return 0 if pool is None else pool.function.max_instances

    def check_open(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeClosedError(
                f"this runtime belongs to process {self._owner}; make one in this process"
            )
        if self.closed:
            raise RuntimeClosedError("this runtime is closed")

    # -- what a request needs ------------------------------------------------------------------

    def new_request_id(self) -> str:
        """Shaped as FC 3's (spec 6.9), unique in this runtime, and cheap."""
        now = int(time.time())
        if now != self._request_second:
            self._request_second = now
            self._request_start = f"1-{now:08x}-{self._request_prefix}-"
        return f"{self._request_start}{next(self._request_ids):012x}"

    def credentials_of(self, function: Function) -> Credentials | None:
        if function.credentials is None or isinstance(function.credentials, Credentials):
            return function.credentials
        renewing = self._renewing.get(function.key)
        # None if the function was replaced or unregistered in this very moment.
        return renewing.get() if renewing is not None else function.credentials()

    def request(
        self,
        name: str,
        event: object,
        *,
        json_value: object,
        timeout: float | None,
        request_id: str | None,
        credentials: Credentials | None,
        http: HttpRequest | None,
        retry_count: int = 0,
    ) -> Request:
        """Check one call of ``invoke``. Raises RefusedError subclasses."""
        pool = self.pool(name)
        function = pool.function
        body = encode_event(event, json_value)
        if len(body) > self.max_event_bytes:
            raise EventTooLargeError(
                f"{name}: the event has {len(body)} bytes, the limit is {self.max_event_bytes}"
            )
        limit_s = function.timeout
        if timeout is not None:
            limit_s = min(limit_s, positive_seconds("timeout", timeout, math.inf))
        if request_id is None:
            request_id = self.new_request_id()
        else:
            check_request_id(request_id)
        if credentials is None and function.credentials is not None:
            credentials = self.credentials_of(function)
        elif credentials is not None and not isinstance(credentials, Credentials):
            raise InvalidFunctionError("credentials", type(credentials).__name__, "a Credentials")
        headers = request_headers(request_id, credentials)
        headers[m.TIMEOUT_NS] = timeout_ns = int(limit_s * 1e9)
        if retry_count:
            headers[m.RETRY_COUNT] = retry_count
        if http is not None:
            if not isinstance(http, HttpRequest):
                raise InvalidFunctionError("http", type(http).__name__, "an HttpRequest")
            headers[m.HTTP] = http.as_sent()
        return Request(pool, body, headers, request_id, timeout_ns)

    # -- ending --------------------------------------------------------------------------------

    def close(self, drain_s: float | None) -> None:
        """See `Closing.close`."""
        self._closing.close(drain_s)

    def shut(self) -> list[Pool]:
        """No call and no function is taken any more; the pools that are still there."""
        with self._lock:
            self.closed = True
            return [*self._pools.values(), *self._old_pools]

    def drop(self, pool: Pool) -> None:
        """A pool that was replaced, or unregistered, has ended."""
        with self._lock:
            self._old_pools.discard(pool)

    def forget(self) -> list[Pool]:
        """In a forked child of the host: nothing here is the child's, the pools neither."""
        self._lock = threading.Lock()  # whoever held it is not in this process
        return self.shut()

    # -- telling -------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        pools = self._pools.copy()  # at once, and without a lock: see `Runtime.stats`
        return {
            "isolation": self.holding.isolation.name,
            "kills": self.supervisor.endings.kills,
            "survivors": self.supervisor.endings.survivors,
            "deadline_to_empty_ms": self.supervisor.endings.deadline_to_empty.snapshot(),
            "functions": {
                name: {
                    **pool.roster.snapshot(),
                    "invocations": pool.counts.invocations,
                    "cold_starts": pool.counts.cold_starts,
                    "refused": pool.counts.refused,
                    "late_bytes": pool.counts.late_bytes,
                    "outcomes": {
                        name_of_kind(kind): count
                        for kind, count in pool.counts.outcomes.copy().items()
                    },
                }
                for name, pool in pools.items()
            },
        }

    def _worker_config(self, function: Function) -> m.WorkerConfig:
        return m.WorkerConfig(
            function=function.name,
            code=str(self._code_folder(function)),
            handler=function.handler,
            initializer=function.initializer,
            timeout_s=function.timeout,
            memory_mb=function.memory_mb,
            environment=dict(function.environment),
            preload=tuple(function.preload),
            layers=tuple(str(layer) for layer in function.layers),
            max_response_bytes=self.max_response_bytes,
            region=function.region or self._region,
            account_id=function.account_id or self._account_id,
            service=function.service,
            qualifier=function.qualifier,
            version_id=function.version_id,
            log_project=function.log_project,
            log_store=function.log_store,
        )

    def _code_folder(self, function: Function) -> Path:
        code = Path(function.code)
        if code.is_dir():
            return code
        folder = self.holding.folder() / f"{function.name}-{next(self._instance_ids)}"
        try:
            code_package.unpack(code, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder
