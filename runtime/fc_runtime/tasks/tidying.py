"""What is over goes: ended tasks after their time, and the room they took on the disk."""

from typing import Final

from sqlalchemy import Connection, delete, select

from fc_runtime.tasks.clock import now_ms
from fc_runtime.tasks.reading import body_key
from fc_runtime.tasks.schema import BODIES, EVENT, IS_ENDED, PAYLOAD, TASKS

PURGED_A_TIME: Final = 500
PAGES_A_TIME: Final = 2000  # 8 MB; what is given back at once holds up who wants to write
PAGES_TO_SPARE: Final = 1000


def purge(connection: Connection) -> int:
    """Some of those whose time is over. How many that were."""
    over = (
        select(TASKS.c.seq)
        .where(IS_ENDED, TASKS.c.purge_ms <= now_ms())
        .order_by(TASKS.c.purge_ms)
        .limit(PURGED_A_TIME)
        .with_for_update(skip_locked=True)
    )
    seqs = list(connection.execute(over).scalars())
    if seqs:
        keys = [body_key(seq, kind) for seq in seqs for kind in (EVENT, PAYLOAD)]
        connection.execute(delete(BODIES).where(BODIES.c.key.in_(keys)))
        connection.execute(delete(TASKS).where(TASKS.c.seq.in_(seqs)))
    return len(seqs)


def shrink(connection: Connection) -> bool:
    """
    Give back some of a file's pages that hold nothing; is there more to give? PostgreSQL's own
    vacuum makes room inside of its files by itself.
    """
    if connection.dialect.name == "postgresql":
        return False
    spare = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    if spare <= PAGES_TO_SPARE:
        return False
    count = min(PAGES_A_TIME, spare - PAGES_TO_SPARE)
    # It yields no rows, but goes a page further with each step.
    connection.exec_driver_sql(f"PRAGMA incremental_vacuum({count})").fetchall()
    return spare - count > PAGES_TO_SPARE
