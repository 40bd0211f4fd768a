"""
What ``fc-runtime torture`` shows.

The table goes to standard output when all is done, or with ``--json`` a line for each case as it
ends; how far it is, what is wrong and the sum go to standard error.
"""

import io
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from fc_runtime.cli import output, stopping
from fc_runtime.cli.exits import Exit
from fc_runtime.outcome import name_of
from fc_runtime.torture.case import Case
from fc_runtime.torture.run import Status, Verdict, run_all

_MARKS: Final = {Status.AS_EXPECTED: "ok", Status.NOT_PROMISED: "-", Status.WRONG: "WRONG"}
_STYLES: Final = {Status.AS_EXPECTED: "green", Status.NOT_PROMISED: "dim", Status.WRONG: "bold red"}
_COLUMNS: Final = ("", "case", "expected", "seen", "time", "survivors")
_PLAIN_WIDTH: Final = 160


def show_list(cases: Iterable[Case], *, as_json: bool) -> None:
    """Their names, and what their handlers do."""
    for case in cases:
        if as_json:
            line = json.dumps({"case": case.name, "row": case.row, "what": case.what})
        else:
            line = f"{case.name:<28} {case.what}"
        output.result(f"{line}\n".encode())


def show(cases: tuple[Case, ...], tier: str, sandbox: str, *, as_json: bool) -> Exit:
    """Run them; exit code 1 if a promise was broken."""
    started = time.monotonic()
    verdicts = []
    with _progress(len(cases)) as advance:
        for verdict in run_all(_told(cases, advance), tier, sandbox):
            stopping.check()
            verdicts.append(verdict)
            if as_json:
                output.result(json.dumps(_as_map(verdict)).encode() + b"\n")
    if not as_json:
        output.result(_table(verdicts).encode(errors="backslashreplace"))
    took_s = time.monotonic() - started
    for verdict in verdicts:
        for trouble in verdict.troubles:
            output.say(f"WRONG: {verdict.case.name}: {trouble}", "bold red")
    _sum_up(verdicts, tier, sandbox, took_s)
    return Exit.RETURNED if all(verdict.ok for verdict in verdicts) else Exit.HANDLER


def _told(cases: tuple[Case, ...], advance: Callable[[Case], None]) -> Iterator[Case]:
    for case in cases:
        advance(case)
        yield case


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Case], None]]:
    """Which case it is at, for a person at a terminal."""
    if not output.is_styled(output.STDERR):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 (only a terminal pays for it)
    from rich.text import Text  # noqa: PLC0415

    done = 0
    with Console(stderr=True).status("") as status:

        def advance(case: Case) -> None:
            nonlocal done
            done += 1
            line = f"{done}/{total}  {case.name}: the handler {case.what}"
            status.update(Text(line, no_wrap=True, overflow="ellipsis"))

        yield advance


def _sum_up(verdicts: list[Verdict], tier: str, sandbox: str, took_s: float) -> None:
    counts = Counter(verdict.status for verdict in verdicts)
    missing = sorted(
        {
            power.value
            for verdict in verdicts
            if verdict.status is Status.NOT_PROMISED
            for power in verdict.case.missing(tier, sandbox)
        }
    )
    told = ", ".join(f"{counts[status]} {status.value}" for status in Status)
    output.say(f"{told}; {tier}, sandbox {sandbox}; {took_s:.0f} s")
    if missing:
        output.say("Not promised here, for want of:", "dim")
        for power in missing:
            output.say(f"  {power}", "dim")


def _cells(verdict: Verdict) -> tuple[str, ...]:
    expected = "not promised" if verdict.expected is None else verdict.expected.phrase
    seen = "; ".join([verdict.seen.words, *verdict.harm, *verdict.troubles])
    return (
        _MARKS[verdict.status],
        verdict.case.name,
        expected,
        _printable(seen),
        f"{verdict.seen.took_s:.2f} s",
        ", ".join(verdict.survivors) or "none",
    )


def _printable(text: str) -> str:
    """What a handler said, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _table(verdicts: list[Verdict]) -> str:
    """For people: boxes, colours and the width of the terminal, if there is one."""
    from rich.box import ROUNDED, SIMPLE  # noqa: PLC0415 (`--json` does without)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    styled = output.is_styled(output.STDOUT)
    table = Table(box=ROUNDED if styled else SIMPLE, show_edge=styled)
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
    for verdict in verdicts:
        style = _STYLES[verdict.status] if styled else ""
        table.add_row(*(Text(cell, style) for cell in _cells(verdict)))
    text = io.StringIO()
    width = shutil.get_terminal_size((_PLAIN_WIDTH, 0)).columns if styled else _PLAIN_WIDTH
    Console(file=text, width=width, force_terminal=styled, no_color=not styled).print(table)
    return text.getvalue()


def _as_map(verdict: Verdict) -> dict[str, Any]:
    outcome = verdict.seen.outcome
    return {
        "case": verdict.case.name,
        "row": verdict.case.row,
        "what": verdict.case.what,
        "isolation": verdict.tier,
        "sandbox": verdict.sandbox,
        "status": verdict.status.value,
        "expected": None if verdict.expected is None else verdict.expected.phrase,
        "seen": verdict.seen.words,
        "outcome": None if outcome is None else name_of(outcome),
        "seconds": round(verdict.seen.took_s, 3),
        "survivors": list(verdict.survivors),
        "harm": list(verdict.harm),
        "troubles": list(verdict.troubles),
        "missing": [power.value for power in verdict.case.missing(verdict.tier, verdict.sandbox)],
    }
