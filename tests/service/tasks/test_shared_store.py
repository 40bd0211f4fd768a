"""Two daemons, one PostgreSQL: a queue that they share."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from support import postgres
from support.asynchronous import Runs
from support.serving import LONG_S, Served
from support.stage import Gate, until

HELLO = "/2023-03-30/functions/hello"
TASKS = 60


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    missing = postgres.why_not()
    if missing:
        pytest.skip(missing)
    with postgres.cluster() as url:
        yield url.format("postgres")


@pytest.fixture
def start(store: str, tmp_path: Path, runs: Runs) -> Iterator[Callable[[], Served]]:
    """One more daemon, with a folder of its own, that serves ``hello`` from the same code."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(runs.source)
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def started() -> Served:
            home = tmp_path / f"home{next(numbers)}"
            home.mkdir()
            served = Served(
                home, *("--no-auth", "--code", code, "--name", "hello", "--store", store)
            )
            return stack.enter_context(served)

        yield started


def accept(served: Served, task_id: str, event: str = "{}") -> None:
    headers = {"X-Fc-Invocation-Type": "Async", "X-Fc-Async-Task-Id": task_id}
    reply = httpx.post(
        f"{served.url}{HELLO}/invocations", content=event, headers=headers, timeout=LONG_S
    )
    assert 202 == reply.status_code, reply.text


def status(served: Served, task_id: str) -> str:
    reply = httpx.get(f"{served.url}{HELLO}/async-tasks/{task_id}", timeout=LONG_S)
    return str(reply.json().get("status"))


def test_each_task_runs_once_whoever_accepted_it(start: Callable[[], Served], runs: Runs) -> None:
    """And each of the daemons knows of all of them."""
    first, second = start(), start()
    for number in range(TASKS):
        accept((first, second)[number % 2], f"t{number}", f'{{"id": {number}}}')

    until(lambda: len(list(runs)) >= TASKS, LONG_S, what="all runs")
    for served in (first, second):
        until(
            lambda served=served: all(status(served, f"t{n}") == "Succeeded" for n in range(TASKS)),
            LONG_S,
            what="all have succeeded",
        )

    assert sorted(run["event"]["id"] for run in runs) == list(range(TASKS))


def test_what_a_dead_daemon_had_is_run_by_the_other(
    start: Callable[[], Served], runs: Runs, gate: Gate
) -> None:
    """In the middle of a run at `kill -9`: run again, and told of as a second try."""
    first = start()
    accept(first, "held", gate.event("held"))
    gate.entered()
    second = start()
    accept(first, "waits", '{"id": "waits"}')
    first.send_signal(signal.SIGKILL)
    first.process.wait(LONG_S)
    gate.let(2)  # whoever is left of the first, and the second

    until(lambda: status(second, "held") == "Succeeded", LONG_S, what="the one that it held")
    until(lambda: status(second, "waits") == "Succeeded", LONG_S, what="the one that waited")
    assert 1 in {run["retry_count"] for run in runs if run["event"].get("label") == "held"}
