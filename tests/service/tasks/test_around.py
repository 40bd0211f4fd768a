"""Around them: HTTP triggers, metrics, a queue that is full, where they are kept, how it ends."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.errors import ApiError
from fc_runtime.service.queue import Queue
from fc_runtime.tasks import Limits, Store, Submission
from prometheus_client.parser import text_string_to_metric_families
from service.tasks.conftest import Fc2, Fc3, Gate  # type: ignore[import-not-found]
from support.accounts import zipped
from support.asynchronous import KEY, Runs, ended, invoke_later
from support.daemon import forget_connections
from support.serving import Served, refused
from support.stage import until

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # aliyun-fc2
LATER = {"X-Fc-Invocation-Type": "Async"}
WSGI = """
import json

def handler(environ, start_response):
    body = environ["wsgi.input"].read().decode()
    told = [environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"],
            environ.get("HTTP_X_WORD"), body]
    with open({path!r}, "a") as runs:
        runs.write(json.dumps(told) + "\\n")
    start_response("200 OK", [])
    return [b"done"]
"""


def metrics(url: str) -> dict[str, float]:
    """By name and labels."""
    text = httpx.get(f"{url}/metrics").text
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_http_trigger_of_fc3_is_called_later(fc3: Fc3, runs: Runs) -> None:
    """202 at once; the function gets the event that it would have got."""
    fc3.create("hello", runs.code)
    url = fc3.http_trigger("hello", "web")

    reply = httpx.post(
        f"{url}/a/b?q=1", content=b"body", headers={**LATER, "X-Fc-Async-Task-Id": "one"}
    )

    assert (202, b"", "one") == (
        reply.status_code,
        reply.content,
        reply.headers["X-Fc-Async-Task-Id"],
    )
    (run,) = runs.wait(1)
    assert ("/a/b", {"q": "1"}) == (run["event"]["rawPath"], run["event"]["queryParameters"])
    assert reply.headers["X-Fc-Request-Id"] == run["request_id"]
    assert "Succeeded" == ended(fc3, "hello", "one").status
    for body, status in ((b"x" * 128 * 1024, 202), (b"x" * (128 * 1024 + 1), 400)):
        assert status == httpx.post(url, content=body, headers=LATER).status_code
    binary = {**LATER, "Content-Type": "application/octet-stream"}  # in base64 it is longer
    assert 202 == httpx.post(url, content=b"\xff" * 128 * 1024, headers=binary).status_code


def test_an_http_trigger_of_fc2_is_called_later(v2016: Fc2, runs: Runs) -> None:
    """The WSGI application sees the request as it came."""
    v2016.create("hello", zipped(index=WSGI.format(path=str(runs.path))))
    url = v2016.http_trigger("hello", "web")

    reply = httpx.post(f"{url}/a%20b?q=1", content=b"body", headers={**LATER, "X-Word": "w"})

    assert 202 == reply.status_code
    assert reply.headers["X-Fc-Stateful-Async-Invocation-Id"]
    assert [["POST", "/a b", "q=1", "w", "body"]] == runs.wait(1)


def test_the_queue_is_in_the_metrics(served: Served, fc3: Fc3, runs: Runs, gate: Gate) -> None:
    """How many wait and run, how long the oldest has been due, what became of the others."""
    fc3.create("hello", runs.code, timeout=600)
    fc3.limit("hello", 1)
    invoke_later(fc3, "hello", {}, x_fc_async_task_id="one")
    ended(fc3, "hello", "one")
    for name in ("two", "three"):
        invoke_later(fc3, "hello", json.loads(gate.event(name)), x_fc_async_task_id=name)
    gate.entered()
    invoke_later(fc3, "hello", {}, delay=3600)

    now = until(
        lambda: (
            (m := metrics(served.url))["fc_runtime_tasks_running"] == 1
            and m["fc_runtime_tasks_ended_total Succeeded"] == 1
            and m
        )
    )

    assert 1 <= now["fc_runtime_tasks_waiting hello"] <= 2  # the next may have been taken out
    assert 3 == now["fc_runtime_tasks_waiting hello"] + now["fc_runtime_tasks_held"]
    assert now["fc_runtime_tasks_oldest_due_seconds"] >= 0
    assert 2 == now["fc_runtime_tasks_attempts_total"]
    assert 0 == now["fc_runtime_tasks_retries_total"]
    gate.let(2)
    ended(fc3, "hello", "three")


def test_the_concurrency_of_a_function_is_kept(fc3: Fc3, runs: Runs, gate: Gate) -> None:
    """Its reserved concurrency: so many at the same time, whatever waits; others are not held up."""
    fc3.create("hello", runs.code, timeout=600)
    fc3.create("other", runs.code)
    fc3.limit("hello", 2)
    for number in range(5):
        invoke_later(fc3, "hello", json.loads(gate.event(f"n{number}")))
    gate.entered()
    gate.entered()

    invoke_later(fc3, "other", {}, x_fc_async_task_id="one")

    assert "Succeeded" == ended(fc3, "other", "one").status
    assert gate.is_deserted()
    gate.let(5)
    runs.wait(6)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Queue]:
    """A queue with room for one task of each function."""
    limits = Limits(waiting_of_one=1)
    with Store(f"sqlite:///{tmp_path / 'tasks.db'}", limits=limits) as store:
        yield Queue(store)


def test_a_queue_that_is_full_refuses_with_429(full: Queue) -> None:
    """With Retry-After; other functions' tasks are still taken."""

    async def accept(function: str) -> None:
        await full.accept(Submission(function=function))

    asyncio.run(accept("hello"))
    with pytest.raises(ApiError) as error:
        asyncio.run(accept("hello"))
    asyncio.run(accept("other"))

    assert (429, "ResourceThrottled") == (error.value.status, error.value.code)
    assert error.value.headers["Retry-After"]


