"""`invoke_async` of both faces: real handlers, in real workers."""

import asyncio
import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fc_runtime import (
    AsyncRuntime,
    EventTooLargeError,
    FunctionNotFoundError,
    HandlerError,
    InvalidFunctionError,
    Runtime,
    RuntimeClosedError,
    TaskEndedError,
    TaskExistsError,
    TaskNotFoundError,
)
from support.engines import WITHIN_S


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/tasks.db"


@pytest.fixture
def options(handlers: Path, tmp_path: Path) -> dict[str, object]:
    """Of a function that notes each run in ``tmp_path / "runs"``."""
    return {
        "code": str(handlers / "accounted"),
        "handler": "index.handler",
        "environment": {"RUNS": str(tmp_path / "runs")},
    }


def test_a_task_of_a_program(url: str, options: dict[str, object]) -> None:
    """Accepted, run by a worker, its result waited for; found again by its id."""
    with Runtime(store=url) as runtime:
        runtime.register("f", **options)
        task = runtime.invoke_async("f", json={"id": 17}, task_id="order-17")
        result = task.result(WITHIN_S)

        assert {"id": 17} == result.json()
        assert ("f", task.record().request_id) == (result.function, result.request_id)
        assert "Succeeded" == runtime.task("f", "order-17").status
        assert 1 == runtime.stats()["tasks"]["ended"]["Succeeded"]
        with pytest.raises(TaskExistsError):
            runtime.invoke_async("f", task_id="order-17")
        with pytest.raises(TaskNotFoundError):
            runtime.task("f", "order-18")


def test_the_same_awaited(url: str, options: dict[str, object]) -> None:
    """`AsyncRuntime` accepts and waits without holding up its loop."""

    async def main() -> None:
        async with AsyncRuntime(store=url) as runtime:
            await runtime.register("f", **options)
            tasks = [await runtime.invoke_async("f", b"%d" % n, task_id=f"t{n}") for n in range(5)]
            results = await asyncio.gather(*(task.result(WITHIN_S) for task in tasks))

            assert [b"%d" % n for n in range(5)] == [result.payload for result in results]
            assert "Succeeded" == await (await runtime.task("f", "t3")).status()
            with pytest.raises(TaskEndedError):
                task = await runtime.invoke_async("f", delay=60.0)
                await task.stop()
                await task.result(WITHIN_S)
            with pytest.raises(TaskNotFoundError):
                await runtime.task("f", "t9")

    asyncio.run(main())


def test_a_later_program(file_url: str, options: dict[str, object], tmp_path: Path) -> None:
    """What one program has accepted, and not run, the next one runs once it has the function."""
    with Runtime(store=file_url) as runtime:
        runtime.register("f", **options)
        task_id = runtime.invoke_async("f", b"later", delay=0.2).id
    with Runtime(store=file_url) as runtime:
        with pytest.raises(TimeoutError, match="it is Enqueued"):
            runtime.task("f", task_id).result(0.5)
        runtime.register("f", **options)
        assert b"later" == runtime.task("f", task_id).result(WITHIN_S).payload

    assert 1 == len((tmp_path / "runs").read_text().splitlines())


def test_retries_of_a_handler(file_url: str, options: dict[str, object], tmp_path: Path) -> None:
    """It raises, it is tried again, it is told so by its context, and its error comes out."""
    with Runtime(store=file_url) as runtime:
        runtime.register("f", **options)
        task = runtime.invoke_async("f", b"raise", max_retries=1)
        with pytest.raises(HandlerError, match="as asked") as raised:
            task.result(WITHIN_S)
        assert "ValueError" == json.loads(raised.value.result.payload)["errorType"]
        assert not task.result(WITHIN_S, check=False).ok

    request_id = raised.value.result.request_id
    runs = (tmp_path / "runs").read_text().splitlines()
    assert [f"{request_id} 0", f"{request_id} 1"] == runs


