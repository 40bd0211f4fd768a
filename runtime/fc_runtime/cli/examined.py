"""
What ``fc-runtime doctor`` shows: tables and mends for people, one object for scripts.

The examination goes to standard output; requirements that are not met go to standard error.
"""

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fc_runtime.cli import output, stopping
from fc_runtime.cli.exits import Exit
from fc_runtime.isolation import doctor
from fc_runtime.isolation.doctor import Examination, Unmet
from fc_runtime.isolation.examine import examine
from fc_runtime.isolation.mending import Facts

_PLAIN_WIDTH: Final = 110
_STYLES: Final = {
    "yes": "green",
    "no": "red",
    "in part": "yellow",
    doctor.BY_KERNEL: "green",
    doctor.BY_WATCHING: "yellow",
    doctor.NOT: "dim",
}


def show(required: Sequence[str], *, as_json: bool) -> Exit:
    """Examine this host; exit code 1 if it does not meet what is *required*."""
    examination = examine(str(Path.cwd()))
    stopping.check()
    unmet = doctor.unmet(examination, required)
    if as_json:
        text = json.dumps(as_map(examination, unmet), indent=2) + "\n"
    else:
        text = _told(examination)
    output.result(text.encode(errors="backslashreplace"))
    for one in unmet:
        output.say(f"error: --require {one.name}: {one.reason}", "bold red")
        output.say(f"  what would give it: {one.mend}")
    return Exit.HANDLER if unmet else Exit.RETURNED


def as_map(examination: Examination, unmet: Iterable[Unmet] = ()) -> dict[str, Any]:
    """As in docs/operations.md; keys are only added."""
    missing = [asdict(one) for one in unmet]
    facts = examination.facts
    return {
        "ok": not missing,
        "isolation": examination.chosen.name,
        "host": {
            "kernel": facts.kernel,
            "machine": facts.machine,
            "python": facts.python,
            "user": facts.user,
            "container": facts.container or None,
        },
        "tiers": [asdict(tier) for tier in examination.tiers],
        "sandboxes": [asdict(sandbox) for sandbox in examination.sandboxes],
        "findings": [asdict(finding) for finding in examination.findings],
        "unmet": missing,
    }


def _told(examination: Examination) -> str:
    tiers = [
        (
            tier.name,
            "yes, auto takes it" if tier.chosen else _yes(tier.available),
            *(tier.promises.get(power, "") for power in doctor.POWERS),
        )
        for tier in examination.tiers
    ]
    sandboxes = [
        (one.name, _yes(one.available, whole=one.whole), one.gives) for one in examination.sandboxes
    ]
    rights = [(one.what, _yes(one.available), one.gives) for one in examination.findings]
    return "".join(
        [
            _host(examination.facts),
            _table("tier", ("here", *doctor.POWERS), tiers),
            _table("sandbox", ("here", "what it gives"), sandboxes),
            _table("right", ("here", "what it gives"), rights),
            _mends(examination),
        ]
    )


def _yes(available: bool, *, whole: bool = True) -> str:
    if not available:
        return "no"
    return "yes" if whole else "in part"


def _host(facts: Facts) -> str:
    who = "root" if facts.user == 0 else f"user {facts.user}"
    where = f", in a container by the look of it ({facts.container})" if facts.container else ""
    return f"Linux {facts.kernel}, {facts.machine}, Python {facts.python}, as {who}{where}\n\n"


def _table(first: str, others: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """For people: boxes, colours and the width of the terminal, if there is one."""
    from rich.box import ROUNDED, SIMPLE  # noqa: PLC0415 (`--json` does without)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    styled = output.is_styled(output.STDOUT)
    table = Table(box=ROUNDED if styled else SIMPLE, show_edge=styled)
    for name in (first, *others):
        table.add_column(name, no_wrap=name == "here")
    for row in rows:
        table.add_row(*(Text(cell, _style(cell) if styled else "") for cell in row))
    text = io.StringIO()
    width = shutil.get_terminal_size((_PLAIN_WIDTH, 0)).columns if styled else _PLAIN_WIDTH
    Console(file=text, width=width, force_terminal=styled, no_color=not styled).print(table)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "\n".join([*lines, "", ""])


def _style(cell: str) -> str:
    return _STYLES.get("yes" if cell.startswith("yes") else cell, "")


def _mends(examination: Examination) -> str:
    """What is missing, by what would give it: one mend often gives several things."""
    missing: dict[str, dict[str, list[str]]] = {}
    for name, reason, mend in _missing(examination):
        missing.setdefault(mend, {}).setdefault(reason, []).append(name)
    if not missing:
        return "Nothing is missing.\n"
    lines = ["Missing, and what would give it:"]
    for mend, reasons in missing.items():
        lines.append("")
        for reason, names in reasons.items():
            lines += [*(f"  {name}" for name in names), f"      {reason}"]
        lines.append(f"  -> {mend}")
    return "\n".join([*lines, ""])


def _missing(examination: Examination) -> Iterable[tuple[str, str, str]]:
    for tier in examination.tiers:
        if not tier.available:
            yield tier.name, tier.reason, tier.mend
    for sandbox in examination.sandboxes:
        if not sandbox.whole:
            yield f"sandbox {sandbox.name}", sandbox.reason, sandbox.mend
    for finding in examination.findings:
        if not finding.available:
            yield finding.what, finding.reason, finding.mend
