"""From rows to records, and the questions that can be asked of them."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, select

from fc_runtime.checks import check_whole
from fc_runtime.errors import InvalidFunctionError, TaskNotFoundError
from fc_runtime.tasks.records import Page, Record
from fc_runtime.tasks.schema import BODIES, EVENT, PAYLOAD, TASKS
from fc_runtime.tasks.states import Status
from fc_runtime.tasks.written import events_from, outcome_from

MOST_ON_A_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """
    Which tasks to list. Newest first, by acceptance; *ascending* the other way.

    Args:
        function: None for those of all.
        qualifier: None for any.
        statuses: empty for any.
        prefix: of the task id.
        started_from_ms, started_to_ms: when its last attempt began, both included; None for any,
            those that have not begun among them.
        limit: of one page, 1 to 1000.
        token: `Page.next_token` of the page before.
        bodies: with event and payload.
    Raises: InvalidFunctionError.
    """

    function: str | None = None
    qualifier: str | None = None
    statuses: Collection[Status] = ()
    prefix: str = ""
    started_from_ms: int | None = None
    started_to_ms: int | None = None
    ascending: bool = False
    limit: int = 50
    token: str = ""
    bodies: bool = False

    def __post_init__(self) -> None:
        for status in self.statuses:
            if status not in list(Status):
                raise InvalidFunctionError("statuses", status, f"of {', '.join(Status)}")
        check_whole("limit", self.limit, 1, MOST_ON_A_PAGE)
        if self.token and not (self.token.isascii() and self.token.isdigit()):
            raise InvalidFunctionError("token", self.token, "the next_token of a page before")

    def page(self, connection: Connection) -> Page:
        """What there is now."""
        found = self._select().limit(self.limit + 1)
        rows = list(connection.execute(found))
        more = len(rows) > self.limit
        rows = rows[: self.limit]
        bodies = bodies_of(connection, [row.seq for row in rows]) if self.bodies else {}
        records = tuple(record_from(row, bodies) for row in rows)
        return Page(records, str(records[-1].seq) if more else "")

    def _select(self) -> Select[Any]:
        columns = TASKS.c
        conditions: list[ColumnElement[bool]] = []
        if self.function is not None:
            conditions.append(columns.function == self.function)
        if self.qualifier is not None:
            conditions.append(columns.qualifier == self.qualifier)
        if self.statuses:
            conditions.append(columns.status.in_(sorted(Status(one) for one in self.statuses)))
        if self.prefix:
            conditions.append(columns.task_id.startswith(self.prefix, autoescape=True))
        if self.started_from_ms is not None:
            conditions.append(columns.started_ms >= self.started_from_ms)
        if self.started_to_ms is not None:
            conditions.append(columns.started_ms <= self.started_to_ms)
        if self.token:
            last = int(self.token)
            conditions.append(columns.seq > last if self.ascending else columns.seq < last)
        order = columns.seq.asc() if self.ascending else columns.seq.desc()
        return select(TASKS).where(*conditions).order_by(order)


def is_task(function: str, task_id: str) -> ColumnElement[bool]:
    """The condition for one."""
    return (TASKS.c.function == function) & (TASKS.c.task_id == task_id)


def read(connection: Connection, function: str, task_id: str, *, bodies: bool) -> Record:
    """One of them. Raises TaskNotFoundError."""
    row = connection.execute(select(TASKS).where(is_task(function, task_id))).first()
    if row is None:
        raise TaskNotFoundError(f"{function} has no task {task_id!r}")
    return record_from(row, bodies_of(connection, [row.seq]) if bodies else {})


def body_key(seq: int, kind: int) -> int:
    """Of EVENT or PAYLOAD, in `BODIES`."""
    return 2 * seq + kind


_BODIES: Final = select(BODIES.c.key, BODIES.c.body).where(
    BODIES.c.key.in_(bindparam("keys", expanding=True))
)


def bodies_of(connection: Connection, seqs: Iterable[int]) -> dict[int, bytes]:
    """Events and payloads of these tasks, by `body_key`."""
    keys = [body_key(seq, kind) for seq in seqs for kind in (EVENT, PAYLOAD)]
    found = connection.execute(_BODIES, {"keys": keys}).all()
    return {key: bytes(body) for key, body in found}


def record_from(row: Row[Any], bodies: dict[int, bytes]) -> Record:
    """A row of `TASKS`, whole."""
    return Record(
        seq=row.seq,
        function=row.function,
        qualifier=row.qualifier,
        task_id=row.task_id,
        request_id=row.request_id,
        status=Status(row.status),
        accepted_ms=row.accepted_ms,
        due_ms=row.due_ms,
        expires_ms=row.expires_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        deliveries=row.deliveries,
        retries=row.retries,
        max_retries=row.max_retries,
        on_success=row.on_success,
        on_failure=row.on_failure,
        destination_status=row.destination_status,
        instance_id=row.instance_id,
        outcome=outcome_from(row.outcome),
        error_type=row.error_type,
        meta=json.loads(row.meta),
        events=events_from(row.events),
        event=bodies.get(body_key(row.seq, EVENT)),
        payload=bodies.get(body_key(row.seq, PAYLOAD)),
    )
