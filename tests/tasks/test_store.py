"""What is accepted is on the disk; what was accepted can be found again."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import pytest
from fc_runtime import (
    EventTooLargeError,
    InvalidFunctionError,
    OverloadedError,
    RuntimeClosedError,
    StoreError,
    TaskExistsError,
    TaskNotFoundError,
)
from fc_runtime.tasks import Query, Status, Store, Submission

Opened = Callable[..., Store]


def test_what_is_accepted_is_there_for_others(opened: Opened) -> None:
    """When `accept` has returned, another connection sees the task, whole, as it was given."""
    given = Submission(
        function="shop$orders",
        event=bytes(range(256)),
        task_id="order-17",
        request_id="1-2-3",
        qualifier="prod",
        delay=60.0,
        max_retries=5,
        max_age=3600.0,
        on_success="billing",
        on_failure="https://example.com/failed",
        meta={"who": "ß\0\ud800", "n": [1, None]},
    )
    accepted = opened().accept(given)

    found = opened().get("shop$orders", "order-17")

    assert accepted == found
    assert Status.ENQUEUED is found.status
    assert (given.event, given.meta) == (found.event, found.meta)
    assert 60_000 == found.due_ms - found.accepted_ms
    assert 3_600_000 == found.expires_ms - found.accepted_ms
    assert [(1, Status.ENQUEUED)] == [(one.number, one.status) for one in found.events]
    assert not found.ended
    assert found.duration_ms is None


def test_ids_are_made_up(store: Store) -> None:
    """Whoever gives no task id, nor a request id, gets one of each, never the same twice."""
    tasks = [store.accept(Submission(function="f")) for _ in range(20)]

    assert 20 == len({task.task_id for task in tasks})
    assert 20 == len({task.request_id for task in tasks})
    assert [task.seq for task in tasks] == sorted(task.seq for task in tasks)


def test_an_id_is_taken_once(opened: Opened) -> None:
    """The first of a function's tasks with an id stands; other functions may use it too."""
    store, other = opened(), opened()
    store.accept(Submission(function="f", event=b"first", task_id="one"))

    with pytest.raises(TaskExistsError, match="f has a task 'one'"):
        other.accept(Submission(function="f", event=b"second", task_id="one"))

    store.accept(Submission(function="g", event=b"third", task_id="one"))
    assert b"first" == store.get("f", "one").event
    assert b"third" == store.get("g", "one").event


def test_one_of_many_with_the_same_id(opened: Opened) -> None:
    """Of many that come at the same moment, through two processes' stores, one is accepted."""
    stores = [opened(), opened()]
    tries = [
        stores[number % 2].accept_soon(Submission(function="f", event=b"%d" % number, task_id="x"))
        for number in range(40)
    ]
    wait(tries)

    taken = [number for number, one in enumerate(tries) if one.exception() is None]
    refused = [one.exception() for one in tries if one.exception() is not None]
    assert 1 == len(taken)
    assert 39 == len(refused)
    assert {TaskExistsError} == {type(error) for error in refused}
    assert b"%d" % taken[0] == stores[0].get("f", "x").event
    assert 1 == len(stores[0].list(Query(function="f")).records)


