"""What is over goes, and the file with it; a store of another version; depth that costs nothing."""

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fc_runtime import StoreError, TaskNotFoundError
from fc_runtime.tasks import Query, Status, Store, Submission
from fc_runtime.tasks.migrations.indexes import METADATA
from fc_runtime.tasks.opening import HEAD, VERSION_TABLE
from fc_runtime.tasks.schema import BODIES, TASKS
from support.engines import Gate, Running, echo, ended, wait_until

Opened = Callable[..., Store]


def count(store: Store, table: sqlalchemy.Table) -> int:
    with store.database.connect() as connection:
        told = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
        return int(told.scalar_one())


def test_ended_tasks_expire(opened: Opened) -> None:
    """With event and result, after their time; what has not ended stays, however old."""
    store = opened(keep_s=0.3)
    waiting = store.accept(Submission(function="g", event=b"stays"))
    with Running(store, echo, concurrency=lambda name: int(name == "f")):
        task = store.accept(Submission(function="f", event=b"x"))
        assert Status.SUCCEEDED is wait_until(store, "f", task.task_id, lambda it: it.ended).status
        with pytest.raises(TaskNotFoundError):
            wait_until(store, "f", task.task_id, lambda _: False)

    assert (1, 1) == (count(store, TASKS), count(store, BODIES))
    assert b"stays" == store.get("g", waiting.task_id).event


EVENT = Submission(function="f", event=bytes(4096))
AT_A_TIME = 1000  # what waits for the disk is bounded


@pytest.mark.parametrize("tasks", [3000, pytest.param(25_000, marks=pytest.mark.soak)])
def test_the_file_does_not_grow(tmp_path: Path, tasks: int) -> None:
    """Round after round of as many tasks, with events of 4 KiB, the file gets no larger."""
    path = tmp_path / "tasks.db"
    sizes = []
    with Store(f"sqlite:///{path}") as store:
        object.__setattr__(store.limits, "keep_s", 0.0)
        for _ in range(4):
            for _ in range(0, tasks, AT_A_TIME):
                accepted = [store.accept_soon(EVENT) for _ in range(AT_A_TIME)]
                concurrent.futures.wait(accepted)
                assert not any(one.exception() for one in accepted)
            with Running(store, echo, concurrency=50):
                while count(store, TASKS):
                    pass
            with store.database.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            sizes.append(path.stat().st_size)

    print("bytes after each round:", sizes)
    assert max(sizes) < tasks * 2 * 4096, "nearly all of one round has been given back"
    assert sizes[-1] <= 1.5 * sizes[0]


def test_the_tables_are_those_of_the_schema(store: Store) -> None:
    """The steps of the migrations lead to what the program believes to be there."""
    with store.database.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert [] == compare_metadata(context, METADATA)
        assert HEAD == context.get_current_revision()


def test_a_store_of_a_later_version(opened: Opened, url: str) -> None:
    """Is refused, and left as it is."""
    store = opened()
    with store.database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    store.close()

    with pytest.raises(StoreError, match=f"is of version 9999, this fc-runtime knows {HEAD}"):
        Store(url)


def test_opening_twice_at_once(url: str) -> None:
    """Several processes may come first: the tables are made once."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: Store(url), range(4)))
    stores[0].accept(Submission(function="f", task_id="a"))

    assert {"a"} == {store.get("f", "a").task_id for store in stores}
    for store in stores:
        store.close()


def test_depth_is_found_by_an_index(tmp_path: Path) -> None:
    """Neither claims, nor whose turn it is, nor what has expired looks at tasks that have ended."""
    seen: list[str] = []
    gate = Gate()
    with Store(f"sqlite:///{tmp_path}/tasks.db") as store:

        def note(_c: object, _cursor: object, text: str, *_: object) -> None:
            if text.lstrip().upper().startswith(("SELECT", "WITH")):
                seen.append(text)

        sqlalchemy.event.listen(store.database, "before_cursor_execute", note)
        with Running(store, gate):
            task = store.accept(Submission(function="f"))
            gate.wait_for(lambda it: it.inside == 1)
            gate.let_through()
            ended(store, task)
        sqlalchemy.event.remove(store.database, "before_cursor_execute", note)
        with store.database.connect() as connection:
            for text in {text for text in seen if "phase = 0" in text}:
                names = text.count("?")
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1,) * names)
                steps = [row[3] for row in rows if "fc_tasks" in row[3]]
                assert steps
                assert all("USING" in step and "fc_tasks_waiting" in step for step in steps), steps


def test_listing_what_is_gone(opened: Opened) -> None:
    """A page's token stays good when the tasks before it have been deleted."""
    store = opened(keep_s=0.0)
    for number in range(6):
        store.accept(Submission(function="f", task_id=f"t{number}", delay=3600.0 * (number < 3)))
    page = store.list(Query(function="f", limit=2))
    with Running(store, echo):
        while count(store, TASKS) > 3:
            pass

    assert ["t5", "t4"] == [record.task_id for record in page.records]
    rest = store.list(Query(function="f", token=page.next_token))
    assert ["t2", "t1", "t0"] == [record.task_id for record in rest.records]
