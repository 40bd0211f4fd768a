"""An asynchronous invocation on the wire: what is accepted, and what is refused (spec 4.C, 7.B)."""

import json

import fc2
import httpx
import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc_open20210406 import models as open_models
from alibabacloud_tea_util.models import RuntimeOptions
from service.tasks.conftest import Fc2, Fc3, Open  # type: ignore[import-not-found]
from support.accounts import base64_zip
from support.asynchronous import Runs, ended, invoke_later, task
from support.official import SERVICE, Key

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # aliyun-fc2
LIMIT = 128 * 1024
HELLO = "/2023-03-30/functions/hello/invocations"
OF_FC2 = "/2016-08-15/services/demo/functions/hello/invocations"
LATER = {"X-Fc-Invocation-Type": "Async"}


@pytest.fixture
def echo(unsigned: httpx.Client) -> httpx.Client:
    """With a function ``hello`` that echoes, of each family."""
    code = {"zipFile": base64_zip()}
    one = {
        "functionName": "hello",
        "runtime": "python3.10",
        "handler": "index.handler",
        "code": code,
    }
    for path, body in (
        ("/2023-03-30/functions", one),
        ("/2016-08-15/services", {"serviceName": "demo"}),
        ("/2016-08-15/services/demo/functions", one),
    ):
        assert unsigned.post(path, json=body).status_code == 200
    return unsigned


def test_it_is_accepted_with_202_and_nothing_else(echo: httpx.Client) -> None:
    """No body; the ids of request and task, the task's by the name that the family has for it."""
    for path, header in (
        (HELLO, "X-Fc-Async-Task-Id"),
        (OF_FC2, "X-Fc-Stateful-Async-Invocation-Id"),
        (OF_FC2.replace("2016-08-15", "2021-04-06"), "X-Fc-Stateful-Async-Invocation-Id"),
    ):
        reply = echo.post(path, content=b"event", headers=LATER)

        assert (202, b"") == (reply.status_code, reply.content)
        assert reply.headers["X-Fc-Request-Id"]
        assert reply.headers[header]
        assert "X-Fc-Error-Type" not in reply.headers
        assert 200 == echo.post(path, content=b"event").status_code  # who waits, as ever


def test_the_task_has_the_id_that_it_was_given(echo: httpx.Client) -> None:
    """A second one of the same function is a conflict; each function has ids of its own."""
    for name in ("X-Fc-Async-Task-Id", "X-Fc-Stateful-Async-Invocation-Id"):
        given = {**LATER, name: f"by-{name}"}

        assert given[name] == echo.post(HELLO, headers=given).headers["X-Fc-Async-Task-Id"]
        again = echo.post(HELLO, headers=given)
        other = echo.post(OF_FC2, headers=given)
        other_again = echo.post(OF_FC2, headers=given)

        assert (409, "AsyncTaskAlreadyExists") == (again.status_code, again.json()["Code"])
        assert 202 == other.status_code
        assert (409, "StatefulAsyncInvocationAlreadyExists") == (
            other_again.status_code,
            other_again.json()["Code"],
        )


def test_what_cannot_be_asked_for_is_refused(echo: httpx.Client) -> None:
    """400, with what was given and what would do; and nothing has been accepted."""
    for headers, word in (
        ({"X-Fc-Async-Task-Id": "1st"}, "letters"),
        ({"X-Fc-Async-Task-Id": "a b"}, "letters"),
        ({"X-Fc-Async-Task-Id": "x" * 129}, "128"),
        ({"X-Fc-Stateful-Async-Invocation-Id": "-x"}, "letters"),
        ({"X-Fc-Async-Delay": "-1"}, "3600"),
        ({"X-Fc-Async-Delay": "3601"}, "3600"),
        ({"X-Fc-Async-Delay": "1.5"}, "whole seconds"),
        ({"X-Fc-Async-Delay": "soon"}, "whole seconds"),
        ({"X-Fc-Invocation-Type": "Sometime"}, "Sync or Async"),
    ):
        reply = echo.post(HELLO, headers={**LATER, **headers})

        assert (400, "InvalidArgument") == (reply.status_code, reply.json()["Code"])
        assert word in reply.json()["Message"]
    assert [] == echo.get("/2023-03-30/functions/hello/async-tasks").json()["tasks"]


