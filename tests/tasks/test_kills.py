"""Nothing that was accepted is lost, whoever dies, whenever (`kill -9` included)."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fc_runtime import Runtime
from fc_runtime.outcome import Result
from fc_runtime.tasks import Attempt, Policy, Query, Record, Status, Store, Submission
from support.engines import QUICK, Gate, Running, echo, ended
from support.stage import stop

KILLS = 20
ACCEPTING = """
import os, sys, threading
from fc_runtime import Runtime

url, code, runs = sys.argv[1:]
runtime = Runtime(store=url)
runtime.register("f", code=code, handler="index.handler", environment={"RUNS": runs},
                 max_instances=2)

def accept():
    while True:
        task = runtime.invoke_async("f", b"x" * 200)
        os.write(1, (task.id + "\\n").encode())

for _ in range(4):
    threading.Thread(target=accept).start()
"""
HOLDING = """
import os, sys, threading
from fc_runtime import Runtime

url, code, runs = sys.argv[1:]
runtime = Runtime(store=url)
runtime.register("f", code=code, handler="index.handler", environment={"RUNS": runs})
task = runtime.invoke_async("f", b"hold", task_id="held")
while task.status != "Running" or not os.path.exists(runs):
    pass
print("running", flush=True)
threading.Event().wait()
"""


@contextmanager
def program(source: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own, killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def all_records(store: Store) -> list[Record]:
    records: list[Record] = []
    token = ""
    while True:
        page = store.list(Query(function="f", limit=1000, token=token, ascending=True))
        records += page.records
        token = page.next_token
        if not token:
            return records


def test_twenty_kills(url: str, handlers: Path, tmp_path: Path) -> None:
    """
    A process that accepts and runs as fast as it can is killed twenty times, at no chosen moment.
    Every task it has said to be accepted ends, having run; no delivery of one has run twice, and
    what the handler was told of its earlier ones is true.
    """
    code, runs = str(handlers / "accounted"), tmp_path / "runs"
    chance = random.Random(20)
    accepted: list[str] = []
    for _ in range(KILLS):
        with program(ACCEPTING, url, code, str(runs)) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(5, 60)):
                line = process.stdout.readline()
                assert line.endswith("\n"), "it ended by itself"
                accepted.append(line.strip())
            process.send_signal(signal.SIGKILL)
            accepted += [line.strip() for line in process.stdout if line.endswith("\n")]
    with Runtime(store=url) as runtime:
        runtime.register(
            "f",
            code=code,
            handler="index.handler",
            environment={"RUNS": str(runs)},
            max_instances=2,
        )
        for task_id in accepted:
            assert b"x" * 200 == runtime.task("f", task_id).result(timeout=120.0).payload
    with Store(url) as store:
        records = all_records(store)
        depth = store.depth()

    assert len(accepted) >= KILLS * 5
    assert len(accepted) == len(set(accepted))
    assert set(accepted) <= {record.task_id for record in records}
    counts: dict[str, list[int]] = {record.request_id: [] for record in records}
    for line in runs.read_text().splitlines():
        request_id, retry_count = line.split()
        counts[request_id].append(int(retry_count))
    known = set(accepted)
    for record in records:
        told = counts[record.request_id]
        if record.task_id in known or record.ended:
            assert Status.SUCCEEDED is record.status
            assert told, "it ran"
        assert len(told) == len(set(told)), "each delivery at most once"
        assert set(told) <= set(range(record.deliveries))
        assert 0 == record.retries
    assert 0 == depth.held
    assert [record for record in records if record.deliveries > 1], "some were taken over"


def test_a_dead_process_is_seen(
    opened: Callable[..., Store], url: str, handlers: Path, tmp_path: Path
) -> None:
    """What a killed process of this host held is run again at once, not when its lease ends."""
    runs = tmp_path / "runs"
    store = opened()
    with program(HOLDING, url, str(handlers / "accounted"), str(runs)) as process:
        assert process.stdout is not None
        assert "running\n" == process.stdout.readline()
        with Running(store, echo):
            assert Status.RUNNING is store.get("f", "held").status, "it lives, and has it"
            process.send_signal(signal.SIGKILL)
            record = ended(store, store.get("f", "held"))

    assert (Status.SUCCEEDED, 2, 0) == (record.status, record.deliveries, record.retries)
    assert "whoever had it is gone" in [event.detail for event in record.events]
    assert [f"{record.request_id} 0"] == runs.read_text().splitlines()


def test_a_lease_runs_out(opened: Callable[..., Store]) -> None:
    """
    Who gives no sign of life loses what he held. If he was only asleep, what he then has to say of
    it is not heard.
    """
    sleeper, other = opened(), opened()
    asleep, awake = Gate(), Gate()
    silent = Policy(lease=0.3, beat=3600.0, tidy=3600.0, poll=3600.0)
    with Running(sleeper, asleep, policy=silent):
        task = sleeper.accept(Submission(function="f", event=b"asleep"))
        asleep.wait_for(lambda it: it.inside == 1)
        with Running(other, awake, policy=QUICK):
            awake.wait_for(lambda it: it.inside == 1)
            asleep.let_through()
            asleep.wait_for(lambda it: it.inside == 0)
            awake.let_through()
            record = ended(other, task)

    assert [0] == [attempt.retry_count for attempt in asleep.seen]
    assert [1] == [attempt.retry_count for attempt in awake.seen]
    assert (Status.SUCCEEDED, 2) == (record.status, record.deliveries)
    assert 1 == [event.status for event in record.events].count(Status.SUCCEEDED)
    assert record == other.get("f", task.task_id)


def test_a_name_that_comes_again(opened: Callable[..., Store]) -> None:
    """A later life of the same node takes over at once, where processes cannot be seen."""
    before, after = opened(), opened()
    gate = Gate()
    patient = Policy(lease=3600.0, beat=3600.0, tidy=3600.0, poll=0.05)
    silent = Policy(lease=3600.0, beat=3600.0, tidy=3600.0, poll=3600.0)  # as the dead are
    with Running(before, gate, policy=silent, node="left") as running:
        task = before.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        with Running(after, echo, policy=patient, node="right"):
            assert not after.get("f", task.task_id).ended
        with Running(after, echo, policy=patient, node="left"):
            record = ended(after, task)
        running.stop(drain=0.0)

    assert (Status.SUCCEEDED, 2) == (record.status, record.deliveries)


@pytest.mark.parametrize("engines", [3])
def test_several_engines_share_a_queue(opened: Callable[..., Store], engines: int) -> None:
    """Each task is run by one of them, and once."""
    seen: list[str] = []

    async def run(attempt: Attempt) -> Result:
        seen.append(attempt.task_id)
        return await echo(attempt)

    stores = [opened() for _ in range(engines)]
    runners = [Running(store, run) for store in stores]
    for runner in runners:
        runner.__enter__()
    tries = [stores[0].accept_soon(Submission(function=f"f{n % 5}")) for n in range(300)]
    for one in tries:
        assert Status.SUCCEEDED is ended(stores[0], one.result()).status
    for runner in runners:
        runner.stop()

    assert 300 == len(seen) == len(set(seen))


def test_a_dead_one_that_was_stopping(
    opened: Callable[..., Store], url: str, handlers: Path, tmp_path: Path
) -> None:
    """Asked to stop, and its process killed before it did: it is stopped, and runs no more."""
    store = opened()
    arguments = (url, str(handlers / "accounted"), str(tmp_path / "runs"))
    with program(HOLDING, *arguments) as process:
        assert process.stdout is not None
        assert "running\n" == process.stdout.readline()
        stop(process.pid)
        assert Status.STOPPING is store.stop("f", "held").status
        process.send_signal(signal.SIGKILL)
        with Running(store, echo):
            record = ended(store, store.get("f", "held"))

    assert (Status.STOPPED, 1) == (record.status, record.deliveries)
