"""
The asynchronous invocations of this account's functions: a `tasks.Store`, in the API's own words.

A function's queue has the name that people write: ``function``, or of FC2 ``service/function``.
What the store refuses becomes an `ApiError`; a conflict, and an id that is not known, have codes of
their own in each family.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fc_runtime.errors import (
    EventTooLargeError,
    InvalidFunctionError,
    OverloadedError,
    RuntimeClosedError,
    StoreError,
    TaskExistsError,
    TaskNotFoundError,
)
from fc_runtime.service.errors import ApiError, already_exists, invalid, not_found
from fc_runtime.tasks import Depth, Limits, Page, Query, Record, Store, Submission

MOST_DELAY_S: Final = 3600  # as FC's documents have it
TASK_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")  # spec 7.B
FC3: Final = "AsyncTask"
FC2: Final = "StatefulAsyncInvocation"
# An HTTP trigger's event holds a body of FC's 128 KiB in base64, and what came with it.
EVENT_BYTES: Final = 256 * 1024


def name_of(service: str, function: str) -> str:
    """*service* is empty for FC3."""
    return f"{service}/{function}" if service else function


def names_in(queue: str) -> tuple[str, str]:
    """What `name_of` was given."""
    service, _, function = queue.rpartition("/")
    return service, function


class Queue:
    """
    Thread-safe. All but `accept` block.

    Args:
        store: closed by whoever opened it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def accept(self, submission: Submission) -> Record:
        """Once it is on the disk. Raises ApiError 400, 409, 429, 503."""
        service, _ = names_in(submission.function)
        with _refusals(service, submission.task_id or ""):
            # Whoever asked may go: what was handed over is written all the same.
            return await asyncio.shield(asyncio.wrap_future(self.store.accept_soon(submission)))

    def get(self, service: str, function: str, task_id: str) -> Record:
        """With event and payload. Raises ApiError 404, 503."""
        with _refusals(service, task_id):
            return self.store.get(name_of(service, function), task_id)

    def page(self, query: Callable[[], Query]) -> Page:
        """What it asks for. Raises ApiError 400, 503."""
        with _refusals("", ""):
            return self.store.list(query())

    def stop(self, service: str, function: str, task_id: str) -> Record:
        """One that runs is told to; one that has ended stays as it is. Raises ApiError 404, 503."""
        with _refusals(service, task_id):
            return self.store.stop(name_of(service, function), task_id)

    def retry(self, service: str, function: str, task_id: str) -> Record:
        """Once more, from the start. Raises ApiError 404, 503; 400 for one that has not ended."""
        with _refusals(service, task_id):
            return self.store.retry(name_of(service, function), task_id)

    def depth(self) -> Depth:
        """Raises StoreError."""
        return self.store.depth()


@contextmanager
def _refusals(service: str, task_id: str) -> Iterator[None]:
    kind = FC2 if service else FC3
    try:
        yield
    except TaskNotFoundError as error:
        raise not_found(kind, task_id) from error
    except TaskExistsError as error:
        raise already_exists(kind, task_id) from error
    except OverloadedError as error:
        raise ApiError(429, "ResourceThrottled", str(error), {"Retry-After": "1"}) from error
    except EventTooLargeError as error:
        raise ApiError(400, "EntityTooLarge", str(error)) from error
    except InvalidFunctionError as error:
        raise invalid(str(error)) from error
    except (StoreError, RuntimeClosedError) as error:
        raise ApiError(503, "ServiceUnavailable", str(error), {"Retry-After": "1"}) from error


LIMITS: Final = Limits(event_bytes=EVENT_BYTES)