def test_an_event_has_at_most_128_kilobytes(echo: httpx.Client) -> None:
    """One byte more is FC's error, in FC's words; so it is if nobody has said how long it is."""
    assert 202 == echo.post(HELLO, content=b"x" * LIMIT, headers=LATER).status_code

    for content in (b"x" * (LIMIT + 1), iter([b"x" * LIMIT, b"x"])):
        reply = echo.post(HELLO, content=content, headers=LATER)

        assert (400, "EntityTooLarge") == (reply.status_code, reply.json()["ErrorCode"])
        assert f"({LIMIT} bytes)" in reply.json()["ErrorMessage"]
    assert 200 == echo.post(HELLO, content=b"x" * (LIMIT + 1)).status_code


def test_what_could_not_be_invoked_is_not_accepted(echo: httpx.Client) -> None:
    """What is not there, or switched off: at once, not a task that comes to nothing."""
    assert 200 == echo.put("/2023-03-30/functions/hello/invoke/disable", json={}).status_code
    for path, status, code in (
        ("/2023-03-30/functions/nobody/invocations", 404, "FunctionNotFound"),
        (f"{OF_FC2}?qualifier=nothing", 404, "AliasNotFound"),
        (OF_FC2.replace("demo", "nowhere"), 404, "ServiceNotFound"),
        (HELLO, 403, "InvocationDisabled"),
    ):
        reply = echo.post(path, headers=LATER)

        assert (status, code) == (reply.status_code, reply.json()["Code"])


def test_only_who_may_invoke_may_do_it_later(served, fc3: Fc3, runs: Runs) -> None:
    """The signature is checked as for one who waits; nothing of a stranger's is kept."""
    fc3.create("hello", runs.code)

    stranger = Fc3(served.url, Key("test-key", "another secret"))

    with stranger.refused(403, "SignatureNotMatch"):
        invoke_later(stranger, "hello", {})

    assert [] == fc3.sdk.list_async_tasks("hello", models.ListAsyncTasksRequest()).body.tasks


def test_the_official_client_of_fc3(fc3: Fc3, runs: Runs) -> None:
    """The event comes to the handler as it was, and the request id of the 202 is the context's."""
    fc3.create("hello", runs.code)

    told = invoke_later(fc3, "hello", {"n": 1}, x_fc_async_task_id="one")

    (run,) = runs.wait(1)
    assert ({"n": 1}, 0) == (run["event"], run["retry_count"])
    assert told["x-fc-request-id"] == run["request_id"]
    assert "one" == told["x-fc-async-task-id"]
    assert told["x-fc-request-id"] == task(fc3, "hello", "one").request_id
    assert "Succeeded" == ended(fc3, "hello", "one").status


def test_the_official_clients_of_fc2(v2016: Fc2, v2021: Open, runs: Runs) -> None:
    """Both invoke asynchronously, with an id of theirs or without; a second one is refused."""
    v2016.create("hello", runs.code)
    given = {"x-fc-invocation-type": "Async", "x-fc-stateful-async-invocation-id": "one"}

    reply = v2016.sdk.invoke_function(SERVICE, "hello", b'{"n": 1}', given)
    with pytest.raises(fc2.fc_exceptions.FcError, match="StatefulAsyncInvocationAlreadyExists"):
        v2016.sdk.invoke_function(SERVICE, "hello", b"{}", given)
    other = v2021.sdk.invoke_function_with_options(
        SERVICE,
        "hello",
        open_models.InvokeFunctionRequest(body=json.dumps({"n": 2}).encode()),
        open_models.InvokeFunctionHeaders(
            x_fc_invocation_type="Async", x_fc_stateful_async_invocation_id="two"
        ),
        RuntimeOptions(),
    )

    assert "one" == reply.headers["x-fc-stateful-async-invocation-id"]
    assert "two" == other.headers["x-fc-stateful-async-invocation-id"]
    assert {1, 2} == {run["event"]["n"] for run in runs.wait(2)}
