"""
``fc-runtime tasks``: the asynchronous invocations of a daemon's functions, from a shell.

Standard output is for programs too: without ``--json``, a head and a line for each task, columns
apart by two blanks at least; what went wrong is on standard error.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import typer

from fc_runtime.cli import output, tasks_options as these
from fc_runtime.cli.exits import Exit
from fc_runtime.cli.tasks_options import ENDPOINT
from fc_runtime.errors import InvalidFunctionError

if TYPE_CHECKING:  # an HTTP client, keys: no other command pays for them
    from fc_runtime.cli.remote import Remote

MEANINGS: Final = {
    Exit.RETURNED: "done",
    Exit.HANDLER: "the daemon refused it; its code and reason are on standard error",
    Exit.USAGE: "bad usage: an option or the keys are not as they must be",
    Exit.UNAVAILABLE: "no daemon answers at that address",
}
PAGE: Final = 100  # the most that the API gives at once
COLUMNS: Final = ("TASK", "STATUS", "QUALIFIER", "RETRIES", "STARTED", "DURATION", "ERROR")


@dataclass(frozen=True, slots=True)
class Family:
    """Where the API has the tasks of one function, and how it calls what they have (spec 7.B)."""

    path: str
    listed: str
    id: str
    error: str
    prefix: str
    stop: str  # behind the path of a task


def family_of(function: str) -> Family:
    """*function* is ``name``, or ``service/name``."""
    service, slash, name = function.rpartition("/")
    if slash:
        return Family(
            path=f"/2021-04-06/services/{quote(service, safe='')}/functions/{quote(name, safe='')}"
            "/stateful-async-invocations",
            listed="invocations",
            id="invocationId",
            error="invocationErrorMessage",
            prefix="invocationIdPrefix",
            stop="",
        )
    return Family(
        path=f"/2023-03-30/functions/{quote(name, safe='')}/async-tasks",
        listed="tasks",
        id="taskId",
        error="taskErrorMessage",
        prefix="prefix",
        stop="/stop",
    )


def list_tasks(
    *,
    function: these.Function,
    status: these.Status = None,
    prefix: these.Prefix = None,
    qualifier: these.Qualifier = None,
    limit: these.Limit = 20,
    as_json: these.AsJson = False,
    endpoint: these.Endpoint = ENDPOINT,
    access_keys: these.AccessKeys = None,
    key_id: these.KeyId = None,
    data_dir: these.DataDir = None,
) -> None:
    """List the tasks of a function, the newest first."""
    family = family_of(function)
    with _daemon(endpoint, access_keys, data_dir, key_id) as daemon:
        asked = {"status": status, family.prefix: prefix, "qualifier": qualifier}
        query: dict[str, str | int] = {name: value for name, value in asked.items() if value}
        found = _pages(daemon, family, {**query, "sortOrderByTime": "desc"}, limit)
    if as_json:
        _print_json(found)
    else:
        _print_table([COLUMNS, *(_row(family, task) for task in found)])


def show_task(
    *,
    function: these.Function,
    task: these.Task,
    as_json: these.AsJson = False,
    endpoint: these.Endpoint = ENDPOINT,
    access_keys: these.AccessKeys = None,
    key_id: these.KeyId = None,
    data_dir: these.DataDir = None,
) -> None:
    """Show one task: what it was given, what became of it, and when."""
    family = family_of(function)
    with _daemon(endpoint, access_keys, data_dir, key_id) as daemon:
        found = daemon.call("GET", _path(family, task))
    if as_json:
        _print_json(found)
        return
    events = found.pop("events", [])
    rows = [(name, _shown(name, value)) for name, value in found.items() if value not in ("", None)]
    moments = [
        (_time(event["timestamp"]), f"{event['status']} {event.get('eventDetail') or ''}".rstrip())
        for event in events
    ]
    _print_table([*rows, *moments])


def stop_task(
    *,
    function: these.Function,
    task: these.Task,
    endpoint: these.Endpoint = ENDPOINT,
    access_keys: these.AccessKeys = None,
    key_id: these.KeyId = None,
    data_dir: these.DataDir = None,
) -> None:
    """Stop a task; one that runs is killed, with all that it has started."""
    family = family_of(function)
    with _daemon(endpoint, access_keys, data_dir, key_id) as daemon:
        daemon.call("PUT", _path(family, task) + family.stop)


def retry_task(
    *,
    function: these.Function,
    task: these.Task,
    endpoint: these.Endpoint = ENDPOINT,
    access_keys: these.AccessKeys = None,
    key_id: these.KeyId = None,
    data_dir: these.DataDir = None,
) -> None:
    """Run a task again that has ended, as if it had just been accepted."""
    family = family_of(function)
    with _daemon(endpoint, access_keys, data_dir, key_id) as daemon:
        daemon.call("PUT", f"{_path(family, task)}/retry")


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "list": list_tasks,
    "show": show_task,
    "stop": stop_task,
    "retry": retry_task,
}


@contextmanager
def _daemon(
    endpoint: str, access_keys: Path | None, data_dir: Path | None, key_id: str | None
) -> "Iterator[Remote]":
    """What goes wrong is said, and ends the program."""
    from fc_runtime.cli.remote import (  # noqa: PLC0415 (see above)
        RefusedByDaemonError,
        Remote,
        RemoteError,
        key_of,
    )
    from fc_runtime.service.home import of_the_user  # noqa: PLC0415 (likewise)

    folder = of_the_user(os.environ) if data_dir is None else data_dir
    try:
        yield Remote(endpoint, key_of(access_keys, folder, key_id))
    except RefusedByDaemonError as error:
        _fail(Exit.HANDLER, str(error))
    except InvalidFunctionError as error:
        _fail(Exit.USAGE, f"--access-keys {error.value}: {error.mend}")
    except RemoteError as error:
        _fail(Exit.UNAVAILABLE, str(error))


def _pages(
    daemon: "Remote", family: Family, query: Mapping[str, str | int], limit: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while len(found) < limit:
        asked = {**query, "limit": min(PAGE, limit - len(found))}
        page = daemon.call("GET", family.path, {**asked, "nextToken": token} if token else asked)
        found += page.get(family.listed, [])
        token = page.get("nextToken") or ""
        if not token:
            break
    return found


def _path(family: Family, task: str) -> str:
    return f"{family.path}/{quote(task, safe='')}"


def _row(family: Family, task: Mapping[str, Any]) -> tuple[str, ...]:
    duration = task.get("durationMs")
    return (
        str(task[family.id]),
        str(task["status"]),
        str(task.get("qualifier") or ""),
        str(task.get("alreadyRetriedTimes") or 0),
        _time(task.get("startedTime")),
        "" if duration is None else f"{duration} ms",
        str(task.get(family.error) or ""),
    )


def _time(milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(name: str, value: object) -> str:
    return _time(value) if name.endswith("Time") and isinstance(value, int) else str(value)


def _print_json(value: object) -> None:
    output.result(json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    output.result("".join(f"{line}\n" for line in lines).encode())


def _fail(code: Exit, message: str) -> None:
    output.say(f"error: {message}", "bold red")
    raise typer.Exit(code)
