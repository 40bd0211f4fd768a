"""
The queue, as engines see it: take, and write down what came of it. On the writer's thread.

Who holds a task is fenced: what is written of it names its owner and the number of its delivery,
and is dropped if it is somebody else's by now.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, case, func, insert, literal, select, update

from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.fullness import Fullness
from fc_runtime.tasks.holding import Ask, Change, Held, Mark, Taken
from fc_runtime.tasks.leases import renew
from fc_runtime.tasks.owners import Owner
from fc_runtime.tasks.policy import shares
from fc_runtime.tasks.reading import bodies_of, body_key
from fc_runtime.tasks.schema import BODIES, IS_HELD, IS_WAITING, PAYLOAD, TASKS
from fc_runtime.tasks.states import FINAL, Phase, Status
from fc_runtime.tasks.written import event_line

FUNCTIONS_A_TURN: Final = 32
EXPIRED_A_TIME: Final = 200
_COLUMNS: Final = TASKS.c
_FINAL: Final = _COLUMNS.status.in_(sorted(FINAL))
_OURS: Final = (
    _COLUMNS.seq == bindparam("of_seq"),
    IS_HELD,
    _COLUMNS.owner == bindparam("of_owner"),
    _COLUMNS.deliveries == bindparam("of_deliveries"),
)
_SETTLED: Final = "phase owner due_ms setbacks purge_ms destination_status".split()
_CHANGED: Final = (
    *_SETTLED,
    *("status", "deliveries", "retries", "started_ms", "ended_ms"),
    *("instance_id", "outcome", "error_type"),
)
_CHANGE: Final = (
    update(TASKS)
    .where(*_OURS)
    .values(
        **{name: bindparam(f"new_{name}") for name in _CHANGED},
        events=_COLUMNS.events + bindparam("new_lines"),
    )
)
_SETTLE: Final = (
    update(TASKS)
    .where(*_OURS)
    .values(
        **{name: bindparam(f"new_{name}") for name in _SETTLED},
        events=_COLUMNS.events + bindparam("new_lines"),
    )
)
_MARK: Final = (
    update(TASKS)
    .where(*_OURS, _COLUMNS.status == Status.DEQUEUED.value)
    .values(
        status=Status.RUNNING.value,
        started_ms=bindparam("new_started_ms"),
        events=_COLUMNS.events + bindparam("new_lines"),
    )
)
_INSERT_BODIES: Final = insert(BODIES)
_OF_FUNCTION: Final = (IS_WAITING, _COLUMNS.function == bindparam("of_function"))
_DUE: Final = (
    select(TASKS)
    .where(*_OF_FUNCTION, _COLUMNS.due_ms <= bindparam("now"))
    .order_by(_COLUMNS.due_ms, _COLUMNS.seq)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_NEXT_DUE: Final = select(func.min(_COLUMNS.due_ms)).where(
    *_OF_FUNCTION, _COLUMNS.due_ms > bindparam("now")
)
_HOLD: Final = (
    update(TASKS)
    .where(_COLUMNS.seq.in_(bindparam("seqs", expanding=True)))
    .values(
        phase=int(Phase.HELD),
        owner=bindparam("by_owner"),
        status=case((_FINAL, _COLUMNS.status), else_=literal(Status.DEQUEUED.value)),
        deliveries=_COLUMNS.deliveries + case((_FINAL, 0), else_=1),
        events=_COLUMNS.events + case((_FINAL, literal("")), else_=bindparam("line")),
    )
)
_STILL_HELD: Final = (
    select(_COLUMNS.seq, _COLUMNS.owner, _COLUMNS.deliveries, _COLUMNS.status)
    .where(_COLUMNS.seq.in_(bindparam("seqs", expanding=True)), IS_HELD)
    .order_by(_COLUMNS.seq)
    .with_for_update()
)


def _waiting_functions() -> Select[tuple[str]]:
    """
    Those that have tasks, from the one after ``after`` on, a turn's worth: by leaps through the
    index, from the first task of one to the first of the next, however many each has.
    """
    first = select(func.min(_COLUMNS.function).label("function")).where(
        IS_WAITING, _COLUMNS.function > bindparam("after")
    )
    names = first.cte("names", recursive=True)
    following = (
        select(func.min(_COLUMNS.function))
        .where(IS_WAITING, _COLUMNS.function > names.c.function)
        .correlate(names)
        .scalar_subquery()
    )
    names = names.union_all(select(following).where(names.c.function.is_not(None)))
    return select(names.c.function).where(names.c.function.is_not(None)).limit(FUNCTIONS_A_TURN)


_WAITING: Final = _waiting_functions()


# -- taking ------------------------------------------------------------------------------------


def take(connection: Connection, fullness: Fullness, ask: Ask) -> Taken:
    """Some of those that are due, of each function in turn."""
    kept_alive = renew(connection, ask.owner, ask.lease_s)
    now = now_ms()
    waiting = connection.execute(_WAITING, {"after": ask.after}).scalars()
    functions = [str(name) for name in waiting]
    rooms = {function: ask.rooms(function) for function in functions}
    given = shares(rooms, dict(ask.taken), ask.free, ask.kept)
    rows: list[Any] = []
    deep: set[str] = set()
    dues: list[int] = []
    for function, count in given.items():
        asked = {"of_function": function, "now": now}
        mine = connection.execute(_DUE, asked | {"most": count}).all()
        rows += mine
        if len(mine) == count:
            deep.add(function)
            continue
        told = connection.execute(_NEXT_DUE, asked).scalar()
        if told is not None:
            dues.append(told)
    left_out = [name for name in functions if rooms[name] > 0 and name not in given]
    full = [name for name in functions if rooms[name] <= 0]
    if left_out:  # they come first the next time
        after = next(reversed(given), ask.after)
    else:  # those that have not been looked at
        after = functions[-1] if len(functions) == FUNCTIONS_A_TURN else ""
    return Taken(
        held=_hold(connection, fullness, ask.owner, rows, now),
        after=after,
        blocked=bool(left_out) and not rows,
        deep=frozenset(deep.union(left_out, full)),
        shallow=frozenset(given.keys() - deep),
        next_due_ms=min(dues, default=None),
        lost=not kept_alive,
    )


def take_expired(connection: Connection, fullness: Fullness, owner: Owner) -> list[Held]:
    """Some that have waited too long, whatever they wait for."""
    now = now_ms()
    late = (IS_WAITING, _COLUMNS.expires_ms <= now, ~_FINAL)
    found = select(TASKS).where(*late).limit(EXPIRED_A_TIME).with_for_update(skip_locked=True)
    return _hold(connection, fullness, owner, list(connection.execute(found)), now)


def _hold(
    connection: Connection, fullness: Fullness, owner: Owner, rows: Sequence[Any], now: int
) -> list[Held]:
    if not rows:
        return []
    seqs = [row.seq for row in rows]
    line = event_line(Status.DEQUEUED, now)
    connection.execute(_HOLD, {"seqs": seqs, "by_owner": owner.owner, "line": line})
    bodies = bodies_of(connection, seqs)
    for row in rows:
        fullness.add(row.function, -1)
    return [Held.from_row(row, bodies) for row in rows]


# -- writing down ------------------------------------------------------------------------------


def write(
    connection: Connection, fullness: Fullness, told: Sequence[Mark | Change]
) -> list[Status | None]:
    """What has become of some. Answers with the state each has now; None if it is not ours."""
    marks = [_mark(one) for one in told if isinstance(one, Mark)]
    if marks:
        connection.execute(_MARK, marks)
    changes = [one for one in told if isinstance(one, Change)]
    ours = _still_ours(connection, changes)
    after: dict[int, Status] = {}
    rows: list[dict[str, Any]] = []
    settled: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    for change in changes:
        seq = change.held.attempt.seq
        status = ours.get((seq, change.owner, change.held.deliveries))
        if status is None:
            continue
        row = _row(change)
        if status is Status.STOPPING and change.phase is Phase.WAITING:
            row |= _stopped(fullness)  # it was to be run again, and has been stopped meanwhile
        if row["new_phase"] == Phase.WAITING:
            fullness.add(change.held.attempt.function, 1)
        after[seq] = Status(row.get("new_status", change.status))
        (settled if change.settles else rows).append(row)
        if change.payload is not None:
            bodies.append({"key": body_key(seq, PAYLOAD), "body": change.payload})
    if rows:
        connection.execute(_CHANGE, rows)
    if settled:
        connection.execute(_SETTLE, settled)
    if bodies:
        connection.execute(_INSERT_BODIES, bodies)
    return [after.get(one.held.attempt.seq) if isinstance(one, Change) else None for one in told]


def _still_ours(
    connection: Connection, changes: Sequence[Change]
) -> dict[tuple[int, str, int], Status]:
    if not changes:
        return {}
    seqs = [change.held.attempt.seq for change in changes]
    found = connection.execute(_STILL_HELD, {"seqs": seqs}).all()
    return {(seq, owner, deliveries): Status(status) for seq, owner, deliveries, status in found}


def _row(change: Change) -> dict[str, Any]:
    names = _SETTLED if change.settles else _CHANGED
    row: dict[str, Any] = {f"new_{name}": getattr(change, name) for name in names}
    row |= {"new_phase": int(change.phase), "new_lines": change.lines}
    if not change.settles:
        row["new_status"] = change.status.value
    row["new_owner"] = change.owner if change.phase is Phase.HELD else None
    return row | _fence(change.owner, change.held)


def _mark(mark: Mark) -> dict[str, Any]:
    line = event_line(Status.RUNNING, mark.at_ms)
    return {"new_started_ms": mark.at_ms, "new_lines": line} | _fence(mark.owner, mark.held)


def _fence(owner: str, held: Held) -> dict[str, Any]:
    return {"of_seq": held.attempt.seq, "of_owner": owner, "of_deliveries": held.deliveries}


def _stopped(fullness: Fullness) -> dict[str, Any]:
    now = now_ms()
    return {
        "new_phase": int(Phase.ENDED),
        "new_status": Status.STOPPED.value,
        "new_ended_ms": now,
        "new_purge_ms": now + round(fullness.limits.keep_s * 1000),
        "new_lines": event_line(Status.STOPPED, now),
    }
