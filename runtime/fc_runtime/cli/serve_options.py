"""The options of ``fc-runtime serve``, as typer wants them: type, words, and panel of the help."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

_WHAT: Final = "What to serve"
_ONE: Final = "One function, with --code"
_WHERE: Final = "Where"
_WHO: Final = "Who may call"
_BOUNDS: Final = "Limits"
_SHOWN: Final = "What is shown"

# What the platform's environment may say instead, to a custom runtime, is None where it is asked.
HOST: Final = "127.0.0.1"
PORT: Final = 9000
ACCOUNT_ID: Final = "123456789012"
REGION: Final = "local"
STORE_NAME: Final = "FC_RUNTIME_STORE"  # in the environment

Folder: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        show_default=False,
        help="A project: its s.yaml or s.yml says which functions. The current folder by default.",
    ),
]
Template: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="The manifest itself, whatever its name.",
        rich_help_panel=_WHAT,
    ),
]
Watch: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="A changed file of the code, or of the manifest, is served from the next call on.",
        rich_help_panel=_WHAT,
    ),
]
CustomRuntime: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--custom-runtime",
        help="Be the HTTP server of an FC custom runtime instead; see docs/custom-runtime.md.",
        rich_help_panel=_WHAT,
    ),
]

Http: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="STYLE",
        show_default="auto",
        help="How the handler of a custom runtime takes HTTP requests: wsgi, event or auto.",
        rich_help_panel=_WHAT,
    ),
]

Code: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        show_default=False,
        help="Folder or .zip file that holds the handler's module; no manifest is looked for.",
        rich_help_panel=_ONE,
    ),
]
Handler: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE.FUNCTION",
        show_default="index.handler",
        help="As index.handler, dir/index.handler or pkg.mod.handler.",
        rich_help_panel=_ONE,
    ),
]
Name: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="Of the function; made from --code by default.",
        rich_help_panel=_ONE,
    ),
]
Initializer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE.FUNCTION",
        show_default=False,
        help="Called with the context before the first event.",
        rich_help_panel=_ONE,
    ),
]
Timeout: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        show_default="3",
        help="For each invocation.",
        rich_help_panel=_ONE,
    ),
]
Memory: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="MB",
        show_default="512",
        help="For the whole process tree.",
        rich_help_panel=_ONE,
    ),
]
Env: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUE]",
        help="A variable for the handler; NAME alone takes it from the environment. Repeatable.",
        rich_help_panel=_ONE,
    ),
]

Host: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        show_default=HOST,
        help="To listen on; a custom runtime listens on 0.0.0.0.",
        rich_help_panel=_WHERE,
    ),
]
Port: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="N",
        show_default=str(PORT),
        help="0 takes a free one.",
        rich_help_panel=_WHERE,
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        show_default=False,
        help="Where the account is kept. By default a project's goes with the daemon, and that of "
        "an empty account is $XDG_DATA_HOME/fc-runtime.",
        rich_help_panel=_WHERE,
    ),
]
Store: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar=STORE_NAME,
        show_default="tasks.db, beside the account",
        help="Where asynchronous invocations are kept: sqlite:////absolute/path.db, or "
        "postgresql+psycopg://user@host/database, which several daemons may share. A password "
        "belongs into the variable, or into ~/.pgpass.",
        rich_help_panel=_WHERE,
    ),
]
AccountId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="DIGITS",
        show_default=ACCOUNT_ID,
        help="In ARNs and context.account_id.",
        rich_help_panel=_WHERE,
    ),
]
Region: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=REGION,
        help="In ARNs and context.region: letters, digits and -.",
        rich_help_panel=_WHERE,
    ),
]

AccessKeys: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="With one id:secret a line; besides those of FC_RUNTIME_ACCESS_KEYS.",
        rich_help_panel=_WHO,
    ),
]
NoAuth: TypeAlias = Annotated[
    bool,
    typer.Option("--no-auth", help="Whoever reaches it may do anything.", rich_help_panel=_WHO),
]
Force: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Allow --no-auth on an address that other machines reach.",
        rich_help_panel=_WHO,
    ),
]
LocalCode: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--local-code",
        help="The API may name a folder of this machine as code.",
        rich_help_panel=_WHO,
    ),
]
RoleCredentials: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="For context.credentials: JSON as the Security Token Service answers.",
        rich_help_panel=_WHO,
    ),
]

MaxInstances: TypeAlias = Annotated[
    int,
    typer.Option(min=1, max=10_000, metavar="N", help="Of one function.", rich_help_panel=_BOUNDS),
]
MaxQueue: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Calls that may wait for one function; more get 429.",
        rich_help_panel=_BOUNDS,
    ),
]
Grace: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="For what is under way when it is told to stop.",
        rich_help_panel=_BOUNDS,
    ),
]
Isolation: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="TIER",
        help="auto, or a tier that fc-runtime doctor says is here.",
        rich_help_panel=_BOUNDS,
    ),
]
Sandbox: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="none, standard, or strict for handlers that are not trusted.",
        rich_help_panel=_BOUNDS,
    ),
]

AccessLog: TypeAlias = Annotated[
    bool,
    typer.Option(help="A line for each request.", rich_help_panel=_SHOWN),
]
FunctionLog: TypeAlias = Annotated[
    bool,
    typer.Option(help="What functions write, between FC's own lines.", rich_help_panel=_SHOWN),
]
