"""
``fc-runtime serve --custom-runtime``: what its options say wins over the environment, and over what
the platform says.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fc_platform import Platform, Program

COMMAND = [sys.executable, "-m", "fc_runtime", "serve", "--custom-runtime"]


def started(environ: dict[str, str], *arguments: object) -> Program:
    return Program(environ, [*COMMAND, *map(str, arguments)])


@contextmanager
def instance(handlers: Path, *arguments: object, **headers: str) -> Iterator[Platform]:
    """On Function Compute, of the handlers that play there."""
    program = started({"FC_INSTANCE_ID": "c-1-2-3"}, "--code", handlers / "on_platform", *arguments)
    try:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        player = Platform(program, said)
        with player.client:
            yield player
    finally:
        code = program.stop()
    assert 0 == code, program.errors


def test_where_it_listens(handlers: Path) -> None:
    """``--host`` and ``--port`` win over ``FC_SERVER_PORT``, whose value could not be used."""
    program = started(
        {"FC_SERVER_PORT": "1", "FC_FUNC_CODE_PATH": str(handlers / "on_platform")},
        *("--host", "127.0.0.1", "--port", "0"),
    )
    try:
        assert program.wait_for(r"^http://127\.0\.0\.1:(\d+)$").group(1) != b"1"
    finally:
        assert 0 == program.stop()


def test_the_function(handlers: Path) -> None:
    """Its name, handler, timeout, memory and place are those of the options."""
    arguments = (
        *("--name", "mine", "--handler", "index.handler", "--timeout", 7, "--memory", 200),
        *("--region", "here", "--account-id", "77"),
    )
    headers = {
        "x_fc_function_name": "theirs",
        "x_fc_function_timeout": "60",
        "x_fc_function_memory": "1024",
        "x_fc_region": "there",
        "x_fc_account_id": "88",
    }
    with instance(handlers, *arguments, **headers) as player:
        context = player.invoke(b"context").json()

    assert {"name": "mine", "handler": "index.handler", "memory": 200, "timeout": 7} == context[
        "function"
    ]
    assert ("here", "77") == (context["region"], context["accountId"])


def test_its_variables(handlers: Path) -> None:
    """``--env`` adds to those of the environment."""
    with instance(handlers, "--env", "GREETING=good day") as player:
        environment = player.invoke(b"environment").json()

    assert "good day" == environment["GREETING"]
    assert "PATH" in environment


@pytest.mark.parametrize(
    ("style", "handler", "status"),
    [("event", "index.http", 201), ("wsgi", "index.application", 202)],
)
def test_how_it_takes_http(handlers: Path, style: str, handler: str, status: int) -> None:
    """``--http`` says it where the handler's source would not."""
    with instance(handlers, "--http", style, "--handler", handler) as player:
        assert status == player.pass_through("GET", "/").status_code


def test_http_is_not_guessed_then(handlers: Path) -> None:
    """A handler for events is called as what ``--http`` says all the same."""
    with instance(handlers, "--http", "wsgi", "--handler", "index.http") as player:
        assert 502 == player.pass_through("GET", "/").status_code


def test_grace(handlers: Path) -> None:
    """With none, SIGTERM ends what is under way, which would have 30 s otherwise."""
    with instance(handlers, "--grace", 0, "--timeout", 600) as player:
        with ThreadPoolExecutor() as pool:
            call = pool.submit(player.invoke, b"hang")
            player.program.wait_for("FC Invoke Start")
            assert 0 == player.program.stop(within_s=20.0)
        assert call.exception() is not None or not call.result().is_success


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--http", "gopher"], "http"),
        (["--sandbox", "none of them"], "sandbox"),
        (["--isolation", "none of them"], "isolation"),
        (["--watch"], "--watch"),
        (["--data-dir", "here"], "--data-dir"),
        (["a-project"], "FOLDER"),
    ],
)
def test_what_cannot_work(handlers: Path, arguments: list[str], told: str) -> None:
    """One line names the option, and nothing is started."""
    program = started({}, "--code", handlers / "on_platform", *arguments)
    code = program.ended()

    assert (2, "") == (code, program.output)
    assert told in program.errors
    assert 1 == program.errors.count("\n")
