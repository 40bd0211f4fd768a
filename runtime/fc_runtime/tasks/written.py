"""What is written as JSON in the store: outcomes, and what happened to a task."""

import json
from dataclasses import asdict, fields
from typing import Any, Final

from fc_runtime.outcome import (
    Crashed,
    InitializationCause,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Returned,
    TimedOut,
    name_of,
)
from fc_runtime.tasks.records import TaskEvent
from fc_runtime.tasks.states import Status

MOST_TEXT_CHARS: Final = 8 * 1024  # of a message, a traceback: the end of it says most
_KINDS: Final[dict[str, type[Any]]] = {
    "returned": Returned,
    "raised": Raised,
    "timed_out": TimedOut,
    "out_of_memory": OutOfMemory,
    "crashed": Crashed,
    "response_rejected": ResponseRejected,
}


def outcome_text(outcome: Outcome) -> str:
    """As it is stored; long texts lose their beginning."""
    if isinstance(outcome, InitializationFailed):
        return _text({"kind": name_of(outcome), "cause": _fields(outcome.cause)})
    return _text(_fields(outcome))


def outcome_from(text: str | None) -> Outcome | None:
    """What was stored; None for one that a later version wrote and this one does not know."""
    if not text:
        return None
    told = json.loads(text)
    if told["kind"] == "initialization_failed":
        cause = _outcome(told["cause"])
        return InitializationFailed(cause) if isinstance(cause, InitializationCause) else None
    return _outcome(told)


def event_line(status: Status, at_ms: int, detail: str = "") -> str:
    """One line, to be put behind the others."""
    told: dict[str, Any] = {"s": status.value, "t": at_ms}
    if detail:
        told["d"] = detail[:MOST_TEXT_CHARS]
    return _text(told) + "\n"


def events_from(text: str) -> tuple[TaskEvent, ...]:
    """All lines, numbered from 1."""
    told = [json.loads(line) for line in text.splitlines()]
    return tuple(
        TaskEvent(number, Status(one["s"]), int(one["t"]), one.get("d", ""))
        for number, one in enumerate(told, 1)
    )


def _fields(outcome: Outcome) -> dict[str, Any]:
    told = {
        name: value[-MOST_TEXT_CHARS:] if isinstance(value, str) else value
        for name, value in asdict(outcome).items()
    }
    return {"kind": name_of(outcome), **told}


def _outcome(told: dict[str, Any]) -> Outcome | None:
    kind = _KINDS.get(told.pop("kind"))
    if kind is None:
        return None
    known = {field.name for field in fields(kind)}
    made: Outcome = kind(**{name: value for name, value in told.items() if name in known})
    return made


def _text(value: object) -> str:
    # ASCII: PostgreSQL takes no NUL in a text, nor a lone surrogate; escaped, both may stand.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
