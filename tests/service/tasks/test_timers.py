"""Timer triggers make their function run, as tasks (spec 9.B): on a real daemon, in real time."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alibabacloud_fc20230330 import models
from service.tasks.conftest import Fc3  # type: ignore[import-not-found]
from support.asynchronous import KEY, Runs
from support.daemon import forget_connections
from support.serving import Served
from support.stage import until

EVERY_SECOND = "* * * * * *"
MANIFEST = """\
edition: 3.0.0
name: demo
resources:
  hello:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: hello
      runtime: python3.10
      handler: index.handler
      code: ./code.zip
      triggers:
        - triggerName: tick
          triggerType: timer
          triggerConfig: {{cronExpression: "{expression}", enable: true, payload: from s.yaml}}
"""


def put_timer(client: Fc3, expression: str, *, enable: bool = True) -> None:
    config = {"cronExpression": expression, "enable": enable, "payload": "a payload"}
    body = models.CreateTriggerInput(
        trigger_name="tick", trigger_type="timer", trigger_config=json.dumps(config)
    )
    client.sdk.create_trigger("hello", models.CreateTriggerRequest(body=body))


def switch(client: Fc3, *, enable: bool) -> None:
    config = {"cronExpression": EVERY_SECOND, "enable": enable}
    body = models.UpdateTriggerInput(trigger_config=json.dumps(config))
    client.sdk.update_trigger("hello", "tick", models.UpdateTriggerRequest(body=body))


def due(runs: Runs) -> list[str]:
    """For which moments it has fired, in order."""
    return [run["event"]["triggerTime"] for run in runs]


def tasks(client: Fc3) -> list[Any]:
    request = models.ListAsyncTasksRequest(limit=100, prefix="timer-tick")
    return client.sdk.list_async_tasks("hello", request).body.tasks


def test_a_timer_fires_with_the_documented_event(fc3: Fc3, runs: Runs) -> None:
    """Each moment once; what it does is a task like any other."""
    fc3.create("hello", runs.code)
    put_timer(fc3, EVERY_SECOND)

    told = runs.wait(3)

    assert {"triggerTime", "triggerName", "payload"} == set(told[0]["event"])
    assert ("tick", "a payload") == (told[0]["event"]["triggerName"], told[0]["event"]["payload"])
    assert len(set(due(runs))) == len(due(runs))
    assert all(moment.endswith("Z") for moment in due(runs))
    assert 3 <= len(tasks(fc3))


def test_a_timer_is_switched_off_and_on(fc3: Fc3, runs: Runs) -> None:
    """Made switched off it does not fire; then it does, from then on and not for what was before."""
    fc3.create("hello", runs.code)
    put_timer(fc3, EVERY_SECOND, enable=False)
    fc3.create("other", runs.code)
    put_other = models.CreateTriggerInput(
        trigger_name="other",
        trigger_type="timer",
        trigger_config=json.dumps({"cronExpression": EVERY_SECOND}),
    )
    fc3.sdk.create_trigger("other", models.CreateTriggerRequest(body=put_other))
    runs.wait(2)
    assert {"other"} == {run["event"]["triggerName"] for run in runs}
    earlier = max(due(runs))

    switch(fc3, enable=True)

    ours = until(lambda: [r for r in runs if r["event"]["triggerName"] == "tick"])
    assert earlier < ours[0]["event"]["triggerTime"]
    switch(fc3, enable=False)
    seen = len(tasks(fc3))
    count = len(list(runs))
    runs.wait(count + 3)  # of the other one
    assert seen == len(tasks(fc3))


def test_what_was_missed_while_the_daemon_was_down(home: Path, runs: Runs) -> None:
    """
    The last moment is made up for, once; an earlier life's firing of the same moment counts. What
    came between is left out.
    """
    keys = {"FC_RUNTIME_ACCESS_KEYS": f"{KEY.id}:{KEY.secret}"}
    with Served(home, **keys) as served:
        client = Fc3(served.url, KEY)
        client.create("hello", runs.code)
        put_timer(client, "@every 4s")
        runs.wait(1)
        forget_connections()
        served.stop()
    before = due(runs)

    with Served(home, **keys):  # at once: the same moment, or one more
        runs.wait(len(before) + 1)

    assert len(set(due(runs))) == len(due(runs))
    assert sorted(due(runs)) == due(runs)


def test_two_daemons_on_one_store_fire_once(tmp_path: Path, runs: Runs) -> None:
    """Each has the function and its timer; for each moment, one of them runs it."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "code.zip").write_bytes(runs.code)
    (project / "s.yaml").write_text(MANIFEST.format(expression=EVERY_SECOND))
    store = f"sqlite:///{tmp_path / 'shared.db'}"
    with ExitStack() as stack:
        for name in ("one", "two"):
            home = tmp_path / name
            home.mkdir()
            stack.enter_context(Served(home, "--no-auth", cwd=project, FC_RUNTIME_STORE=store))

        runs.wait(4)

    moments = due(runs)
    assert len(set(moments)) == len(moments)
    assert {"from s.yaml"} == {run["event"]["payload"] for run in runs}
