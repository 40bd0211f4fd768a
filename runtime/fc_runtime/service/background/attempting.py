"""One run of a task: as an invocation whose client never leaves."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime
from fc_runtime.errors import FunctionNotFoundError
from fc_runtime.outcome import InitializationFailed, Raised, Result, Usage
from fc_runtime.service.background.accepting import request_in
from fc_runtime.service.background.rules import LATEST
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError
from fc_runtime.service.queue import names_in
from fc_runtime.tasks import Attempt
from fc_runtime.tasks.running import run_once

MOVES: Final = 3  # how often a function may be taken away under a call that has found it
# A function that is switched off, or to have no instances, may be allowed again: it is waited for.
PASSING: Final = frozenset({403, 429, 500, 503})


class Attempting:
    """
    What an `Engine` runs.

    Args:
        told: of each attempt: who serves, the result, and how long it all took, in milliseconds.
    """

    def __init__(
        self,
        deployer: Deployer,
        runtime: AsyncRuntime,
        told: Callable[[Deployment, Result, float], None],
    ) -> None:
        self._deployer = deployer
        self._runtime = runtime
        self._told = told

    async def __call__(self, attempt: Attempt) -> Result:
        """
        Raises FunctionNotFoundError for one that can never be run; others for what may pass.
        """
        service, function = names_in(attempt.function)
        qualifier = None if attempt.qualifier == LATEST else attempt.qualifier
        since = time.monotonic()
        for _ in range(MOVES):
            deployment = await self._deployment(service, function, qualifier)
            if deployment.load_error is not None:
                return _load_failure(deployment, attempt)
            try:
                result = await run_once(
                    self._runtime,
                    deployment.key,
                    attempt.event,
                    request_id=attempt.request_id,
                    retry_count=attempt.retry_count,
                    http=request_in(attempt.meta),
                )
            except FunctionNotFoundError:
                continue  # deleted or replaced after it was found: what is there now decides
            self._told(deployment, result, (time.monotonic() - since) * 1000)
            return result
        raise _gone("FunctionNotFound", f"there is no function {attempt.function}")

    async def _deployment(self, *asked: Any) -> Deployment:
        try:
            return self._deployer.known(*asked) or await self._deployer.deploy(*asked)
        except ApiError as error:
            if error.status in PASSING:
                raise
            raise _gone(error.code, error.message) from error


def _gone(code: str, message: str) -> FunctionNotFoundError:
    """What can never be run any more, by FC's own name for that: it is shown to clients."""
    error = FunctionNotFoundError(message)
    error.code = code  # type: ignore[misc]
    return error


def _load_failure(deployment: Deployment, attempt: Attempt) -> Result:
    """As a worker would tell it, whose code could not be loaded."""
    body = deployment.load_error or b"{}"
    told = json.loads(body)
    cause = Raised(str(told.get("errorType", "")), str(told.get("errorMessage", "")))
    return Result(
        payload=body,
        outcome=InitializationFailed(cause),
        log=b"",
        request_id=attempt.request_id,
        function=deployment.key,
        duration_ms=0.0,
        init_duration_ms=None,
        cold_start=False,
        usage=Usage(),
    )
