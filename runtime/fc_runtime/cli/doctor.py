"""
``fc-runtime doctor``: what this host allows. Here is the command; what it shows is in `examined`,
which is loaded when it is needed.
"""

from typing import Annotated, Final

import typer

from fc_runtime.cli import output
from fc_runtime.cli.exits import Exit

HOW_IT_IS_FOUND: Final = (
    "Every right is found by using it, as the user who asks, in processes of their own that then "
    "end; nothing on the host is changed. --require takes a tier (cgroup2, cgroup1, pidns, "
    "portable), which has to be available; a sandbox (none, standard, strict), to be had in full; "
    "or a power (tree, memory, processes, cpu), held by the kernel in the tier that auto takes."
)
MEANINGS: Final = {
    Exit.RETURNED: "all that is required is there; without --require, always",
    Exit.HANDLER: "something is not, and standard error says what would give it",
    Exit.USAGE: "bad usage: no such tier, sandbox or power",
    Exit.INTERRUPTED: "Ctrl-C",
}


def doctor(
    *,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Exit code 1 if this tier, sandbox or power is not to be had here. Repeatable.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, for scripts; its keys do not change.")
    ] = False,
) -> None:
    """
    Find out what this host allows, what is missing, and what would give it.

    Tiers are what holds an instance: how its whole tree of processes is ended, and how memory,
    processes and cpu are limited. Sandboxes are what is around it. Rights are what both are made
    of. For what is missing there is one command, or setting, and what that would mean.
    """
    from fc_runtime.cli import examined  # noqa: PLC0415 (no other command pays for it)
    from fc_runtime.isolation.doctor import REQUIREMENTS  # noqa: PLC0415

    unknown = [name for name in require or () if name not in REQUIREMENTS]
    if unknown:
        output.say(f"error: --require {unknown[0]!r}: one of {', '.join(REQUIREMENTS)}", "bold red")
        raise typer.Exit(Exit.USAGE)
    try:
        ended = examined.show(require or (), as_json=as_json)
    except BrokenPipeError:
        ended = Exit.BROKEN_PIPE
    except (OSError, output.OutputError) as error:
        output.say(f"error: {error}", "bold red")
        ended = Exit.FILE
    raise typer.Exit(ended)
