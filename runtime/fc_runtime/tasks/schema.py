"""
The tables, for SQLite and PostgreSQL alike. `migrations` makes them; this says what is in them,
and `migrations.indexes` by what they are found.

Payloads have a table of their own: a task's row is written four times in its life, its event once.
What happened to a task is a text in its row, a line for each event, for the same reason: one write.
An owner's lease is one row, so that a heartbeat costs the same however many tasks he holds.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

METADATA: Final = MetaData()
# SQLite's own number of a row is an INTEGER, of 64 bits, and nothing else.
_SEQ: Final = BigInteger().with_variant(Integer(), "sqlite")

TASKS: Final = Table(
    "fc_tasks",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    Column("function", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("qualifier", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("phase", SmallInteger, nullable=False),  # `states.Phase`
    Column("status", Text, nullable=False),  # `states.Status`
    Column("accepted_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("purge_ms", BigInteger),  # once ended
    Column("owner", Text),  # while held
    Column("deliveries", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("setbacks", Integer, nullable=False),  # in a row, that were not the function's fault
    Column("max_retries", Integer, nullable=False),
    Column("on_success", Text),
    Column("on_failure", Text),
    Column("destination_status", Text),
    Column("instance_id", Text, nullable=False),
    Column("outcome", Text),  # JSON
    Column("error_type", Text, nullable=False),
    Column("meta", Text, nullable=False),  # JSON
    Column("events", Text, nullable=False),  # JSON, one a line
    UniqueConstraint("function", "task_id", name="fc_tasks_by_id"),
)
# Written out, not bound: or neither database would know that the partial indexes are meant.
IS_WAITING: Final[ColumnElement[bool]] = TASKS.c.phase == literal_column("0")
IS_HELD: Final[ColumnElement[bool]] = TASKS.c.phase == literal_column("1")
IS_ENDED: Final[ColumnElement[bool]] = TASKS.c.phase == literal_column("2")
EVENT: Final = 0
PAYLOAD: Final = 1
# One number for both, so that SQLite finds a body by the number of its row.
BODIES: Final = Table(
    "fc_task_bodies",
    METADATA,
    Column("key", _SEQ, primary_key=True, autoincrement=False),  # twice the seq, plus the kind
    Column("body", LargeBinary, nullable=False),
)
OWNERS: Final = Table(
    "fc_task_owners",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("node", Text, nullable=False),  # given by its user: a later life of the same has it too
    Column("host", Text, nullable=False),  # where ``pid`` means something
    Column("pid", Integer, nullable=False),
    Column("pid_started", BigInteger, nullable=False),  # clock ticks since boot
    Column("lease_ms", BigInteger, nullable=False),  # until then, by the database's clock
)
