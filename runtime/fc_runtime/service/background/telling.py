"""Who is told of the outcome of a task: a function of this account, or a URL."""

from dataclasses import dataclass
from typing import Final

from fc_runtime.service.background.accepting import Accepting
from fc_runtime.service.destinations import OfFunction, OfUrl, destination
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.asynchronous import Wanted
from fc_runtime.service.gateway.ids import RequestIds
from fc_runtime.service.gateway.paths import Asked
from fc_runtime.tasks import Destination, Record, UndeliverableError, WebhookDestination
from fc_runtime.tasks.destinations import event_body

PASSING: Final = frozenset({403, 429, 500, 503})
TOLD_BEFORE: Final = 409


class Telling:
    """What an `Engine` resolves destinations by."""

    def __init__(self, accept: Accepting) -> None:
        self._accept = accept
        self._ids = RequestIds()

    def __call__(self, text: str, _ended: Record) -> Destination:
        """Raises UndeliverableError for one of the cloud's own."""
        found = destination(text)
        match found:
            case OfUrl(url):
                return WebhookDestination(url)
            case OfFunction(service, function, qualifier):
                asked = Asked(service, function, qualifier)
                return _ToFunction(self._accept, asked, self._ids.new(fc2=bool(service)))
            case None:
                raise UndeliverableError(f"{text}: neither a function's ARN nor a URL")


@dataclass(frozen=True, slots=True)
class _ToFunction:
    """By the rules of that function; its task has an id that makes telling it twice the same."""

    accept: Accepting
    asked: Asked
    request_id: str

    async def deliver(self, ended: Record) -> None:
        task_id = f"d{ended.seq}-{ended.accepted_ms}-{ended.deliveries}"
        event = event_body(ended)
        try:
            await self.accept(Wanted(self.asked, event, self.request_id, task_id, 0.0))
        except ApiError as error:
            if error.status == TOLD_BEFORE:
                return
            if error.status in PASSING:
                raise
            raise UndeliverableError(f"{error.code}: {error.message}") from error
