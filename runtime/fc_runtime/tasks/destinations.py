"""
Who is told when a task has ended: the interface, the event (spec 7.B), and two that are ours.

A destination is told at least once. `Engine` tries again, also after a restart, until it was told
or `Policy.delivery_tries` is reached; what became of it is ``Record.destination_status``.
"""

import json
import urllib.error
import urllib.request
from asyncio import wrap_future
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fc_runtime.errors import EventTooLargeError, TaskExistsError
from fc_runtime.outcome import Returned
from fc_runtime.tasks.records import Record, Submission
from fc_runtime.tasks.states import Status
from fc_runtime.tasks.store import Store
from fc_runtime.tasks.threads import in_thread

WEBHOOK_S: Final = 10.0
FUNCTION_ARN: Final = "functionArn"  # in `Submission.meta`: what the event says of the function


class UndeliverableError(Exception):
    """Another try would be no use: the destination is not there, or will not have it."""


class Destination(Protocol):
    """
    Told of one task. Raises `UndeliverableError` to be asked no more, anything else to be asked
    again. May be told twice of the same task.
    """

    async def deliver(self, ended: Record) -> None:
        """*ended* is in its last state, with event and payload."""


Resolve = Callable[[str, Record], Destination]
"""From ``on_success`` or ``on_failure`` of a task to who is told. Raises as `Destination` does."""


def destination_event(ended: Record) -> dict[str, Any]:
    """
    What a destination gets to know, in FC's shape (spec 7.B).

    ``requestPayload`` and ``responsePayload`` are texts; bytes that are not UTF-8 are escaped.
    """
    succeeded = ended.status is Status.SUCCEEDED
    return {
        "timestamp": ended.ended_ms,
        "requestContext": {
            "requestId": ended.request_id,
            "functionArn": ended.meta.get(FUNCTION_ARN, ended.function),
            "condition": "Success" if succeeded else condition(ended),
            "approximateInvokeCount": ended.deliveries,
        },
        "requestPayload": _text(ended.event),
        "responseContext": {
            "statusCode": 200,
            "functionError": "" if isinstance(ended.outcome, Returned) else ended.error_type,
        },
        "responsePayload": _text(ended.payload),
    }


def condition(ended: Record) -> str:
    """Why it has failed: a word."""
    if ended.status is Status.EXPIRED:
        return "EventAgeExceeded"
    return ended.status.value if ended.status is not Status.FAILED else "RetriesExhausted"


def event_body(ended: Record) -> bytes:
    """`destination_event` as JSON."""
    return json.dumps(destination_event(ended), ensure_ascii=False).encode(
        "utf-8", "backslashreplace"
    )


@dataclass(frozen=True, slots=True)
class FunctionDestination:
    """
    Another function, invoked asynchronously through the same store. Its task has an id made of the
    ended one's, so that it is accepted once however often it is told.
    """

    store: Store
    function: str
    qualifier: str = ""
    meta: Mapping[str, Any] | None = None

    async def deliver(self, ended: Record) -> None:
        submission = Submission(
            function=self.function,
            event=event_body(ended),
            task_id=f"d{ended.seq}-{ended.accepted_ms}-{ended.deliveries}",
            qualifier=self.qualifier,
            meta=self.meta or {},
        )
        try:
            await wrap_future(self.store.accept_soon(submission))
        except TaskExistsError:
            return  # told before
        except EventTooLargeError as error:
            raise UndeliverableError(str(error)) from error


@dataclass(frozen=True, slots=True)
class WebhookDestination:
    """An HTTP or HTTPS address, that the event is POSTed to; any status below 300 will do."""

    url: str
    timeout_s: float = WEBHOOK_S

    async def deliver(self, ended: Record) -> None:

        await in_thread(lambda: self._post(event_body(ended), ended.request_id))

    def _post(self, body: bytes, request_id: str) -> None:
        headers = {"Content-Type": "application/json", "X-Fc-Request-Id": request_id}
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310 (checked below)
        if request.type not in ("http", "https"):
            raise UndeliverableError(f"{self.url}: not an HTTP address")
        try:
            with _OPENER.open(request, timeout=self.timeout_s):
                return
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                raise OSError(f"it answered with status {error.code}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A POST that is sent on becomes a GET without a body: told as an error instead."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirects)


def _text(body: bytes | None) -> str:
    return (body or b"").decode("utf-8", "backslashreplace")
