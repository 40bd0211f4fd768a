"""The harness of the benchmarks: what becomes of who fails, hangs or leaves something behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import case

BENCHMARKS = Path(case.__file__).parent
CASE = """
import os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
from case import Case, Competitor, Placement, Role, UnavailableError, measuring_process

def measure(wanted):
    name = wanted.competitor
    if name == "fails":
        raise ValueError("no luck")
    if name == "missing":
        raise UnavailableError("missing is not installed")
    if name == "hangs":
        time.sleep(60)
    if name == "litters":
        subprocess.Popen(["sleep", "60"], start_new_session=True)
    return {{"point": [1.0, 3.0]}}

CASE = Case(
    name="made_up", title="", file=Path(__file__), unit="ns", points=["point"],
    competitors=[Competitor(name=name, role=Role.RIVAL) for name in {names!r}],
    placements=[Placement.SCHEDULER], rounds=2, quick_rounds=1, limit_s=1.5, measure=measure,
)
if __name__ == "__main__":
    measuring_process(CASE)
"""
# In a process of its own: the harness ends whatever is below it.
PROGRAM = """
import json, math, sys, time
sys.path[:0] = sys.argv[1:3]
import made_up
from harness import Progress, Results, become_subreaper, run_rounds
become_subreaper()
results = Results(made_up.CASE, 2)
until = time.monotonic() + float(sys.argv[3])
run_rounds([results], quick=False, progress=Progress(9), until=until)
print(json.dumps({
    "measured": {key[1]: len(rounds) for key, rounds in results.samples.items()},
    "notes": results.notes,
    "failures": dict(results.failures),
}))
"""


def played(folder: Path, names: list[str], until_s: str = "inf") -> dict[str, Any]:
    """Two rounds of a made-up case with these competitors."""
    text = CASE.format(benchmarks=str(BENCHMARKS), names=names)
    (folder / "made_up.py").write_text(text)
    argv = [sys.executable, "-c", PROGRAM, str(folder), str(BENCHMARKS), until_s]
    told = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    """It is given up after two failures, the reason is told; one that is not there is not asked again."""
    found = played(tmp_path, ["fails", "works", "missing"])

    assert {"works": 2} == found["measured"]
    assert {"fails": 2} == found["failures"]
    assert ["fails: ValueError: no luck", "missing: missing is not installed"] == found["notes"]


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    """After the case's own limit, and the others go on."""
    found = played(tmp_path, ["hangs", "works"])

    assert {"works": 2} == found["measured"]
    assert ["hangs: no end within 2 s"] == found["notes"]


def test_what_is_left_behind_is_killed_and_told(tmp_path: Path) -> None:
    """Before the next one has its turn; its figures count all the same."""
    found = played(tmp_path, ["litters"])

    assert {"litters": 2} == found["measured"]
    assert ["litters: left processes behind: sleep"] == found["notes"]


def test_nothing_is_begun_once_the_time_is_up(tmp_path: Path) -> None:
    """And it is said that this was not all."""
    found = played(tmp_path, ["works"], "0")

    assert {} == found["measured"]
    assert ["rounds: not all of them, as the time was up"] == found["notes"]
