"""
The states of an asynchronous invocation (spec 7.B, the words are FC's), and which may follow which.

    Enqueued ─▶ Dequeued ─▶ Running ─▶ Succeeded | Failed
        ▲           │          │
        │           │          └─▶ Retrying ─▶ Dequeued …
        └───────────┴── whoever had it is gone, or gave it back

Asked to stop, one that waits is Stopped at once; one that somebody has is Stopping until he has
ended it. One that waited too long is Expired; one whose function is not there, Invalid.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final


class Status(StrEnum):
    """What users see."""

    ENQUEUED = "Enqueued"
    DEQUEUED = "Dequeued"
    RUNNING = "Running"
    RETRYING = "Retrying"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class Phase(IntEnum):
    """Whose turn it is: what the queue goes by."""

    WAITING = 0  # anybody's: to be run, or its destination to be told
    HELD = 1  # its owner's
    ENDED = 2


S = Status
FINAL: Final = frozenset({S.SUCCEEDED, S.FAILED, S.STOPPED, S.EXPIRED, S.INVALID})
WITHOUT_RESULT: Final = frozenset({S.STOPPED, S.EXPIRED, S.INVALID})
FOLLOWING: Final[Mapping[Status, frozenset[Status]]] = {
    S.ENQUEUED: frozenset({S.DEQUEUED, S.STOPPED, S.EXPIRED}),
    S.RETRYING: frozenset({S.DEQUEUED, S.STOPPED, S.EXPIRED}),
    # Running may never have been written down: those that soon end are not.
    S.DEQUEUED: frozenset({S.RUNNING, S.STOPPING, S.ENQUEUED, S.RETRYING}) | FINAL,
    S.RUNNING: frozenset({S.STOPPING, S.ENQUEUED, S.RETRYING}) | FINAL,
    S.STOPPING: frozenset({S.STOPPED, S.SUCCEEDED, S.FAILED}),
    # By hand: `Store.retry`.
    S.SUCCEEDED: frozenset({S.ENQUEUED}),
    S.FAILED: frozenset({S.ENQUEUED}),
    S.STOPPED: frozenset({S.ENQUEUED}),
    S.EXPIRED: frozenset({S.ENQUEUED}),
    S.INVALID: frozenset({S.ENQUEUED}),
}


def before(status: Status) -> list[str]:
    """The states from which *status* can be reached, sorted: for a condition in SQL."""
    return sorted(known.value for known, following in FOLLOWING.items() if status in following)
