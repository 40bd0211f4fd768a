"""What is done to a task by hand: stopped, or run once more. On the writer's thread."""

from sqlalchemy import Connection, delete, update

from fc_runtime.errors import FcRuntimeError, InvalidFunctionError, TaskNotFoundError
from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.fullness import Fullness
from fc_runtime.tasks.reading import body_key, is_task, read
from fc_runtime.tasks.records import Record
from fc_runtime.tasks.schema import BODIES, IS_ENDED, IS_HELD, IS_WAITING, PAYLOAD, TASKS
from fc_runtime.tasks.states import Phase, Status, before
from fc_runtime.tasks.written import event_line


def stop(
    connection: Connection, fullness: Fullness, function: str, task_id: str
) -> Record | FcRuntimeError:
    """See `Store.stop`."""
    now = now_ms()
    waits = update(TASKS).where(
        is_task(function, task_id),
        IS_WAITING,
        TASKS.c.status.in_(before(Status.STOPPED)),
    )
    ended = connection.execute(
        waits.values(
            phase=Phase.ENDED,
            status=Status.STOPPED,
            ended_ms=now,
            purge_ms=now + round(fullness.limits.keep_s * 1000),
            events=TASKS.c.events + event_line(Status.STOPPED, now),
        )
    )
    if ended.rowcount:
        fullness.add(function, -1)
    else:
        held = update(TASKS).where(
            is_task(function, task_id),
            IS_HELD,
            TASKS.c.status.in_(before(Status.STOPPING)),
        )
        connection.execute(
            held.values(
                status=Status.STOPPING,
                events=TASKS.c.events + event_line(Status.STOPPING, now),
            )
        )
    return _read(connection, function, task_id)


def retry(
    connection: Connection, fullness: Fullness, function: str, task_id: str
) -> Record | FcRuntimeError:
    """See `Store.retry`."""
    now = now_ms()
    again = update(TASKS).where(is_task(function, task_id), IS_ENDED)
    changed = connection.execute(
        again.values(
            phase=Phase.WAITING,
            status=Status.ENQUEUED,
            due_ms=now,
            expires_ms=now + TASKS.c.expires_ms - TASKS.c.accepted_ms,
            accepted_ms=now,
            started_ms=None,
            ended_ms=None,
            purge_ms=None,
            retries=0,
            setbacks=0,
            destination_status=None,
            outcome=None,
            error_type="",
            events=TASKS.c.events + event_line(Status.ENQUEUED, now, "by hand"),
        )
    ).rowcount
    record = _read(connection, function, task_id)
    if isinstance(record, Record):
        if not changed:
            return InvalidFunctionError("task_id", task_id, f"it is {record.status}: stop it first")
        fullness.add(function, 1)
        connection.execute(delete(BODIES).where(BODIES.c.key == body_key(record.seq, PAYLOAD)))
    return record


def _read(connection: Connection, function: str, task_id: str) -> Record | FcRuntimeError:
    try:
        return read(connection, function, task_id, bodies=False)
    except TaskNotFoundError as error:
        return error
