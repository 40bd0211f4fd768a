"""
Asynchronous invocations that are never lost: a `Store` (SQLite or PostgreSQL) that takes them, an
`Engine` that runs them. `pip install 'fc-runtime[tasks]'`, for PostgreSQL `fc-runtime[postgres]`.

    store = Store("sqlite:////var/lib/fc-runtime/tasks.db")
    engine = Engine(store, run, concurrency=lambda function: 10)
    await engine.start()
    record = await asyncio.wrap_future(store.accept_soon(Submission(function="hello", event=b"{}")))
    …
    await engine.stop(drain=10.0)
    store.close()

Never imported by `import fc_runtime`: `Runtime(store=…)` does, when it is asked for.
"""

from fc_runtime.tasks.destinations import (
    Destination,
    FunctionDestination,
    UndeliverableError,
    WebhookDestination,
    destination_event,
)
from fc_runtime.tasks.engine import Engine
from fc_runtime.tasks.holding import Attempt
from fc_runtime.tasks.policy import Backoff, Policy
from fc_runtime.tasks.reading import Query
from fc_runtime.tasks.records import (
    Depth,
    Limits,
    Page,
    Record,
    Submission,
    TaskEvent,
    check_task_id,
    new_task_id,
)
from fc_runtime.tasks.states import FINAL, Status
from fc_runtime.tasks.store import Store

__all__ = [
    "FINAL",
    "Attempt",
    "Backoff",
    "Depth",
    "Destination",
    "Engine",
    "FunctionDestination",
    "Limits",
    "Page",
    "Policy",
    "Query",
    "Record",
    "Status",
    "Store",
    "Submission",
    "TaskEvent",
    "UndeliverableError",
    "WebhookDestination",
    "check_task_id",
    "destination_event",
    "new_task_id",
]
