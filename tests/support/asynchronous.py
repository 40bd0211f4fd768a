"""What tests of asynchronous invocations stand on: a handler that tells of its runs, and asks."""

import json
from pathlib import Path
from typing import Any

from alibabacloud_fc20230330 import models as fc3_models
from darabonba.runtime import RuntimeOptions
from support.accounts import zipped
from support.official import Fc3, Key
from support.serving import LONG_S
from support.stage import until

KEY = Key("test-key", "test-secret")
ENDED = {"Succeeded", "Failed", "Stopped", "Expired", "Invalid"}
_CODE = """
import json, os

def handler(event, context):
    asked = json.loads(event or b"{{}}")
    told = {{"request_id": context.request_id, "retry_count": context.retry_count, "event": asked,
             "pid": os.getpid()}}
    with open({path!r}, "a") as runs:
        runs.write(json.dumps(told) + "\\n")
    if "gate" in asked:
        with open(asked["gate"] + "/entered", "w") as entered:
            entered.write(f"{{asked['label']}} {{os.getpid()}}:{{os.stat('/proc/self/ns/pid').st_ino}}\\n")
        with open(asked["gate"] + "/release", "rb", buffering=0) as release:
            release.read(1)
    if context.retry_count < asked.get("fail", 0):
        raise RuntimeError("not yet")
    return asked.get("answer", "done")
"""


class Runs:
    """A file that a handler writes a line into, each time it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def source(self) -> str:
        """Of the handler."""
        return _CODE.format(path=str(self.path))

    @property
    def code(self) -> bytes:
        """A zip with it."""
        return zipped(index=self.source)

    def __iter__(self):
        """What it told, in order; a line that is being written is left out."""
        for line in self.path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)

    def wait(self, count: int) -> list[dict[str, Any]]:
        """As soon as there are so many."""
        until(lambda: len(list(self)) >= count, LONG_S, what=f"{count} runs")
        return list(self)


def invoke_later(
    client: Fc3, name: str, event: object, *, delay: int | None = None, **headers: str
) -> dict[str, str]:
    """By the official client of FC3: the headers of its 202. *headers*: ``x_fc_…`` as it has them."""
    more = {"x-fc-async-delay": str(delay)} if delay is not None else {}
    found = client.sdk.invoke_function_with_options(
        name,
        fc3_models.InvokeFunctionRequest(body=json.dumps(event).encode()),
        fc3_models.InvokeFunctionHeaders(
            x_fc_invocation_type="Async", common_headers=more, **headers
        ),
        RuntimeOptions(),
    )
    assert found.status_code == 202
    assert b"" == found.body.read()
    return {key.lower(): value for key, value in found.headers.items()}


def task(client: Fc3, name: str, task_id: str) -> fc3_models.AsyncTask:
    return client.sdk.get_async_task(name, task_id, fc3_models.GetAsyncTaskRequest()).body


def ended(client: Fc3, name: str, task_id: str) -> fc3_models.AsyncTask:
    """As soon as it has ended."""

    def found() -> fc3_models.AsyncTask | None:
        one = task(client, name, task_id)
        return one if one.status in ENDED else None

    return until(found, LONG_S, what=f"the end of {task_id}")


def states(one: fc3_models.AsyncTask) -> list[str]:
    """Of its events, in order."""
    return [event.status for event in one.events]
