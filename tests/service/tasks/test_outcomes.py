"""What becomes of them: retries, age, destinations, by the function's configuration (spec 7.B)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

from alibabacloud_fc20230330 import models
from service.tasks.conftest import Fc3  # type: ignore[import-not-found]
from support.accounts import zipped
from support.asynchronous import Runs, ended, invoke_later, states, task
from support.serving import LONG_S, Served
from support.stage import until

FUNCTION = "acs:fc:cn-hangzhou:1:functions/"


def configure(client: Fc3, name: str, *, qualifier: str | None = None, **fields) -> None:
    body = models.PutAsyncInvokeConfigInput(**fields)
    request = models.PutAsyncInvokeConfigRequest(body=body, qualifier=qualifier)
    client.sdk.put_async_invoke_config(name, request)


def destinations(success: str | None = None, failure: str | None = None):
    return models.DestinationConfig(
        on_success=models.Destination(destination=success) if success else None,
        on_failure=models.Destination(destination=failure) if failure else None,
    )


@contextmanager
def listener() -> Iterator[tuple[str, "Queue[dict]"]]:
    """A URL, and what was posted to it."""
    heard: Queue[dict] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            heard.put({"path": self.path, "event": json.loads(self.rfile.read(size))})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", heard
        finally:
            server.shutdown()
            thread.join(LONG_S)


def test_a_function_that_fails_is_run_again(fc3: Fc3, runs: Runs) -> None:
    """With the same request id; the context says how often before, and the task how often again."""
    fc3.create("hello", runs.code)
    invoke_later(fc3, "hello", {"fail": 1}, x_fc_async_task_id="one")

    one = ended(fc3, "hello", "one")

    assert ("Succeeded", 1, "done") == (one.status, one.already_retried_times, one.return_payload)
    assert "Retrying" in states(one)
    assert [0, 1] == [run["retry_count"] for run in runs]
    assert 1 == len({run["request_id"] for run in runs})


def test_a_function_says_how_often(fc3: Fc3, runs: Runs) -> None:
    """``maxAsyncRetryAttempts``: of each version or alias its own; what is put holds at once."""
    fc3.create("hello", runs.code)
    configure(fc3, "hello", max_async_retry_attempts=0)
    invoke_later(fc3, "hello", {"fail": 9}, x_fc_async_task_id="one")

    one = ended(fc3, "hello", "one")

    assert ("Failed", 0) == (one.status, one.already_retried_times)
    assert "UnhandledInvocationError" == one.task_error_message
    assert "not yet" == json.loads(one.return_payload)["errorMessage"]
    assert 1 == len(list(runs))


def test_one_whose_code_cannot_be_loaded_has_failed(fc3: Fc3) -> None:
    """As whoever waited would have been told."""
    fc3.create("hello", zipped(other="def handler(event, context): pass\n"))
    configure(fc3, "hello", max_async_retry_attempts=0)
    invoke_later(fc3, "hello", {}, x_fc_async_task_id="one")

    one = ended(fc3, "hello", "one")

    assert ("Failed", "UnhandledInvocationError") == (one.status, one.task_error_message)
    assert "ImportModuleError" == json.loads(one.return_payload)["errorType"]


def test_one_that_has_waited_too_long_is_dropped(fc3: Fc3, runs: Runs) -> None:
    """``maxAsyncEventAgeInSeconds``: it expires without having been run."""
    fc3.create("hello", runs.code)
    configure(fc3, "hello", max_async_event_age_in_seconds=1)
    invoke_later(fc3, "hello", {}, delay=3600, x_fc_async_task_id="one")

    one = ended(fc3, "hello", "one")

    assert "Expired" == one.status
    assert [] == list(runs)


def test_one_whose_function_is_deleted_is_invalid(fc3: Fc3, runs: Runs) -> None:
    """When its turn comes; a function of that name that is made later still knows of it."""
    fc3.create("hello", runs.code)
    invoke_later(fc3, "hello", {}, delay=2, x_fc_async_task_id="one")
    fc3.delete("hello")
    fc3.create("other", runs.code)
    invoke_later(fc3, "other", {}, delay=3, x_fc_async_task_id="after")
    ended(fc3, "other", "after")

    fc3.create("hello", runs.code)

    one = ended(fc3, "hello", "one")
    assert "Invalid" == one.status
    assert "FunctionNotFound" == one.task_error_message  # as the API calls it
    assert 1 == len(list(runs))


def test_an_outcome_is_told_to_a_function(fc3: Fc3, runs: Runs) -> None:
    """Good ones to one, bad ones to another, as events of FC's shape; telling is a task too."""
    fc3.create("hello", runs.code)
    fc3.create("heard", zipped(index=_HEARS.format(path=str(runs.path))))
    told = destinations(f"{FUNCTION}heard", f"{FUNCTION}heard/LATEST")
    configure(fc3, "hello", destination_config=told, max_async_retry_attempts=0)

    good = invoke_later(fc3, "hello", {"answer": "well"}, x_fc_async_task_id="good")
    bad = invoke_later(fc3, "hello", {"fail": 9}, x_fc_async_task_id="bad")

    runs.wait(4)
    heard = {
        one["heard"]["requestContext"]["requestId"]: one["heard"] for one in runs if "heard" in one
    }
    well, badly = heard[good["x-fc-request-id"]], heard[bad["x-fc-request-id"]]
    assert ("Success", '{"answer": "well"}', "well", "") == (
        well["requestContext"]["condition"],
        well["requestPayload"],
        well["responsePayload"],
        well["responseContext"]["functionError"],
    )
    assert well["requestContext"]["functionArn"].endswith(":functions/hello")
    assert ("RetriesExhausted", '{"fail": 9}', "UnhandledInvocationError") == (
        badly["requestContext"]["condition"],
        badly["requestPayload"],
        badly["responseContext"]["functionError"],
    )
    assert "not yet" == json.loads(badly["responsePayload"])["errorMessage"]
    for task_id in ("good", "bad"):
        until(lambda it=task_id: task(fc3, "hello", it).destination_status == "Succeeded")


