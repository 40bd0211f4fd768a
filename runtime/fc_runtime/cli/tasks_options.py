"""The options of ``fc-runtime tasks``, as typer wants them: type, words, and panel of the help."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

ENDPOINT: Final = "http://127.0.0.1:9000"
_WHERE: Final = "Which daemon"

Function: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="FUNCTION", show_default=False, help="Its name; of FC2, as SERVICE/FUNCTION."
    ),
]
Task: TypeAlias = Annotated[
    str, typer.Argument(metavar="TASK", show_default=False, help="The id of the task.")
]
Status: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS",
        show_default=False,
        help="Only those: Enqueued, Dequeued, Running, Retrying, Stopping, Succeeded, Failed, "
        "Stopped, Expired or Invalid.",
    ),
]
Prefix: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", show_default=False, help="Only ids that begin so."),
]
Qualifier: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", show_default=False, help="Only those that this version or alias is to run."
    ),
]
Limit: TypeAlias = Annotated[
    int, typer.Option(min=1, max=1_000_000, metavar="N", help="The newest so many.")
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="JSON on standard output, as the API has it.")
]

Endpoint: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="FC_RUNTIME_ENDPOINT",
        show_default=ENDPOINT,
        help="What fc-runtime serve said when it started.",
        rich_help_panel=_WHERE,
    ),
]
AccessKeys: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="With keys to sign with, id:secret, one a line. Besides FC_RUNTIME_ACCESS_KEYS, and "
        "the daemon's own in its --data-dir.",
        rich_help_panel=_WHERE,
    ),
]
KeyId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        show_default="the first",
        help="Which of the keys.",
        rich_help_panel=_WHERE,
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        show_default=False,
        help="The daemon's folder, for the key of its own making; the user's by default.",
        rich_help_panel=_WHERE,
    ),
]
