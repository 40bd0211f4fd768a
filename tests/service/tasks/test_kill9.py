"""
kill -9 of the daemon, again and again, while clients invoke asynchronously: all that was accepted
is run, and known to have been.
"""

import os
import random
import threading
from pathlib import Path

import httpx
from support.accounts import base64_zip
from support.asynchronous import Runs
from support.serving import LONG_S, Served
from support.stage import marked, until

ROUNDS = 6
CLIENTS = 4
LONGEST_S = 1.5
HELLO = "/2023-03-30/functions/hello"


class Submitting(threading.Thread):
    """Invokes, one after another, until the daemon is gone; *accepted*: the ids of all its 202s."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.accepted: list[str] = []
        self.begun = threading.Event()
        self._url = url
        self._name = name

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._url, timeout=LONG_S) as client:
                while True:
                    task_id = f"{self._name}-{len(self.accepted)}"
                    headers = {"X-Fc-Invocation-Type": "Async", "X-Fc-Async-Task-Id": task_id}
                    event = f'{{"id": "{task_id}"}}'
                    reply = client.post(f"{HELLO}/invocations", content=event, headers=headers)
                    assert 202 == reply.status_code, reply.text
                    self.accepted.append(task_id)
                    self.begun.set()
        except httpx.TransportError:
            pass
        finally:
            self.begun.set()


def wait_for_all(url: str, accepted: set[str]) -> None:
    """Until each of them has Succeeded, as the API says."""
    left = set(accepted)

    def none_left() -> bool:
        with httpx.Client(base_url=url, timeout=LONG_S) as client:
            params = {"status": "Succeeded", "limit": 100}
            while True:
                page = client.get(f"{HELLO}/async-tasks", params=params).json()
                left.difference_update(task["taskId"] for task in page["tasks"])
                if not left or "nextToken" not in page:
                    return not left
                params["nextToken"] = page["nextToken"]

    until(none_left, 4 * LONG_S, what=f"the end of {len(left)} tasks, such as {sorted(left)[:3]}")


def test_all_that_was_accepted_is_run(home: Path, runs: Runs, tmp_path: Path) -> None:
    """Each 202 is accounted for, by a run and in the list, however often the daemon is killed."""
    mark = f"tasks-kill9-{tmp_path.name}"
    accepted: set[str] = set()
    for turn in range(ROUNDS):
        with Served(home, "--no-auth", "--data-dir", home / "data", "--no-access-log") as served:
            if turn == 0:
                one = {"functionName": "hello", "runtime": "python3.10", "handler": "index.handler"}
                code = {"zipFile": base64_zip(index=runs.source)}
                more = {"code": code, "environmentVariables": {"LD_TEST_MARK": mark}}
                reply = httpx.post(f"{served.url}/2023-03-30/functions", json={**one, **more})
                assert 200 == reply.status_code
            clients = [Submitting(served.url, f"t{turn}-{number}") for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.begun.wait(LONG_S)
            threading.Event().wait(random.uniform(0, LONGEST_S))
            served.process.kill()
            served.wait()
            for client in clients:
                client.join(LONG_S)
                accepted.update(client.accepted)
        until(lambda: not marked(mark), LONG_S, what="nobody left of the daemon that was killed")

    with Served(home, "--no-auth", "--data-dir", home / "data") as served:
        wait_for_all(served.url, accepted)

    assert len(accepted) >= ROUNDS * CLIENTS
    ran = {run["event"]["id"] for run in runs}
    assert set() == accepted - ran


def test_of_a_project_too(home: Path, runs: Runs, tmp_path: Path) -> None:
    """
    Its folder goes with the daemon, but not with one that is killed: the same command takes it up.
    Another project has another folder, and one that was left there for a day is removed.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (home / "index.py").write_text(runs.source)
    (home / "other.py").write_text(runs.source)
    where = {"TMPDIR": str(temporary)}
    command = (home, "--no-auth", "--code", home, "--name", "hello")
    old = temporary / "fc-runtime-serve-old"
    old.mkdir()
    (old / "lock").touch()
    os.utime(old, (0, 0))

    with Served(*command, **where) as served:
        assert not old.exists()
        with httpx.Client(base_url=served.url, timeout=LONG_S) as client:
            headers = {"X-Fc-Invocation-Type": "Async", "X-Fc-Async-Task-Id": "late"}
            headers["X-Fc-Async-Delay"] = "1"
            assert 202 == client.post(f"{HELLO}/invocations", headers=headers).status_code
        served.process.kill()
        served.wait()
    with Served(home, "--no-auth", "--code", home, "--name", "bye", **where):
        assert 2 == len(list(temporary.glob("fc-runtime-serve-*")))
    with Served(*command, **where) as served:
        assert str(temporary) in served.wait_for("daemon.took_up")
        wait_for_all(served.url, {"late"})

    assert 1 == len(list(runs))
    assert [] == list(temporary.glob("fc-runtime-serve-*"))
