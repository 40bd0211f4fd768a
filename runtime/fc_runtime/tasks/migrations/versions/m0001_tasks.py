"""Tasks, their bodies, and who holds them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "fc_tasks",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("qualifier", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("phase", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("accepted_ms", sa.BigInteger, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("purge_ms", sa.BigInteger),
        sa.Column("owner", sa.Text),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("setbacks", sa.Integer, nullable=False),
        sa.Column("max_retries", sa.Integer, nullable=False),
        sa.Column("on_success", sa.Text),
        sa.Column("on_failure", sa.Text),
        sa.Column("destination_status", sa.Text),
        sa.Column("instance_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("error_type", sa.Text, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.UniqueConstraint("function", "task_id", name="fc_tasks_by_id"),
    )
    op.create_index("fc_tasks_in_order", "fc_tasks", ["function", "seq"])
    _partial_index("fc_tasks_waiting", ["function", "due_ms", "seq", "expires_ms"], "phase = 0")
    _partial_index("fc_tasks_held", ["owner", "status"], "phase = 1")
    _partial_index("fc_tasks_ended", ["purge_ms"], "phase = 2")
    op.create_table(
        "fc_task_bodies",
        sa.Column("key", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "fc_task_owners",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pid_started", sa.BigInteger, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # A queue's rows are dead as soon as they are written: vacuum often, a little at a time.
        op.execute(
            "ALTER TABLE fc_tasks SET "
            "(autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)"
        )


def downgrade() -> None:
    """Drop them, with all that is in them."""
    for table in ("fc_task_owners", "fc_task_bodies", "fc_tasks"):
        op.drop_table(table)


def _partial_index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "fc_tasks", columns, sqlite_where=condition, postgresql_where=condition)