def test_many_share_a_commit(store: Store) -> None:
    """Hundreds of acceptors at once are all served, each with a task of its own."""
    threads = 8
    accepted: list[str] = []

    def accept() -> None:
        accepted.extend(store.accept(Submission(function="f")).task_id for _ in range(50))

    workers = [threading.Thread(target=accept) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert threads * 50 == len(set(accepted)) == store.depth().waiting


def test_an_event_has_a_limit(store: Store) -> None:
    """128 KiB are taken, a byte more is not."""
    assert store.accept(Submission(function="f", event=bytes(128 * 1024), task_id="a"))

    with pytest.raises(EventTooLargeError, match=r"131073 bytes, the limit .* is 131072"):
        store.accept(Submission(function="f", event=bytes(128 * 1024 + 1)))

    assert 128 * 1024 == len(store.get("f", "a").event or b"")


def test_a_full_queue_refuses(opened: Opened) -> None:
    """More than may wait, of one function or in all, are refused before they are in memory."""
    store = opened(waiting=5, waiting_of_one=3)
    for _ in range(3):
        store.accept(Submission(function="flood"))

    with pytest.raises(OverloadedError, match="flood: 3 tasks wait, the limit is 3"):
        store.accept(Submission(function="flood"))
    for _ in range(2):
        store.accept(Submission(function="other"))
    with pytest.raises(OverloadedError, match="5 tasks wait already, the limit is 5"):
        store.accept(Submission(function="third"))
    assert {"flood": 3, "other": 2} == dict(store.depth().waiting_by_function)


def test_a_conflict_does_not_fill_the_queue(opened: Opened) -> None:
    """What was refused for its id does not count."""
    store = opened(waiting=2)
    store.accept(Submission(function="f", task_id="a"))
    for _ in range(5):
        with pytest.raises(TaskExistsError):
            store.accept(Submission(function="f", task_id="a"))

    assert store.accept(Submission(function="f", task_id="b"))


def test_a_slow_disk_refuses(opened: Opened) -> None:
    """Events that wait to be written have a limit too: memory is no queue."""
    store = opened(pending_bytes=10_000)
    big = Submission(function="f", event=bytes(8000))
    tries = [store.accept_soon(big) for _ in range(200)]
    wait(tries)

    errors = [error for error in (one.exception() for one in tries) if error is not None]
    assert errors
    assert all(isinstance(error, OverloadedError) for error in errors)
    assert 200 - len(errors) == store.depth().waiting
    assert 0 == store.writer.pending_bytes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("function", ""),
        ("function", "two\nlines"),
        ("task_id", "1st"),
        ("task_id", "a" * 129),
        ("task_id", ""),
        ("task_id", "ä"),
        ("request_id", "two words"),
        ("delay", -1),
        ("delay", float("nan")),
        ("max_retries", 9),
        ("max_retries", -1),
        ("max_retries", True),
        ("max_age", 0),
        ("max_age", "long"),
        ("event", "text"),
        ("on_success", ""),
        ("on_failure", "x" * 3000),
        ("meta", {"x": object()}),
        ("meta", {"x": "y" * 20_000}),
    ],
)
def test_bad_submissions(field: str, value: object) -> None:
    """What cannot be taken is refused where it is made, by the name of the argument."""
    with pytest.raises(InvalidFunctionError) as refused:
        Submission(**{"function": "f", field: value})  # type: ignore[arg-type]

    assert field == refused.value.field


def test_what_is_not_there(store: Store) -> None:
    """Asking for a task that is not there says so, whatever is asked."""
    for ask in (store.get, store.stop, store.retry):
        with pytest.raises(TaskNotFoundError, match="f has no task 'x'"):
            ask("f", "x")


def names(store: Store, query: Query) -> list[str]:
    return [record.task_id for record in store.list(query).records]


def test_lists_have_filters(store: Store) -> None:
    """By function, qualifier, state, prefix of the id; newest first, or oldest."""
    for function, task_id, qualifier in (
        ("f", "a1", "prod"),
        ("f", "a2", "dev"),
        ("f", "b_1", "prod"),
        ("f", "bx1", "prod"),
        ("g", "a1", "prod"),
    ):
        store.accept(Submission(function=function, task_id=task_id, qualifier=qualifier))
    store.stop("f", "a2")

    assert ["bx1", "b_1", "a2", "a1"] == names(store, Query(function="f"))
    assert ["a1", "a2", "b_1", "bx1"] == names(store, Query(function="f", ascending=True))
    assert ["bx1", "b_1", "a1"] == names(store, Query(function="f", qualifier="prod"))
    assert ["a2"] == names(store, Query(function="f", statuses=[Status.STOPPED]))
    assert ["b_1"] == names(store, Query(function="f", prefix="b_")), "_ is no wildcard"
    assert ["a1", "bx1", "b_1", "a2", "a1"] == names(store, Query())
    assert [] == names(store, Query(function="f", started_from_ms=0))
    assert [] == names(store, Query(function="none"))


@pytest.mark.parametrize("ascending", [True, False])
def test_pages(store: Store, ascending: bool) -> None:
    """Page after page, every task comes once, also while new ones are accepted."""
    expected = [store.accept(Submission(function="f")).task_id for _ in range(23)]
    found: list[str] = []
    token = ""
    while True:
        page = store.list(Query(function="f", limit=5, token=token, ascending=ascending))
        found += [record.task_id for record in page.records]
        token = page.next_token
        if not token:
            break
        if not ascending:
            store.accept(Submission(function="f"))

    assert expected == (found if ascending else found[::-1])


def test_bodies_are_listed_on_request(store: Store) -> None:
    """Events come with a list only if they are asked for."""
    store.accept(Submission(function="f", event=b"body"))

    assert [None] == [record.event for record in store.list(Query(function="f")).records]
    assert [b"body"] == [one.event for one in store.list(Query(function="f", bodies=True)).records]


def test_bad_queries() -> None:
    """A token that is none, a page without end, a state that is none."""
    with pytest.raises(InvalidFunctionError, match="token='x'"):
        Query(token="x")
    with pytest.raises(InvalidFunctionError, match="limit=1001"):
        Query(limit=1001)
    with pytest.raises(InvalidFunctionError, match="statuses='Done'"):
        Query(statuses=["Done"])  # type: ignore[list-item]


