"""
``fc-runtime torture``: the adversarial cases on this very host. Here is the command; what it shows
is in `verdicts`, which is loaded when it is needed: no other command pays for the cases.
"""

from typing import Annotated, Final

import typer

from fc_runtime.cli import output
from fc_runtime.cli.exits import Exit
from fc_runtime.function import SANDBOXES

TABLE: Final = (
    "In the table: ok, as expected; -, this tier and sandbox promise nothing for the case but that "
    "the next call works and nothing stays, and what was seen is what you get; WRONG, a promise "
    "was broken. Survivors are processes that were there when nobody should have been."
)
MEANINGS: Final = {
    Exit.RETURNED: "every promise was kept",
    Exit.HANDLER: "at least one was not",
    Exit.USAGE: "bad usage: no such case, isolation or sandbox",
    Exit.INTERRUPTED: "Ctrl-C",
}


def torture(
    *,
    isolation: Annotated[
        str,
        typer.Option(
            metavar="TIER",
            help="What holds the instances: auto is the best that this host allows.",
        ),
    ] = "auto",
    sandbox: Annotated[
        str, typer.Option(metavar="NAME", help=f"Around each: {', '.join(SANDBOXES)}.")
    ] = "standard",
    case: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this one. Repeatable.", show_default=False),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Say what the cases are, and run none.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line, one for each case as it ends.")
    ] = False,
) -> None:
    """
    See for yourself what a broken or hostile handler can do here.

    Runs handlers that hang, crash, fork without end, hide, hoard, lie and pry, each as a function
    on this machine, and shows what was promised and what was seen. After each, the next call of
    the same function has to succeed, and no process, descriptor or folder may be left.

    It takes a minute or two. Nothing here harms the host: bombs and hoards stop by themselves, no
    signal but 0 is sent to anybody else's process, and nothing is written where it was not made.
    """
    from fc_runtime.cli import verdicts  # noqa: PLC0415 (130 cases, and asyncio)
    from fc_runtime.torture.cases import CASES, named  # noqa: PLC0415
    from fc_runtime.torture.promises import tiers_here  # noqa: PLC0415

    try:
        cases = named(case) if case else CASES
    except KeyError as unknown:
        raise typer.Exit(_usage(f"--case {unknown}: no such case; --list names them")) from None
    available = tiers_here()
    tier = available[0] if isolation == "auto" else isolation
    if tier not in available:
        raise typer.Exit(
            _usage(f"--isolation {tier!r}: this host allows auto, {', '.join(available)}")
        )
    if sandbox not in SANDBOXES:
        raise typer.Exit(_usage(f"--sandbox {sandbox!r}: one of {', '.join(SANDBOXES)}"))
    try:
        if list_them:
            verdicts.show_list(cases, as_json=as_json)
            raise typer.Exit(Exit.RETURNED)
        ended = verdicts.show(cases, tier, sandbox, as_json=as_json)
    except BrokenPipeError:
        ended = Exit.BROKEN_PIPE
    except (OSError, output.OutputError) as error:
        output.say(f"error: {error}", "bold red")
        ended = Exit.FILE
    raise typer.Exit(ended)


def _usage(message: str) -> Exit:
    output.say(f"error: {message}", "bold red")
    return Exit.USAGE
