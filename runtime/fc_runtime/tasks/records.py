"""What is accepted, and what can be read: values, checked where they are made. No database."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fc_runtime.checks import check_label, check_whole
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.outcome import Outcome
from fc_runtime.pool.request import check_request_id
from fc_runtime.tasks.states import FINAL, Status

MOST_RETRIES: Final = 8  # FC's own, spec 7.B
MOST_AGE_S: Final = 2_592_000.0  # idem, of the schema
MOST_DELAY_S: Final = 2_592_000.0  # FC allows 3600; a timer of ours may want more
MOST_DESTINATION_CHARS: Final = 2048
MOST_META_BYTES: Final = 16 * 1024
_TASK_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    One asynchronous invocation to be accepted.

    Args:
        function: whose queue it goes to: the key that `Engine` runs it by, fairness and
            concurrency count by, and task ids are unique in; at most 512 characters.
        event: bytes for the handler; `Limits.event_bytes` at most (spec 7.B: 128 KiB).
        task_id: ``[A-Za-z_][A-Za-z0-9_-]{0,127}``; made up if None.
        request_id: for ``context.request_id``, the same in every attempt; made up if None.
        qualifier: what it was asked by; `Store.list` can filter by it.
        delay: seconds before it may run.
        max_retries: after errors of the function, 0 to 8.
        max_age: seconds, from its acceptance, after which no attempt begins.
        on_success, on_failure: a destination, as `Engine`'s resolver understands it.
        meta: JSON-able, 16 KiB at most; kept and handed back, never looked into.
    Raises: InvalidFunctionError.
    """

    function: str
    event: bytes = field(default=b"", repr=False)
    task_id: str | None = None
    request_id: str | None = None
    qualifier: str = ""
    delay: float = 0.0
    max_retries: int = 3
    max_age: float = 86_400.0
    on_success: str | None = None
    on_failure: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.function:
            raise InvalidFunctionError("function", self.function, "the name of a function")
        check_label("function", self.function)
        check_label("qualifier", self.qualifier)
        if not isinstance(self.event, bytes):
            raise InvalidFunctionError("event", type(self.event).__name__, "bytes")
        if self.task_id is not None:
            check_task_id(self.task_id)
        if self.request_id is not None:
            check_request_id(self.request_id)
        _check_seconds("delay", self.delay, 0.0, MOST_DELAY_S)
        check_whole("max_retries", self.max_retries, 0, MOST_RETRIES)
        _check_seconds("max_age", self.max_age, 1.0, MOST_AGE_S)
        for name in ("on_success", "on_failure"):
            _check_destination(name, getattr(self, name))
        self.meta_text()

    def meta_text(self) -> str:
        """``meta`` as it is stored."""
        try:
            text = json.dumps(dict(self.meta), ensure_ascii=True, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise InvalidFunctionError("meta", type(self.meta).__name__, str(error)) from error
        if len(text) > MOST_META_BYTES:
            raise InvalidFunctionError("meta", "…", f"at most {MOST_META_BYTES} bytes as JSON")
        return text


def check_task_id(task_id: object) -> None:
    """Raises InvalidFunctionError unless it is as spec 7.B has it."""
    if not isinstance(task_id, str) or not _TASK_ID.fullmatch(task_id):
        raise InvalidFunctionError(
            "task_id", task_id, "1 to 128 letters, digits, _ and -, starting with a letter or _"
        )


def new_task_id() -> str:
    """One that nobody else has."""
    return f"t{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One thing that happened to a task."""

    number: int  # 1, 2, 3 …
    status: Status
    at_ms: int  # since the epoch
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    A task as it was read. Instants are milliseconds since the epoch, None while there is none.

    ``deliveries`` counts how often it was handed to somebody who might run it; ``retries`` counts
    the attempts that followed an error of the function, as FC's alreadyRetriedTimes.
    ``error_type`` is FC's taskErrorMessage, such as ``UnhandledInvocationError``.
    ``event`` and ``payload`` (what the handler returned, or the error body of its last attempt)
    are None if they were not asked for, or are not kept.
    """

    seq: int  # order of acceptance
    function: str
    qualifier: str
    task_id: str
    request_id: str
    status: Status
    accepted_ms: int
    due_ms: int
    expires_ms: int
    started_ms: int | None
    ended_ms: int | None
    deliveries: int
    retries: int
    max_retries: int
    on_success: str | None
    on_failure: str | None
    destination_status: str | None  # Pending, Succeeded, Failed
    instance_id: str
    outcome: Outcome | None
    error_type: str
    meta: Mapping[str, Any]
    events: tuple[TaskEvent, ...]
    event: bytes | None = field(default=None, repr=False)
    payload: bytes | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        return self.status in FINAL

    @property
    def duration_ms(self) -> int | None:
        """From the beginning of its last attempt to its end."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return max(0, self.ended_ms - self.started_ms)


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, and where the next ones begin; ``next_token`` is empty at the end."""

    records: tuple[Record, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How full the queue is: what metrics want to know."""

    waiting: int  # of which some may not be due yet
    held: int  # dequeued or running, of all owners
    oldest_due_s: float  # how long the one that has waited longest has been due; 0 if none is
    waiting_by_function: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a store takes and keeps."""

    event_bytes: int = 128 * 1024  # spec 7.B
    payload_bytes: int = 1024 * 1024  # a longer result is not kept
    waiting: int = 1_000_000  # tasks, before OverloadedError
    waiting_of_one: int = 200_000  # of one function
    pending_bytes: int = 64 * 1024 * 1024  # handed over, and not on the disk yet
    keep_s: float = 7 * 86_400.0  # ended tasks, after their end

    def __post_init__(self) -> None:
        for name in ("event_bytes", "payload_bytes", "waiting", "waiting_of_one", "pending_bytes"):
            check_whole(name, getattr(self, name), 1, 2**40)
        _check_seconds("keep_s", self.keep_s, 0.0, 3650 * 86_400.0)


def _check_seconds(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFunctionError(name, value, "a number of seconds")
    if not least <= value <= most:  # also refuses NaN
        raise InvalidFunctionError(name, value, f"from {least:g} to {most:g} seconds")


def _check_destination(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not 0 < len(value) <= MOST_DESTINATION_CHARS:
        raise InvalidFunctionError(
            name, value, f"1 to {MOST_DESTINATION_CHARS} characters, or None"
        )
