"""``fc-runtime tasks``: list, show, stop, retry, as a shell runs them, signed with a key."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from service.tasks.conftest import Fc2, Fc3  # type: ignore[import-not-found]
from support.asynchronous import KEY, Runs, ended, invoke_later, task
from support.official import SERVICE
from support.serving import LONG_S, Served, environment

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # aliyun-fc2
KEYS = {"FC_RUNTIME_ACCESS_KEYS": f"{KEY.id}:{KEY.secret}"}


def tasks(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fc_runtime", "tasks", *arguments],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def test_tasks_are_listed_and_shown(home: Path, served: Served, fc3: Fc3, runs: Runs) -> None:
    """For people in columns, for programs in JSON as the API has it."""
    fc3.create("hello", runs.code)
    invoke_later(fc3, "hello", {"answer": "well"}, x_fc_async_task_id="one")
    invoke_later(fc3, "hello", {}, delay=3600, x_fc_async_task_id="two")
    ended(fc3, "hello", "one")
    here = {**KEYS, "FC_RUNTIME_ENDPOINT": served.url}

    table = tasks(home, "list", "hello", **here)
    found = tasks(home, "list", "hello", "--status", "Enqueued", "--json", **here)
    one = tasks(home, "show", "hello", "one", **here)
    as_json = tasks(home, "show", "hello", "one", "--json", **here)

    head, *lines = table.stdout.splitlines()
    assert ["TASK", "STATUS", "QUALIFIER"] == head.split()[:3]
    assert [["two", "Enqueued"], ["one", "Succeeded"]] == [line.split()[:2] for line in lines]
    assert ["two"] == [each["taskId"] for each in json.loads(found.stdout)]
    assert "returnPayload" in one.stdout
    assert ["Enqueued", "Succeeded"] == [
        word
        for line in one.stdout.splitlines()
        for word in line.split()[1:]
        if word in {"Enqueued", "Succeeded"} and line[0].isdigit()
    ]
    assert "well" == json.loads(as_json.stdout)["returnPayload"]
    assert {0} == {done.returncode for done in (table, found, one, as_json)}
    assert KEY.secret not in "".join(done.stdout + done.stderr for done in (table, one))


def test_more_than_a_page_is_listed(home: Path, served: Served, fc3: Fc3, runs: Runs) -> None:
    """As many as are asked for, and no more."""
    fc3.create("hello", runs.code)
    for number in range(105):
        invoke_later(fc3, "hello", {}, delay=3600, x_fc_async_task_id=f"t{number}")
    here = {**KEYS, "FC_RUNTIME_ENDPOINT": served.url}

    for limit in (101, 105, 1000):
        found = tasks(home, "list", "hello", "--limit", str(limit), "--json", **here)

        ids = [each["taskId"] for each in json.loads(found.stdout)]
        assert [f"t{number}" for number in reversed(range(105))][:limit] == ids


def test_a_task_is_stopped_and_run_again(home: Path, served: Served, fc3: Fc3, runs: Runs) -> None:
    """One that has not ended cannot be run again: that is refused, with the daemon's reason."""
    fc3.create("hello", runs.code)
    invoke_later(fc3, "hello", {}, delay=3600, x_fc_async_task_id="one")
    at = ["--endpoint", served.url]

    early = tasks(home, "retry", "hello", "one", *at, **KEYS)
    stopped = tasks(home, "stop", "hello", "one", *at, **KEYS)
    status = task(fc3, "hello", "one").status
    again = tasks(home, "retry", "hello", "one", *at, **KEYS)

    assert (1, "") == (early.returncode, early.stdout)
    assert "InvalidArgument" in early.stderr
    assert (0, 0) == (stopped.returncode, again.returncode)
    assert "Stopped" == status
    assert "Succeeded" == ended(fc3, "hello", "one").status
    assert 1 == len(list(runs))


def test_a_function_of_fc2_is_named_with_its_service(
    home: Path, served: Served, v2016: Fc2, runs: Runs
) -> None:
    """``SERVICE/FUNCTION``; ids and errors go by the names of that family."""
    v2016.create("hello", runs.code)
    headers = {
        "x-fc-invocation-type": "Async",
        "x-fc-stateful-async-invocation-id": "one",
        "x-fc-async-delay": "3600",
    }
    v2016.sdk.invoke_function(SERVICE, "hello", b"{}", headers)
    at = ["--endpoint", served.url]

    stopped = tasks(home, "stop", f"{SERVICE}/hello", "one", *at, **KEYS)
    listed = tasks(home, "list", f"{SERVICE}/hello", *at, **KEYS)

    assert (0, 0) == (stopped.returncode, listed.returncode)
    assert ["one", "Stopped"] == listed.stdout.splitlines()[1].split()[:2]


def test_who_has_no_right_key_is_told(home: Path, served: Served, fc3: Fc3, runs: Runs) -> None:
    """In one line, without the secret; so is who asks where no daemon is."""
    fc3.create("hello", runs.code)
    wrong = {"FC_RUNTIME_ACCESS_KEYS": f"{KEY.id}:a-wrong-secret"}

    refused = tasks(home, "list", "hello", "--endpoint", served.url, **wrong)
    nowhere = tasks(home, "list", "hello", "--endpoint", "http://127.0.0.1:1", **KEYS)
    no_url = tasks(home, "list", "hello", "--endpoint", "ftp://x", **KEYS)

    assert 1 == refused.returncode
    assert "SignatureNotMatch" in refused.stderr
    assert "a-wrong-secret" not in refused.stderr
    assert 69 == nowhere.returncode
    assert "is fc-runtime serve running there?" in nowhere.stderr
    assert 69 == no_url.returncode
    for done in (refused, nowhere, no_url):
        assert "" == done.stdout
        assert 1 == done.stderr.count("\n")


def test_the_daemons_own_key_is_found(home: Path) -> None:
    """A daemon that was given none makes one, in its folder: by default the one that is looked in."""
    with Served(home) as served:
        found = tasks(home, "list", "hello", "--endpoint", served.url)

    assert "FunctionNotFound" in found.stderr  # so it was let in
    assert os.path.exists(home / ".local/share/fc-runtime/access-keys")
