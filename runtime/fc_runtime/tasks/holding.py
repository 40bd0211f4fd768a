"""What passes between an engine and `queue`: tasks that are held, and what is to be written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Row

from fc_runtime.tasks.owners import Owner
from fc_runtime.tasks.reading import body_key
from fc_runtime.tasks.schema import EVENT
from fc_runtime.tasks.states import FINAL, Phase, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a task: what whoever runs it has to know."""

    seq: int
    function: str
    qualifier: str
    task_id: str
    request_id: str  # the same in every attempt
    event: bytes = field(repr=False)
    retry_count: int  # how often it may have been begun before: for ``context.retry_count``
    accepted_ms: int
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A task that is ours: to be run, or, if ``status`` is final, its destination to be told."""

    attempt: Attempt
    status: Status
    deliveries: int
    retries: int
    setbacks: int
    max_retries: int
    expires_ms: int
    on_success: str | None
    on_failure: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in FINAL

    @classmethod
    def from_row(cls, row: Row[Any], bodies: Mapping[int, bytes]) -> Self:
        """A row of `TASKS`, as it was before it was taken."""
        status = Status(row.status)
        return cls(
            attempt=Attempt(
                seq=row.seq,
                function=row.function,
                qualifier=row.qualifier,
                task_id=row.task_id,
                request_id=row.request_id,
                event=bodies.get(body_key(row.seq, EVENT), b""),
                retry_count=row.deliveries,
                accepted_ms=row.accepted_ms,
                meta=json.loads(row.meta),
            ),
            status=status if status in FINAL else Status.DEQUEUED,
            deliveries=row.deliveries + (status not in FINAL),
            retries=row.retries,
            setbacks=row.setbacks,
            max_retries=row.max_retries,
            expires_ms=row.expires_ms,
            on_success=row.on_success,
            on_failure=row.on_failure,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """It runs: worth writing down once it has lasted a moment."""

    owner: str
    held: Held
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    What has become of one that is held. ``lines`` are put behind its events; ``deliveries`` is one
    less than before if it was not begun after all. One that ``settles`` is of a task that had ended
    before: what has become of its destination, and nothing else.
    """

    owner: str
    held: Held
    phase: Phase
    status: Status
    lines: str
    deliveries: int
    retries: int
    setbacks: int
    due_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    purge_ms: int | None = None
    destination_status: str | None = None
    instance_id: str = ""
    outcome: str | None = None
    error_type: str = ""
    payload: bytes | None = None
    settles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How much an engine wants, and of whom."""

    owner: Owner
    lease_s: float
    after: str  # the function whose turn it was last
    rooms: Callable[[str], int]  # of a function: on the writer's thread
    taken: Mapping[str, int]
    free: int
    kept: int  # of the free places, for functions that have none


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    What it got. There may be more that is due of the functions in ``deep``, there is none of those
    in ``shallow``. ``blocked``: there are places, but not for those whose turn it is.
    """

    held: list[Held]
    after: str
    blocked: bool
    deep: frozenset[str]
    shallow: frozenset[str]
    next_due_ms: int | None
    lost: bool  # everything that it held before: others thought it dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life, and a look around. ``holds``: whether there is anything to keep."""

    owner: Owner
    lease_s: float
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there was to see."""

    lost: bool
    to_stop: list[int]  # seq of those that are ours
    taken_over: int