def test_one_that_waits_is_stopped_at_once(store: Store) -> None:
    """Nobody has it: it is Stopped when `stop` returns, and stays so."""
    store.accept(Submission(function="f", task_id="a"))

    stopped = store.stop("f", "a")

    assert (Status.STOPPED, True) == (stopped.status, stopped.ended)
    assert stopped.ended_ms is not None
    assert [Status.ENQUEUED, Status.STOPPED] == [event.status for event in stopped.events]
    assert stopped == store.stop("f", "a")
    assert 0 == store.depth().waiting


def test_one_that_has_ended_is_queued_again(store: Store) -> None:
    """By hand; one that has not ended is not."""
    store.accept(Submission(function="f", event=b"x", task_id="a", max_age=50.0))
    with pytest.raises(InvalidFunctionError, match="it is Enqueued"):
        store.retry("f", "a")
    store.stop("f", "a")

    again = store.retry("f", "a")

    assert Status.ENQUEUED is again.status
    assert again.ended_ms is None
    assert 50_000 == again.expires_ms - again.accepted_ms
    assert b"x" == store.get("f", "a").event
    assert 1 == store.depth().waiting


def test_depth(store: Store) -> None:
    """How many wait, of which function, and since when the oldest could have run."""
    empty = store.depth()
    assert (0, 0, 0.0, {}) == (
        empty.waiting,
        empty.held,
        empty.oldest_due_s,
        empty.waiting_by_function,
    )
    store.accept(Submission(function="f", delay=3600.0))
    assert 0.0 == store.depth().oldest_due_s, "it could not have run yet"
    store.accept(Submission(function="g"))
    store.accept(Submission(function="g"))

    depth = store.depth()

    assert {"f": 1, "g": 2} == dict(depth.waiting_by_function)
    assert 0.0 <= depth.oldest_due_s < 60.0


def test_closed(store: Store) -> None:
    """A closed store accepts nothing, and closing twice is no error."""
    store.close()
    store.close()

    with pytest.raises(RuntimeClosedError):
        store.accept(Submission(function="f"))


@pytest.mark.parametrize(
    "url", ["", "x", "mysql://h/d", "sqlite://", "sqlite:///:memory:", 5, None], ids=repr
)
def test_bad_urls(url: object) -> None:
    """What is no store of ours is refused, with what would be one."""
    with pytest.raises(InvalidFunctionError, match="sqlite:////absolute/path"):
        Store(url)  # type: ignore[arg-type]


def test_a_password_is_not_told(tmp_path: Path) -> None:
    """Neither an error nor a `repr` shows it."""
    with pytest.raises(StoreError) as refused:
        Store(f"postgresql://u:hush@/d?host={tmp_path}")

    assert "hush" not in str(refused.value)
    assert "hush" not in repr(refused.value.__cause__)
    with pytest.raises(InvalidFunctionError) as unknown:
        Store("mysql://u:hush@h/d")
    assert "hush" not in str(unknown.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A file of something else is left as it is; a folder that is not there is named."""
    other = tmp_path / "notes.txt"
    other.write_text("not a database, " * 100)

    with pytest.raises(StoreError, match=r"notes\.txt cannot be used"):
        Store(f"sqlite:///{other}")
    with pytest.raises(StoreError, match=r"nowhere/tasks\.db cannot be written"):
        Store(f"sqlite:///{tmp_path}/nowhere/tasks.db")

    assert "not a database, " * 100 == other.read_text()


def test_the_file_is_private(tmp_path: Path) -> None:
    """Events may hold secrets: nobody else may read the file, nor those beside it."""
    with Store(f"sqlite:///{tmp_path}/tasks.db") as store:
        store.accept(Submission(function="f", event=b"secret"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    assert {"tasks.db", "tasks.db-wal", "tasks.db-shm"} == set(modes)
    assert {0o600} == set(modes.values())


def test_a_commit_is_on_the_disk(store: Store) -> None:
    """SQLite waits for the disk at every commit, as PostgreSQL does by itself."""
    with store.database.connect() as connection:
        if connection.dialect.name == "sqlite":
            assert 2 == connection.exec_driver_sql("PRAGMA synchronous").scalar()
            assert "wal" == connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            assert 2 == connection.exec_driver_sql("PRAGMA auto_vacuum").scalar()
        else:
            assert "on" == connection.exec_driver_sql("SHOW synchronous_commit").scalar()


def test_a_fork_leaves_the_store_to_its_parent(store: Store) -> None:
    """A child that ends does not take its parent's connections with it."""
    store.accept(Submission(function="f"))
    child = os.fork()
    if not child:
        try:
            del store
        finally:
            os._exit(0)
    assert 0 == os.waitpid(child, 0)[1]

    assert store.accept(Submission(function="f"))
    assert 2 == store.depth().waiting
