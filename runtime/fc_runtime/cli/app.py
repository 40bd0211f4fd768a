"""The commands and their help. With boxes and colours where a person reads it, plain otherwise."""

import errno
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from fc_runtime.cli import output
from fc_runtime.cli.doctor import HOW_IT_IS_FOUND, MEANINGS as DOCTOR_MEANINGS, doctor
from fc_runtime.cli.exits import MEANINGS, Exit
from fc_runtime.cli.invoke import invoke
from fc_runtime.cli.serve import MEANINGS as SERVE_MEANINGS, WHAT_IT_SAYS, serve
from fc_runtime.cli.sources import KEY_ID, KEY_SECRET, TOKEN
from fc_runtime.cli.tasks import COMMANDS, MEANINGS as TASKS_MEANINGS
from fc_runtime.cli.torture import MEANINGS as TORTURE_MEANINGS, TABLE, torture


def run() -> int:
    """Run the command line of this process."""
    read_by_a_person = output.is_styled(output.STDOUT) and output.is_styled(output.STDERR)
    app = _app("rich" if read_by_a_person else None)
    try:
        app(prog_name="fc-runtime")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        output.give_up_result()  # of --help or --version: all else is written by `output`
        output.say(f"error: standard output: {error.strerror}", "bold red")
        return Exit.FILE
    return Exit.RETURNED


def _app(markup: Literal["rich"] | None) -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # they show local variables, and so secrets
        rich_markup_mode=markup,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_options)
    app.command(
        no_args_is_help=True, epilog=_epilog(markup), context_settings={"max_content_width": 100}
    )(invoke)
    app.command(
        epilog=_lines(markup, WHAT_IT_SAYS, SERVE_MEANINGS),
        context_settings={"max_content_width": 100},
    )(serve)
    app.command(
        epilog=_lines(markup, TABLE, TORTURE_MEANINGS),
        context_settings={"max_content_width": 100},
    )(torture)
    app.command(
        epilog=_lines(markup, HOW_IT_IS_FOUND, DOCTOR_MEANINGS),
        context_settings={"max_content_width": 100},
    )(doctor)
    app.add_typer(_tasks(markup), name="tasks")
    return app


def _tasks(markup: Literal["rich"] | None) -> typer.Typer:
    tasks = typer.Typer(
        no_args_is_help=True,
        help="Look at the asynchronous invocations of a daemon, stop them, or run them again.",
        rich_markup_mode=markup,
        epilog=_lines(markup, "Requests are signed as the official clients sign.", TASKS_MEANINGS),
    )
    for name, command in COMMANDS.items():
        tasks.command(name)(command)
    return tasks


def _version(asked: bool) -> None:
    if asked:
        import importlib.metadata  # noqa: PLC0415 (slow, and seldom asked for)

        typer.echo(f"fc-runtime {importlib.metadata.version('fc-runtime')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which, and exit."),
    ] = False,
) -> None:
    """Run Function-Compute-style Python handlers in warm worker processes."""


def _epilog(markup: Literal["rich"] | None) -> str:
    """What the options cannot say: where credentials come from, and the exit codes."""
    credentials = (
        f"context.credentials comes from {KEY_ID}, {KEY_SECRET} and {TOKEN} of the environment, "
        "never from the command line."
    )
    return _lines(markup, credentials, MEANINGS)


def _lines(markup: Literal["rich"] | None, text: str, meanings: Mapping[Exit, str]) -> str:
    """A paragraph, and exit codes each on a line of its own."""
    codes = [f"{code.value:>3}  {meaning}" for code, meaning in meanings.items()]
    as_it_stands = "" if markup else "\n\b"  # what tells click, not rich, to keep the lines
    return "\n".join([text, as_it_stands, "Exit codes:", *codes])
