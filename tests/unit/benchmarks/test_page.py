"""docs/performance.md: made of the committed figures, and telling the truth about whatever they are."""

import copy
import json
import re
from typing import Any

import page
import plots
import pytest
from case import Case, Competitor, Placement, Role
from harness import Results
from report import as_json
from targets import Target, judge

COMMITTED = json.loads((page.FOLDER / "results.json").read_text("utf-8"))
MACHINE = COMMITTED["machine"]
CASE = Case(
    name="warm_call",
    title="Calls",
    file=page.TEMPLATE,
    unit="ns",
    units={"rate": "per_s"},
    points=["1 KiB", "rate"],
    competitors=[
        Competitor(name="fc-runtime", role=Role.SUBJECT),
        Competitor(name="bare", role=Role.FLOOR),
        Competitor(name="rival", role=Role.RIVAL),
    ],
    placements=[Placement.SCHEDULER],
    rounds=2,
    quick_rounds=1,
    measure=lambda _wanted: {},
)
TARGET = Target(
    text="at least twice as quick as the rival",
    case="warm_call",
    points=("1 KiB",),
    above="rival",
    below="fc-runtime",
    at_least=2.0,
)


def document(own_ns: float, rival_ns: float, own_rate: float = 100.0) -> dict[str, Any]:
    """Of a run in which a call took so long, and two rounds agreed."""
    results = Results(CASE, 2)
    for _ in range(2):
        results.add("scheduler", "fc-runtime", {"1 KiB": [own_ns], "rate": [own_rate]})
        results.add("scheduler", "bare", {"1 KiB": [1000.0], "rate": [200.0]})
        results.add("scheduler", "rival", {"1 KiB": [rival_ns], "rate": [50.0]})
    return {
        "machine": MACHINE,
        "quick": False,
        "complete": True,
        "cases": {"warm_call": as_json(results)},
        "stages": {},
        "targets": judge([results], [TARGET]),
        "plots": [],
    }


def section(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0]


def test_the_page_is_what_the_figures_make_of_it() -> None:
    """Nobody has edited a number by hand, and nobody has published figures without the page."""
    assert page.rendered(COMMITTED) == page.PAGE.read_text("utf-8")


def test_the_figures_are_of_one_full_run() -> None:
    """Not of a look, nor of one that was cut short."""
    assert COMMITTED["complete"]
    assert not COMMITTED["quick"]
    assert COMMITTED["cases"].keys() >= {"warm_call", "throughput", "fresh_process", "scale"}


def test_the_figures_do_not_tell_on_whom() -> None:
    """What the machine is like, but not its name, and no folder of it."""
    text = json.dumps(COMMITTED)

    assert not {"host", "hostname", "node", "user", "cwd", "argv"} & MACHINE.keys()
    assert not re.findall(r"/(?:home|root|work|tmp|var|usr|opt)\b[^\s\"]*", text)


def test_every_plot_is_there() -> None:
    """As files of the folder, each of which the run has written."""
    files = {one.name for one in page.FOLDER.glob("*.png")}

    assert set(COMMITTED["plots"]) == files


def test_a_target_that_is_missed_is_said_to_be() -> None:
    """In its table, in the list of losses and in the count at the top."""
    text = page.rendered(document(own_ns=1000, rival_ns=1900))

    assert "| at least twice as quick as the rival | 1.90x | **NOT met** |" in text
    assert "- at least twice as quick as the rival: 1.90x." in section(text, "## Losses", "##")
    assert "0 of 1 targets are met, 1 are not, 0 not measured" in text


def test_a_target_that_is_met_is_said_to_be() -> None:
    """And then it is no loss."""
    text = page.rendered(document(own_ns=1000, rival_ns=2100))

    assert "| at least twice as quick as the rival | 2.10x | met |" in text
    assert "at least twice" not in section(text, "## Losses", "##")
    assert "1 of 1 targets are met, 0 are not, 0 not measured" in text


def test_a_target_that_was_not_measured_is_neither() -> None:
    """Nothing is made of nothing."""
    told = document(own_ns=1000, rival_ns=2100)
    told["targets"] = judge([], [TARGET])
    text = page.rendered(told)

    assert "| at least twice as quick as the rival | - | not measured |" in text
    assert "0 of 1 targets are met, 0 are not, 1 not measured" in text


@pytest.mark.parametrize(
    ("own_ns", "own_rate", "loss"),
    [
        (1500, 100.0, "1 KiB, left to the scheduler: rival 1.00 us, fc-runtime 1.50 us: 1.50x."),
        (900, 25.0, "rate, left to the scheduler: rival 50.0 /s, fc-runtime 25.0 /s: 2.00x."),
    ],
)
def test_a_rival_that_is_ahead_is_named(own_ns: float, own_rate: float, loss: str) -> None:
    """Whether less is better, as of times, or more, as of calls a second."""
    text = page.rendered(document(own_ns, rival_ns=1000, own_rate=own_rate))
    losses = section(text, "Where a rival is ahead:", "Figures of ours")

    assert [f"- warm_call, {loss}"] == losses.strip().splitlines()


def test_no_rival_ahead_is_said_too() -> None:
    """A sentence in place of an empty list."""
    text = page.rendered(document(own_ns=900, rival_ns=1000))

    assert "In none of the figures of this run." in text


def test_a_run_that_measured_nothing_makes_a_page() -> None:
    """Whatever is missing is said to be: no table without rows, and no error."""
    told = document(own_ns=1000, rival_ns=1000)
    text = page.rendered(told | {"cases": {}, "targets": [], "stages": {}})

    assert "Not measured in this run: warm_call." in text
    assert "Not measured in this run: stages." in text
    assert "nan" not in text.lower()


def test_stages_that_failed_are_said_to_have() -> None:
    """With the reason, where strace may not be used, or the program did not end."""
    told = copy.deepcopy(COMMITTED)
    told["stages"] = {
        "one_cpu": {"failed": "no end within 60 s"},
        "scheduler": {"profile": {"unavailable": "-"}, "system_calls": {"unavailable": "denied"}},
    }

    assert "Not counted in this run: no end within 60 s." in page.rendered(told)
    del told["stages"]["one_cpu"]
    assert "Not counted in this run: denied." in page.rendered(told)


def test_rounds_that_differ_much_are_told() -> None:
    """One run proves little about a figure that doubles from round to round."""
    told = document(own_ns=1000, rival_ns=1000)
    told["cases"]["warm_call"]["figures"][0] |= {"best": 1000.0, "worst": 2500.0}

    assert (
        "- warm_call, fc-runtime, 1 KiB, left to the scheduler: 1.00 us to 2.50 us."
        in page.rendered(told)
    )


def test_plots_are_the_same_for_the_same_figures(tmp_path: Any) -> None:
    """So a page that is made anew changes no file that need not change."""
    pytest.importorskip("matplotlib", reason="comes with the extra `bench`")
    results = Results(CASE, 1)
    results.add("scheduler", "fc-runtime", {"1 KiB": [1.0, 2.0], "rate": [3.0]})
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (file,) = plots.plot(results, folder)
        made.append(file.read_bytes())

    assert made[0] == made[1]