def test_stop_ends_the_tree(file_url: str, options: dict[str, object], tmp_path: Path) -> None:
    """A handler that never ends is killed; the next invocation has another instance."""
    with Runtime(store=file_url) as runtime:
        runtime.register("f", timeout=600.0, **options)
        task = runtime.invoke_async("f", b"hold")
        while task.status != "Running":
            pass
        workers = psutil.Process().children(recursive=True)
        assert "Stopping" == task.stop().status
        with pytest.raises(TaskEndedError, match="is Stopped") as stopped:
            task.result(WITHIN_S)
        assert "Stopped" == stopped.value.status
        gone, _ = psutil.wait_procs(workers, 0.1)
        assert b"x" == runtime.invoke("f", b"x").payload
        _, alive = psutil.wait_procs([one for one in workers if one not in gone], 0.1)
        busy = [one for one in alive if one.is_running() and one.cpu_percent(0.1) > 50]
        assert not busy, "nobody spins any more"


@contextlib.contextmanager
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP address, and what it was told; the first one is refused."""
    told: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if len(told) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", told
        finally:
            server.shutdown()
            thread.join()


def test_destinations(file_url: str, options: dict[str, object]) -> None:
    """A function of this runtime, and an address, that is told again when it was not there."""
    with Runtime(store=file_url) as runtime, webhook() as (address, told):
        runtime.register("f", **options)
        runtime.register("g", **options)
        first = runtime.invoke_async("f", b"in", on_success="g")
        second = runtime.invoke_async("f", b"raise", max_retries=0, on_failure=address)
        for task in (first, second):
            while task.record().destination_status in (None, "Pending"):
                pass

            assert "Succeeded" == task.record().destination_status
        while runtime.stats()["tasks"]["ended"].get("Succeeded", 0) < 2:
            pass

    assert 2 == len(told)
    event = json.loads(told[1])
    assert told[0] == told[1]
    assert ("f", "RetriesExhausted") == (
        event["requestContext"]["functionArn"],
        event["requestContext"]["condition"],
    )
    assert "raise" == event["requestPayload"]
    assert "ValueError" == json.loads(event["responsePayload"])["errorType"]


def test_what_is_refused(file_url: str, options: dict[str, object], tmp_path: Path) -> None:
    """Bad arguments are told at once, and nothing is accepted."""
    with Runtime(store=file_url) as runtime:
        runtime.register("f", **options)
        with pytest.raises(FunctionNotFoundError, match="'g'"):
            runtime.invoke_async("g")
        with pytest.raises(FunctionNotFoundError, match="'g'"):
            runtime.invoke_async("f", on_success="g")
        with pytest.raises(InvalidFunctionError, match="max_retries=9"):
            runtime.invoke_async("f", max_retries=9)
        with pytest.raises(InvalidFunctionError, match="task_id='1'"):
            runtime.invoke_async("f", task_id="1")
        with pytest.raises(EventTooLargeError):
            runtime.invoke_async("f", bytes(128 * 1024 + 1))
        with pytest.raises(InvalidFunctionError, match="not both"):
            runtime.invoke_async("f", b"x", json=1)
    with pytest.raises(RuntimeClosedError):
        runtime.invoke_async("f")

    assert not (tmp_path / "runs").exists()


def test_without_a_store(options: dict[str, object]) -> None:
    """Whoever has none is told how to have one."""
    with Runtime() as runtime:
        runtime.register("f", **options)
        with pytest.raises(InvalidFunctionError, match="Runtime\\(store="):
            runtime.invoke_async("f")


def test_a_store_that_is_none() -> None:
    """What cannot be opened is told where the runtime is made, and nothing is left running."""
    with pytest.raises(InvalidFunctionError, match="store="):
        Runtime(store="mysql://host/database")


def test_a_runtime_that_is_dropped(file_url: str, options: dict[str, object]) -> None:
    """A program that forgets to close it ends all the same, and leaves nobody behind."""
    program = (
        "import sys, json; from fc_runtime import Runtime\n"
        "runtime = Runtime(store=sys.argv[1])\n"
        "runtime.register('f', **json.loads(sys.argv[2]))\n"
        "print(runtime.invoke_async('f', b'x').result(30).payload.decode())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, file_url, json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (0, "x\n", "") == (told.returncode, told.stdout, told.stderr)


def test_nobody_pays_who_does_not_ask() -> None:
    """Without `store`, no library of the extra is loaded."""
    program = (
        "import sys, fc_runtime; runtime = fc_runtime.Runtime(); runtime.close();"
        "print(*sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    loaded = set(told.stdout.split())
    assert {"sqlalchemy", "alembic", "psycopg", "asyncio", "fc_runtime.tasks"}.isdisjoint(loaded)