def test_one_that_runs_when_the_daemon_is_told_to_stop_runs_again(
    home: Path, runs: Runs, gate: Gate
) -> None:
    """After the grace it is ended, goes back to the queue, and the next daemon takes it up."""
    keys = {"FC_RUNTIME_ACCESS_KEYS": f"{KEY.id}:{KEY.secret}"}
    with Served(home, "--grace", "0.2", **keys) as served:
        client = Fc3(served.url, KEY)
        client.create("hello", runs.code, timeout=600)
        invoke_later(client, "hello", json.loads(gate.event("one")), x_fc_async_task_id="one")
        gate.entered()
        forget_connections()
        assert 0 == served.stop()

    with Served(home, **keys) as served:
        gate.entered()
        gate.let()
        client = Fc3(served.url, KEY)
        one = ended(client, "hello", "one")
        forget_connections()

    assert ("Succeeded", 0) == (one.status, one.already_retried_times)
    assert 2 == len(list(runs))


def test_they_are_kept_where_the_store_says(home: Path, runs: Runs, tmp_path: Path) -> None:
    """Also after the project's own folder is gone; a store that cannot be is refused at the start."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/index.py").write_text(runs.source)
    options = ["--code", tmp_path / "code", "--name", "hello", "--no-auth"]
    store = f"sqlite:///{tmp_path / 'kept.db'}"
    invocations = "/2023-03-30/functions/hello/invocations"
    for number in range(2):
        with Served(home, *options, "--store", store) as served:
            headers = {**LATER, "X-Fc-Async-Task-Id": f"t{number}", "X-Fc-Async-Delay": "3600"}
            assert 202 == httpx.post(served.url + invocations, headers=headers).status_code
            tasks = httpx.get(f"{served.url}/2023-03-30/functions/hello/async-tasks").json()[
                "tasks"
            ]

    assert ["t1", "t0"] == [one["taskId"] for one in tasks]
    for url, word in (
        ("mysql://x/y", "sqlite:////absolute/path.db"),
        ("sqlite://", "durable"),
        (f"sqlite:///{tmp_path}/nowhere/tasks.db", "cannot be written"),
    ):
        code, said = refused(home, *options, "--store", url)

        assert code in {2, 74}
        assert word in said
