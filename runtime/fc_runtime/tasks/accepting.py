"""Many submissions, one statement: what `Store.accept` does on the writer's thread."""

import uuid
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

from sqlalchemy import Connection, Executable, insert

from fc_runtime.errors import FcRuntimeError, TaskExistsError
from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.fullness import Fullness
from fc_runtime.tasks.reading import body_key
from fc_runtime.tasks.records import Record, Submission, new_task_id
from fc_runtime.tasks.schema import BODIES, EVENT, TASKS
from fc_runtime.tasks.states import Phase, Status
from fc_runtime.tasks.written import event_line, events_from

_INSERT_BODIES: Final = insert(BODIES)


def accept(
    connection: Connection, fullness: Fullness, submissions: Sequence[Submission]
) -> list[Record | FcRuntimeError]:
    """Put them in the queue, or say of each why not: it is full, or knows that id."""
    now = now_ms()
    told: list[FcRuntimeError | None] = []
    rows = []
    for submission in submissions:
        refusal = fullness.refusal(connection, submission.function)
        told.append(refusal)
        if refusal is None:
            rows.append(_row(submission, now))
    inserted = _insert(connection, rows) if rows else {}
    bodies = []
    left = iter(rows)
    answers: list[Record | FcRuntimeError] = []
    for submission, refused in zip(submissions, told, strict=True):
        if refused is not None:
            answers.append(refused)
            continue
        row = next(left)
        seq = inserted.pop((row["function"], row["task_id"]), None)
        if seq is None:
            fullness.add(submission.function, -1)
            answers.append(TaskExistsError(f"{row['function']} has a task {row['task_id']!r}"))
            continue
        if submission.event:
            bodies.append({"key": body_key(seq, EVENT), "body": submission.event})
        answers.append(_record(submission, row, seq))
    if bodies:
        connection.execute(_INSERT_BODIES, bodies)
    return answers


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Numbers of those that were new, by function and task id."""
    inserted = connection.execute(_insertion(connection.dialect.name), list(rows)).all()
    return {(function, task_id): seq for seq, function, task_id in inserted}


@cache
def _insertion(dialect: str) -> Executable:
    insert_here: Any = import_module(f"sqlalchemy.dialects.{dialect}").insert  # both are slow
    new = insert_here(TASKS).on_conflict_do_nothing(
        index_elements=[TASKS.c.function, TASKS.c.task_id]
    )
    statement: Executable = new.returning(TASKS.c.seq, TASKS.c.function, TASKS.c.task_id)
    return statement


def _row(submission: Submission, now: int) -> dict[str, Any]:
    return {
        "function": submission.function,
        "task_id": submission.task_id or new_task_id(),
        "qualifier": submission.qualifier,
        "request_id": submission.request_id or str(uuid.uuid4()),
        "phase": int(Phase.WAITING),
        "status": Status.ENQUEUED.value,
        "accepted_ms": now,
        "due_ms": now + round(submission.delay * 1000),
        "expires_ms": now + round(submission.max_age * 1000),
        "deliveries": 0,
        "retries": 0,
        "setbacks": 0,
        "max_retries": submission.max_retries,
        "on_success": submission.on_success,
        "on_failure": submission.on_failure,
        "instance_id": "",
        "error_type": "",
        "meta": submission.meta_text(),
        "events": event_line(Status.ENQUEUED, now),
    }


def _record(submission: Submission, row: dict[str, Any], seq: int) -> Record:
    written = {"function", "qualifier", "task_id", "request_id", "accepted_ms", "due_ms"}
    written |= {"expires_ms", "deliveries", "retries", "max_retries", "on_success", "on_failure"}
    return Record(
        **{name: row[name] for name in written},
        seq=seq,
        status=Status.ENQUEUED,
        started_ms=None,
        ended_ms=None,
        destination_status=None,
        instance_id="",
        outcome=None,
        error_type="",
        meta=submission.meta,
        events=events_from(row["events"]),
        event=submission.event,
    )
