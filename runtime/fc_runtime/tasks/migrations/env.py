"""What Alembic runs: the steps, in the transaction that `tasks.opening` has begun."""

from alembic import context

from fc_runtime.tasks.migrations.indexes import METADATA
from fc_runtime.tasks.opening import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
