"""From "invoke this, I do not wait" to a task on disk: requests, timers and destinations alike."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from fc_runtime.http import HttpRequest
from fc_runtime.service.account.addressing import qualified_arn
from fc_runtime.service.account.ledger import Ledger
from fc_runtime.service.background.rules import LATEST, Rules
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.gateway.asynchronous import Wanted
from fc_runtime.service.queue import Queue, name_of
from fc_runtime.tasks import Submission
from fc_runtime.tasks.destinations import FUNCTION_ARN

HTTP: Final = "http"  # in a task's meta: the request, for a WSGI application


class Accepting:
    """What `gateway.asynchronous.Accept` is."""

    def __init__(self, account: Ledger, deployer: Deployer, queue: Queue, rules: Rules) -> None:
        self._account = account
        self._deployer = deployer
        self._queue = queue
        self._rules = rules

    async def __call__(self, wanted: Wanted) -> str:
        """
        The task's id, once it is on disk.

        Raises ApiError: as `Deployer.deploy` (nothing is taken that could not be run now), 409 for
        an id that there is, 429 if too many wait, 503 if the store cannot be written.
        """
        service, function, qualifier = wanted.asked
        asked = (service, function, None if qualifier == LATEST else qualifier)
        if self._deployer.known(*asked) is None:
            await self._deployer.deploy(*asked)
        rule = self._rules.known(*asked)
        if rule is None:
            rule = await asyncio.to_thread(self._rules.of, *asked)
        submission = Submission(
            function=name_of(service, function),
            event=wanted.event,
            task_id=wanted.task_id,
            request_id=wanted.request_id,
            qualifier=qualifier or LATEST,
            delay=wanted.delay_s,
            max_retries=rule.max_retries,
            max_age=rule.max_age,
            on_success=rule.on_success,
            on_failure=rule.on_failure,
            meta=self._meta(wanted),
        )
        record = await self._queue.accept(submission)
        return record.task_id

    def _meta(self, wanted: Wanted) -> Mapping[str, Any]:
        service, function, qualifier = wanted.asked
        arn = qualified_arn(self._account, service, function, qualifier)
        if wanted.http is None:
            return {FUNCTION_ARN: arn}
        return {FUNCTION_ARN: arn, HTTP: asdict(wanted.http)}


def request_in(meta: Mapping[str, Any]) -> HttpRequest | None:
    """What `Accepting` has put there."""
    return HttpRequest(**meta[HTTP]) if HTTP in meta else None
