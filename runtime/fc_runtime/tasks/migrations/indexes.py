"""
The indexes of the tables, beside them and not in them: to name a dialect's option loads the
dialect, and PostgreSQL's is a twentieth of what a daemon takes to start.
"""

from sqlalchemy import Index, text

from fc_runtime.tasks.schema import METADATA, TASKS

__all__ = ["METADATA"]


def _partial(name: str, where: str, *columns: str) -> None:
    condition = text(where)
    Index(
        name,
        *(TASKS.c[column] for column in columns),
        sqlite_where=condition,
        postgresql_where=condition,
    )


Index("fc_tasks_in_order", TASKS.c.function, TASKS.c.seq)
_partial("fc_tasks_waiting", "phase = 0", "function", "due_ms", "seq", "expires_ms")
_partial("fc_tasks_held", "phase = 1", "owner", "status")
_partial("fc_tasks_ended", "phase = 2", "purge_ms")
