"""
Staying alive, and taking over what the dead held. On the writer's thread.

An owner's lease is by the database's clock; a heartbeat makes it longer. Who has let it run out is
dead for all others, whatever he thinks himself: see `queue` for how he finds out.
"""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from fc_runtime.tasks.clock import database_ms, now_ms
from fc_runtime.tasks.fullness import Fullness
from fc_runtime.tasks.holding import Beat, Seen
from fc_runtime.tasks.owners import Owner
from fc_runtime.tasks.schema import IS_HELD, OWNERS, TASKS
from fc_runtime.tasks.states import FINAL, Phase, Status
from fc_runtime.tasks.written import event_line

_COLUMNS: Final = TASKS.c
_RENEW: Final = (
    update(OWNERS)
    .where(OWNERS.c.owner == bindparam("of_owner"))
    .values(lease_ms=bindparam("until_ms"))
)


def renew(connection: Connection, owner: Owner, lease_s: float) -> bool:
    """Its lease, from now. False if it had none: whatever it held before is somebody else's."""
    lease_ms = database_ms(connection) + round(lease_s * 1000)
    renewed = connection.execute(_RENEW, {"of_owner": owner.owner, "until_ms": lease_ms})
    if renewed.rowcount:
        return True
    values = {name: getattr(owner, name) for name in ("owner", "node", "host", "pid")}
    connection.execute(
        insert(OWNERS).values(**values, pid_started=owner.pid_started, lease_ms=lease_ms)
    )
    return False


def beat(connection: Connection, fullness: Fullness, beats: Beat) -> Seen:
    """A sign of life; which of its tasks are to be stopped; and what the dead held is free."""
    owner = beats.owner
    lost = beats.holds and not renew(connection, owner, beats.lease_s)
    stopping = select(_COLUMNS.seq).where(
        IS_HELD, _COLUMNS.owner == owner.owner, _COLUMNS.status == Status.STOPPING.value
    )
    to_stop = list(connection.execute(stopping).scalars()) if beats.holds else []
    return Seen(lost=lost, to_stop=to_stop, taken_over=take_over(connection, fullness, owner))


def take_over(connection: Connection, fullness: Fullness, owner: Owner) -> int:
    """Put back what dead owners held. How many tasks that were."""
    now = database_ms(connection)
    known = list(connection.execute(select(OWNERS).where(OWNERS.c.owner != owner.owner)))
    count = 0
    for row in known:
        *_, lease_ms = row
        other = Owner(
            owner=row.owner, node=row.node, host=row.host, pid=row.pid, pid_started=row.pid_started
        )
        still = select(OWNERS).where(OWNERS.c.owner == other.owner)
        if (other.node and other.node == owner.node) or other.is_gone(owner.host):
            still = still.with_for_update()
        elif lease_ms < now:
            # Whoever is renewing it just now is alive after all, and has its row locked.
            still = still.where(OWNERS.c.lease_ms == lease_ms).with_for_update(skip_locked=True)
        else:
            continue
        if connection.execute(still).first() is not None:
            count += put_back(connection, fullness, other.owner, "whoever had it is gone")
    return count


def put_back(connection: Connection, fullness: Fullness, owner: str, why: str) -> int:
    """Whatever *owner* holds goes back to the queue, and its lease ends."""
    now = now_ms()
    purge_ms = now + round(fullness.limits.keep_s * 1000)
    his = update(TASKS).where(IS_HELD, _COLUMNS.owner == owner)
    stopped = event_line(Status.STOPPED, now)
    connection.execute(
        his.where(_COLUMNS.status == Status.STOPPING.value).values(
            phase=Phase.ENDED,
            status=Status.STOPPED.value,
            owner=None,
            ended_ms=now,
            purge_ms=purge_ms,
            events=_COLUMNS.events + stopped,
        )
    )
    back = {"phase": Phase.WAITING, "owner": None, "due_ms": now}
    count = connection.execute(
        his.where(_COLUMNS.status.in_(sorted(FINAL))).values(**back)
    ).rowcount
    count += connection.execute(
        his.values(
            **back,
            status=Status.ENQUEUED.value,
            events=_COLUMNS.events + event_line(Status.ENQUEUED, now, why),
        )
    ).rowcount
    connection.execute(delete(OWNERS).where(OWNERS.c.owner == owner))
    return int(count)
