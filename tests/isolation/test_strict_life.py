"""
``sandbox="strict"`` in every tier: ordinary programs run as ever. What they see is asked in
test_strict.
"""

import os
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import Credentials, TimedOut
from support.callers import Deployed
from support.sealed import REFUSED, ask
from support.stage import Recorder

if REFUSED is not None:
    pytest.skip(f"this host cannot do strict: {REFUSED}", allow_module_level=True)

ARRAY = {"do": "array"}
EXAMPLES = Path(__file__).parents[2] / "examples"
HANDLERS = Path(__file__).parents[1] / "handlers"
Deploy = Callable[..., Deployed]
Do = Callable[..., Any]


def test_examples_run_as_ever(strict: Deploy) -> None:
    """The issue's json event, and its ``ls -l`` in the folder of the code."""
    event = strict(EXAMPLES / "json_event", "index.handler")
    command = strict(EXAMPLES / "external_command", "index.handler")

    assert b"value" == event(b'{"key": "value"}').payload
    listed = command()
    assert b"index.py" in listed.payload
    assert 1 == listed.usage.child_processes
    assert b"" == listed.log


def test_large_bodies_pass(strict: Deploy) -> None:
    """Beside the pipes, a piece at a time (ADR 15), in a function that may hardly write a file."""
    echo = strict(HANDLERS / "events", "index.echo", scratch_mb=1)
    event = os.urandom(3 * 2**20 + 1)

    for _ in range(2):
        assert event == echo(event).payload


def test_every_kind_of_worker_pool_works(do: Do) -> None:
    """multiprocessing by fork and by spawn, executors of processes and of threads."""
    squares = [0, 1, 4, 9]

    ways = ("fork", "spawn", "executor", "threads")
    assert dict.fromkeys(ways, squares) == do("pools")


def test_standard_library_works(do: Do) -> None:
    """
    Children of an event loop; sqlite with a write-ahead log, which is shared memory in a file; a
    server and its client within one handler: the network of its own has lo up.
    """
    assert "through a pipe" == do("loop")
    assert ["/tmp/rows.db", 4950] == do("database")
    assert "/path" == do("own_server", library="urllib")


@pytest.mark.parametrize(
    ("library", "task", "expected"),
    [("requests", {"do": "own_server", "library": "requests"}, "/path"), ("numpy", ARRAY, 132)],
    ids=["requests", "numpy"],
)
def test_installed_libraries_work(
    strict: Deploy, library: str, task: dict[str, Any], expected: Any
) -> None:
    """What is installed for the interpreter is there for the function."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")

    assert expected == strict(memory_mb=1024)(json=task).json()


def test_coroutine_handler_starts_children(strict: Deploy) -> None:
    """``async def``, in the worker's own loop."""
    assert "fc" == strict("sealed", "index.in_loop")().text


def test_initializer_runs_in_the_sandbox(strict: Deploy) -> None:
    """Once, as the same user as the handler."""
    function = strict(initializer="index.initializer")

    for _ in range(2):
        assert [[function.name, 1000]] == ask(function, "initialized")


def test_credentials_reach_the_context(strict: Deploy) -> None:
    """Behind the walls, too, they come with the request."""
    key = Credentials(access_key_id="STS.x", access_key_secret="secret", security_token="token")

    assert ["STS.x", "token"] == strict("sealed", "index.keys", credentials=key)().json()


def test_max_invocations_1_is_a_fresh_sandbox(strict: Deploy) -> None:
    """Nothing that one has written is there for the next."""
    function = strict(max_invocations=1)

    for _ in range(3):
        assert [[]] == ask(function, "listing", folders=["/tmp"])
        assert [None] == ask(function, "write", paths=["/tmp/mine"])


def test_zip_is_unpacked_and_shown(strict: Deploy, tmp_path: Path) -> None:
    """Code in a .zip file runs as code in a folder does, and is as read-only."""
    packed = tmp_path / "code.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "import os\ndef handler(event, context): return os.getcwd()")

    function = strict(packed, "index.handler")

    assert function().text.startswith("/")


def test_deadline_still_tells_where_it_hangs(strict: Deploy, log: Recorder) -> None:
    """The stack is in the log although nobody outside may look into the process."""
    result = strict(timeout=0.5).fail(json={"do": "hang"})

    assert isinstance(result.outcome, TimedOut)
    assert b"in hang" in result.log
    log.wait_for("instance.exited", cause="timed_out")
