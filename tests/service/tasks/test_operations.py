"""List, get, stop: by the official clients of both families; to run again is ours (spec 7.B)."""

import json

import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc_open20210406 import models as open_models
from service.tasks.conftest import Fc2, Fc3, Gate, Open  # type: ignore[import-not-found]
from support.asynchronous import Runs, ended, invoke_later, states, task
from support.official import SERVICE
from support.stage import until, wait_gone

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # aliyun-fc2
LONG = 3600  # seconds of delay: it does not run in this test


def listed(client: Fc3, **asked) -> models.ListAsyncTaskOutput:
    return client.sdk.list_async_tasks("hello", models.ListAsyncTasksRequest(**asked)).body


def stop(client: Fc3, task_id: str) -> int:
    """The status of the answer."""
    request = models.StopAsyncTaskRequest()
    return client.sdk.stop_async_task("hello", task_id, request).status_code


def test_tasks_are_listed_with_filters_a_page_at_a_time(fc3: Fc3, runs: Runs) -> None:
    """Newest first, or oldest; by status, prefix and qualifier; payloads if they are wanted."""
    fc3.create("hello", runs.code)
    for number in range(5):
        invoke_later(fc3, "hello", {"n": number}, delay=LONG, x_fc_async_task_id=f"later-{number}")
    invoke_later(fc3, "hello", {}, x_fc_async_task_id="now")
    ended(fc3, "hello", "now")

    first = listed(fc3, limit=2, prefix="later-")
    second = listed(fc3, limit=2, prefix="later-", next_token=first.next_token)
    third = listed(fc3, limit=2, prefix="later-", next_token=second.next_token)

    assert ["later-4", "later-3", "later-2", "later-1", "later-0"] == [
        one.task_id for page in (first, second, third) for one in page.tasks
    ]
    assert third.next_token is None
    assert ["later-0"] == [
        one.task_id for one in listed(fc3, limit=1, sort_order_by_time="asc").tasks
    ]
    assert ["now"] == [one.task_id for one in listed(fc3, status="Succeeded").tasks]
    assert 5 == len(listed(fc3, status="Enqueued").tasks)
    assert 6 == len(listed(fc3, qualifier="LATEST").tasks)
    assert {None} == {one.task_payload for one in listed(fc3).tasks}
    with_payload = listed(fc3, prefix="later-3", include_payload=True).tasks
    assert ['{"n": 3}'] == [one.task_payload for one in with_payload]
    began = task(fc3, "hello", "now").started_time
    assert ["now"] == [one.task_id for one in listed(fc3, started_time_begin=began).tasks]
    assert [] == listed(fc3, started_time_end=began - 1).tasks


def test_a_task_says_what_became_of_it(fc3: Fc3, runs: Runs) -> None:
    """All that FC tells of one, from acceptance to end."""
    fc3.create("hello", runs.code)
    told = invoke_later(fc3, "hello", {"answer": "well"}, x_fc_async_task_id="one")

    one = ended(fc3, "hello", "one")

    assert ("one", "Succeeded", "LATEST", 0) == (
        one.task_id,
        one.status,
        one.qualifier,
        one.already_retried_times,
    )
    assert one.function_arn.endswith(":functions/hello")
    assert told["x-fc-request-id"] == one.request_id
    assert one.instance_id
    assert ('{"answer": "well"}', "well") == (one.task_payload, one.return_payload)
    assert one.end_time - one.started_time == one.duration_ms
    assert "Enqueued" == states(one)[0]
    assert "Succeeded" == states(one)[-1]
    assert [*range(1, len(one.events) + 1)] == [event.event_id for event in one.events]
    assert one.events[0].timestamp <= one.started_time <= one.events[-1].timestamp


def test_what_there_is_not_cannot_be_got_or_stopped(fc3: Fc3, runs: Runs) -> None:
    """404, of the task or of the function."""
    fc3.create("hello", runs.code)

    with fc3.refused(404, "AsyncTaskNotFound"):
        task(fc3, "hello", "nothing")
    with fc3.refused(404, "AsyncTaskNotFound"):
        stop(fc3, "nothing")
    with fc3.refused(404, "FunctionNotFound"):
        task(fc3, "nobody", "nothing")
    with fc3.refused(400, "InvalidArgument"):
        listed(fc3, status="Sleeping")
    with fc3.refused(400, "InvalidArgument"):
        listed(fc3, sort_order_by_time="sideways")


def test_one_that_waits_is_stopped_at_once(fc3: Fc3, runs: Runs) -> None:
    """It never runs; stopping it again changes nothing."""
    fc3.create("hello", runs.code)
    invoke_later(fc3, "hello", {}, delay=LONG, x_fc_async_task_id="one")

    assert 204 == stop(fc3, "one")

    assert ["Enqueued", "Stopped"] == states(task(fc3, "hello", "one"))
    assert 204 == stop(fc3, "one")
    assert ["Enqueued", "Stopped"] == states(task(fc3, "hello", "one"))
    assert [] == list(runs)


def test_one_that_runs_is_killed(fc3: Fc3, runs: Runs, gate: Gate) -> None:
    """Its process ends, it is not tried again, and the function goes on serving."""
    fc3.create("hello", runs.code, timeout=600)
    invoke_later(fc3, "hello", json.loads(gate.event("one")), x_fc_async_task_id="one")
    _, pid = gate.entered()
    until(lambda: task(fc3, "hello", "one").status == "Running", what="Running")

    assert 204 == stop(fc3, "one")

    assert "Stopped" == ended(fc3, "hello", "one").status
    assert wait_gone(pid)
    assert 1 == len(list(runs))
    assert b"done" == fc3.invoke("hello", b"{}").body


def test_the_same_by_the_names_of_fc2(v2016: Fc2, v2021: Open, runs: Runs) -> None:
    """Its client lists, gets and stops; ids, services and functions are called as there."""
    v2016.create("hello", runs.code)
    for task_id, delay in (("now", "0"), ("later", str(LONG))):
        headers = {
            "x-fc-invocation-type": "Async",
            "x-fc-stateful-async-invocation-id": task_id,
            "x-fc-async-delay": delay,
        }
        v2016.sdk.invoke_function(SERVICE, "hello", b'{"answer": "well"}', headers)
    sdk = v2021.sdk

    def got(task_id: str) -> open_models.StatefulAsyncInvocation:
        request = open_models.GetStatefulAsyncInvocationRequest()
        return sdk.get_stateful_async_invocation(SERVICE, "hello", task_id, request).body

    until(lambda: got("now").status == "Succeeded", what="its end")
    request = open_models.StopStatefulAsyncInvocationRequest()
    sdk.stop_stateful_async_invocation(SERVICE, "hello", "later", request)

    now, later = got("now"), got("later")
    assert ("hello", SERVICE, "LATEST", "well") == (
        now.function_name,
        now.service_name,
        now.qualifier,
        now.return_payload,
    )
    assert ('{"answer": "well"}', "Stopped") == (now.invocation_payload, later.status)
    request = open_models.ListStatefulAsyncInvocationsRequest(invocation_id_prefix="n")
    found = sdk.list_stateful_async_invocations(SERVICE, "hello", request).body.invocations
    assert ["now"] == [one.invocation_id for one in found]
    with v2021.refused(404, "StatefulAsyncInvocationNotFound"):
        got("nothing")
