"""What is served follows the account: code, versions, aliases, limits, what is gone."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.daemon import base64_zip, fc3_client
from support.stage import until

from .conftest import Daemon


def says(word: str) -> dict[str, Any]:
    """Code that answers with *word*."""
    return {"zipFile": base64_zip(index=f"def handler(event, context):\n    return {word!r}\n")}


def processes(daemon: Daemon, key: str) -> int:
    return daemon.app.runtime.stats()["functions"].get(key, {}).get("processes", 0)


def test_new_code_answers_the_next_call(daemon: Daemon) -> None:
    """An update is served at once, to whoever asks after it."""
    daemon.create("f", code=says("old"))
    assert "old" == daemon.invoke("f").text

    daemon.account.update_function("", "f", {"code": says("new")})

    assert "new" == daemon.invoke("f").text


def test_no_call_is_lost_while_code_changes(daemon: Daemon) -> None:
    """Every call gets the old answer or the new one, and the last ones the last."""
    daemon.create("f", code=says("0"))
    daemon.invoke("f")

    with ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(daemon.invoke, "f") for _ in range(60)]
        for number in range(1, 4):
            daemon.account.update_function("", "f", {"code": says(str(number))})
            answers += [callers.submit(daemon.invoke, "f") for _ in range(20)]

    assert {200} == {answer.result().status_code for answer in answers}
    assert {answer.result().text for answer in answers} <= {"0", "1", "2", "3"}
    assert "3" == daemon.invoke("f").text


def test_what_is_deleted_is_gone(daemon: Daemon) -> None:
    """404 from then on; through the API its instances are ended too."""
    daemon.create("f", code=says("x"))
    daemon.invoke("f")

    assert 204 == daemon.client.delete("/2023-03-30/functions/f").status_code

    assert 404 == daemon.invoke("f").status_code
    until(lambda: "f/LATEST" not in daemon.app.runtime.functions(), what="it is unregistered")


def test_a_version_stays_as_it_was(daemon: Daemon) -> None:
    """By its number: the code of then, and the context says so."""
    daemon.create("f", code=says("one"))
    daemon.account.publish_version("", "f")
    daemon.account.update_function("", "f", {"code": says("two")})

    first = daemon.post("/2023-03-30/functions/f/invocations?qualifier=1")

    assert ("one", "two") == (first.text, daemon.invoke("f").text)


def test_an_alias_splits_traffic_by_weight(daemon: Daemon) -> None:
    """One call in two for each of two versions, within what chance allows."""
    for word in ("one", "two"):
        if word == "one":
            daemon.create("f", code=says(word))
        else:
            daemon.account.update_function("", "f", {"code": says(word)})
        daemon.account.publish_version("", "f")
    alias = {"versionId": "1", "additionalVersionWeight": {"2": 0.5}}
    daemon.account.create_alias("", "f", "prod", alias)

    said = [
        daemon.post("/2023-03-30/functions/f/invocations?qualifier=prod").text for _ in range(100)
    ]

    assert {"one", "two"} == set(said)
    assert 20 < said.count("two") < 80  # outside once in a thousand million


def test_what_comes_while_the_runtime_follows_the_account_stays(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there yet when the account was looked through: that makes it no leftover."""
    daemon.create("f", code=says("one"))
    daemon.account.publish_version("", "f")
    daemon.account.create_alias("", "f", "prod", {"versionId": "1"})
    plans, looked, go_on = daemon.app.deployer._plans, threading.Event(), threading.Event()
    real = plans.all

    def slowly(deployed: Any) -> Any:
        found = real(deployed)
        looked.set()
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(plans, "all", slowly)
    settled = asyncio.run_coroutine_threadsafe(daemon.app.deployer.settle(), daemon.loop)
    assert looked.wait(10)
    path = "/2023-03-30/functions/f/invocations?qualifier=prod"
    assert "one" == daemon.post(path).text

    go_on.set()
    settled.result(10)

    assert "one" == daemon.post(path).text
    assert "f/prod:1" in daemon.app.runtime.functions()


def test_provisioned_instances_are_kept_warm(daemon: Daemon) -> None:
    """Through the API: they come up without a call, and go when they are no longer wanted."""
    daemon.create("f", code=says("x"))

    daemon.client.put("/2023-03-30/functions/f/provision-config", json={"target": 2})

    until(lambda: processes(daemon, "f/LATEST") >= 2, what="two instances are up")


def test_reserved_concurrency_limits(daemon: Daemon) -> None:
    """No more instances than are reserved; taken away, as many as the daemon allows again."""
    daemon.create("f", code=says("x"))
    daemon.client.put("/2023-03-30/functions/f/concurrency", json={"reservedConcurrency": 1})
    daemon.invoke("f")
    assert 1 == daemon.app.runtime.functions()["f/LATEST"].max_instances

    daemon.client.delete("/2023-03-30/functions/f/concurrency")

    daemon.invoke("f")
    assert 3 == daemon.app.runtime.functions()["f/LATEST"].max_instances


def test_no_instance_at_all(daemon: Daemon) -> None:
    """429 for every call of a function that is to have none, with a hint when to try again."""
    daemon.create_fc2("svc", "f", "index.echo")
    daemon.account.put_config("ondemand", "svc", "f", "LATEST", {"maximumInstanceCount": 0})

    reply = daemon.post("/2016-08-15/services/svc/functions/f/invocations")

    assert (429, "ResourceThrottled") == (reply.status_code, reply.json()["Code"])
    assert "1" == reply.headers["retry-after"]


def test_a_changed_folder_is_served_after_refresh(daemon: Daemon, tmp_path: Path) -> None:
    """What a watcher of files calls: the same function, its folder read anew."""
    folder = tmp_path / "code"
    folder.mkdir()
    source = folder / "index.py"
    source.write_text("def handler(event, context):\n    return 'old'\n")
    daemon.create("f", code={"folder": str(folder)})
    assert "old" == daemon.invoke("f").text
    source.write_text("def handler(event, context):\n    return 'newer'\n")

    refreshed = asyncio.run_coroutine_threadsafe(daemon.app.deployer.refresh("", "f"), daemon.loop)

    assert ["f/LATEST"] == refreshed.result(30)
    assert "newer" == daemon.invoke("f").text


@pytest.mark.parametrize("kind", ["Sync", "None"])
def test_the_official_client_invokes(daemon: Daemon, kind: str) -> None:
    """FC3's SDK: body out, headers by their names."""
    from alibabacloud_fc20230330 import models
    from darabonba.runtime import RuntimeOptions

    daemon.create("echo", "index.echo")
    headers = models.InvokeFunctionHeaders(
        x_fc_invocation_type="Sync", x_fc_log_type="Tail" if kind == "Sync" else None
    )

    reply = fc3_client(daemon.url).invoke_function_with_options(
        "echo", models.InvokeFunctionRequest(body=b"hello"), headers, RuntimeOptions()
    )

    assert b"hello" == reply.body.read()
    assert ("x-fc-log-result" in reply.headers) == (kind == "Sync")