def test_an_outcome_is_told_to_a_url(fc3: Fc3, runs: Runs) -> None:
    """By POST, with the same event: an extension of ours."""
    fc3.create("hello", runs.code)
    with listener() as (url, heard):
        configure(fc3, "hello", destination_config=destinations(f"{url}/done"))

        told = invoke_later(fc3, "hello", {"answer": "well"}, x_fc_async_task_id="one")

        posted = heard.get(timeout=LONG_S)
    assert "/done" == posted["path"]
    assert told["x-fc-request-id"] == posted["event"]["requestContext"]["requestId"]
    assert "well" == posted["event"]["responsePayload"]


def test_a_destination_of_the_cloud_is_kept_and_not_told(
    served: Served, fc3: Fc3, runs: Runs
) -> None:
    """The configuration says so, and so does the task."""
    fc3.create("hello", runs.code)
    body = models.PutAsyncInvokeConfigInput(
        destination_config=destinations("acs:mns:cn-hangzhou:1:/queues/q/messages")
    )
    request = models.PutAsyncInvokeConfigRequest(body=body)

    reply = fc3.sdk.put_async_invoke_config("hello", request)
    invoke_later(fc3, "hello", {}, x_fc_async_task_id="one")

    headers = {name.lower(): value for name, value in reply.headers.items()}
    assert "stored only" in headers["x-fc-runtime-note"]
    until(lambda: task(fc3, "hello", "one").destination_status == "Failed", LONG_S)
    assert "Succeeded" == task(fc3, "hello", "one").status


_HEARS = """
import json

def handler(event, context):
    with open({path!r}, "a") as runs:
        runs.write(json.dumps({{"heard": json.loads(event)}}) + "\\n")
"""
