"""The options of ``fc-runtime invoke``, as typer wants them: type, words, and panel of the help."""

from typing import Annotated, Final, TypeAlias

import typer

from fc_runtime.cli import logs

_WHAT: Final = "What to run"
_EVENT: Final = "Its event"
_CONTEXT: Final = "What it sees and may use"
_SHOWN: Final = "What is shown"

StandardInput: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="-", show_default=False, help="Read the event from standard input."),
]

Code: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Folder or .zip file that holds the handler's module.",
        rich_help_panel=_WHAT,
    ),
]
Handler: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="MODULE.FUNCTION",
        help="As index.handler, dir/index.handler or pkg.mod.handler.",
        rich_help_panel=_WHAT,
    ),
]
Initializer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE.FUNCTION",
        help="Called with the context before the first event.",
        rich_help_panel=_WHAT,
    ),
]

Event: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The event itself, empty by default; - reads standard input.",
        rich_help_panel=_EVENT,
    ),
]
EventFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="File with the event, at most 32 MiB; - reads standard input.",
        rich_help_panel=_EVENT,
    ),
]

Timeout: TypeAlias = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="For each invocation.", rich_help_panel=_CONTEXT),
]
InitializationTimeout: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", help="For import and initializer together.", rich_help_panel=_CONTEXT
    ),
]
Memory: TypeAlias = Annotated[
    int,
    typer.Option(metavar="MB", help="For the whole process tree.", rich_help_panel=_CONTEXT),
]
Isolation: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="TIER",
        help="auto, or a tier that fc-runtime doctor says is here.",
        rich_help_panel=_CONTEXT,
    ),
]
Sandbox: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="none, standard, or strict for a handler that is not trusted.",
        rich_help_panel=_CONTEXT,
    ),
]
Network: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="host gives a strict handler the network.",
        show_default=False,
        rich_help_panel=_CONTEXT,
    ),
]
Scratch: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="keep: a /tmp of its own; empty: emptied after each; host: this machine's.",
        rich_help_panel=_CONTEXT,
    ),
]
Env: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUE]",
        help="A variable for the handler; NAME alone takes it from the environment. Repeatable.",
        rich_help_panel=_CONTEXT,
    ),
]
Layer: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER",
        help="Laid out like an FC layer: python/ in it is importable. Repeatable.",
        rich_help_panel=_CONTEXT,
    ),
]
Preload: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE",
        help="Imported before the instance's process is forked. Repeatable.",
        rich_help_panel=_CONTEXT,
    ),
]
Name: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="For context.function.name; made from --code by default.",
        rich_help_panel=_CONTEXT,
    ),
]
RequestId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ID", help="For context.request_id; made up by default.", rich_help_panel=_CONTEXT
    ),
]
Region: TypeAlias = Annotated[
    str, typer.Option(metavar="TEXT", help="For context.region.", rich_help_panel=_CONTEXT)
]
AccountId: TypeAlias = Annotated[
    str, typer.Option(metavar="TEXT", help="For context.account_id.", rich_help_panel=_CONTEXT)
]

Repeat: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Invoke N times, the first cold, the others warm; ends at the first failure.",
        rich_help_panel=_SHOWN,
    ),
]
AsJson: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Everything about it on standard output, one JSON object a line; of a failed "
        "invocation too, with FC's error body as the payload.",
        rich_help_panel=_SHOWN,
    ),
]
Verbose: TypeAlias = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="What the supervisor does, as with --log-level info; twice: debug.",
        rich_help_panel=_SHOWN,
    ),
]
LogLevel: TypeAlias = Annotated[
    logs.Level,
    typer.Option(help="The least of the supervisor's events to show.", rich_help_panel=_SHOWN),
]
LogFormat: TypeAlias = Annotated[
    logs.Format,
    typer.Option(
        help="Of these events; auto is pretty on a terminal, JSON otherwise.",
        rich_help_panel=_SHOWN,
    ),
]
