"""``fc-runtime torture`` as a shell runs it: table, lines, exit codes, Ctrl-C."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.stage import marked

COMMAND = [sys.executable, "-m", "fc_runtime", "torture"]
LONG_S = 60.0
QUICK = ("--case", "segmentation-fault", "--case", "answer-a-set")
KEYS = {
    *("case", "row", "what", "isolation", "sandbox", "status", "expected", "seen", "outcome"),
    *("seconds", "survivors", "harm", "troubles", "missing"),
}
# A promise that nobody can keep, in the place of one that is kept.
BREAK = (
    "import sys\n"
    "from dataclasses import replace\n"
    "from fc_runtime.torture import cases\n"
    "from fc_runtime.torture.case import returned\n"
    "cases.CASES = [replace(cases.named(['exit-3'])[0], expect=returned(b'well'))]\n"
    "from fc_runtime.cli import main\n"
    "sys.exit(main())\n"
)


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **more}


def run(*command: str, **options) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("env", environment())
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONG_S,
        check=False,
        **options,
    )


def torture(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run(*COMMAND, *arguments)


def test_table() -> None:
    """A row for each case: what was expected, seen, how long it took, who survived; then a sum."""
    done = torture(*QUICK, "--case", "shadow")

    assert 0 == done.returncode
    head, _, *rows = done.stdout.decode().splitlines()
    assert ["case", "expected", "seen", "time", "survivors"] == head.split()
    assert re.match(
        r" ok +segmentation-fault +crashed: killed by SIGSEGV +crashed: killed by SIGSEGV +"
        r"\d+\.\d\d s +none",
        rows[0],
    )
    assert re.match(r" ok +answer-a-set +response rejected: TypeError +response rejected", rows[1])
    assert re.match(r" - +shadow +not promised +(managed|refused)", rows[2])
    said = done.stderr.decode()
    assert re.match(r"2 as expected, 1 not promised, 0 wrong; \w+, sandbox standard; \d+ s", said)
    assert "Not promised here, for want of:\n  a world of its own" in said
    assert "\x1b" not in done.stdout.decode() + said


def test_json() -> None:
    """One object a line and case, with everything about it."""
    done = torture(*QUICK, "--json", "--sandbox", "none", "--isolation", "portable")

    assert 0 == done.returncode
    crash, rejected = map(json.loads, done.stdout.splitlines())
    assert KEYS == set(crash) == set(rejected)
    assert ("segmentation-fault", 13, "portable", "none") == (
        crash["case"], crash["row"], crash["isolation"], crash["sandbox"],
    )  # fmt: skip
    assert ("as expected", "crashed", [], []) == (
        crash["status"], crash["outcome"], crash["survivors"], crash["troubles"],
    )  # fmt: skip
    assert "response_rejected" == rejected["outcome"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_broken_promise_is_an_exit_code(form: list[str]) -> None:
    """1, with what was expected and what was seen in one line on standard error."""
    done = run(sys.executable, "-c", BREAK, "torture", *form)

    assert 1 == done.returncode
    assert b"WRONG: exit-3: expected: returned; seen: crashed: exited with code 3\n" in done.stderr
    assert b"0 as expected, 0 not promised, 1 wrong" in done.stderr
    assert (b"wrong" if form else b"WRONG") in done.stdout


def test_list() -> None:
    """Names and what the handlers do; nothing is run."""
    done = torture("--list")
    as_json = torture("--list", "--json", "--case", "fork-bomb")

    lines = done.stdout.decode().splitlines()
    assert 0 == done.returncode
    assert len(lines) > 150
    assert any(re.match(r"busy-loop +never stops computing", line) for line in lines)
    (only,) = as_json.stdout.splitlines()
    assert {"case": "fork-bomb", "row": 7} == {
        key: json.loads(only)[key] for key in ("case", "row")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "no-such"], b"--case 'no-such': no such case; --list names them"),
        (["--isolation", "magic"], b"--isolation 'magic': this host allows auto, "),
        (["--sandbox", "sand"], b"--sandbox 'sand': one of none, standard"),
    ],
)
def test_bad_usage_in_one_line(arguments: list[str], said: bytes) -> None:
    """What there is not is told with what there is, and nothing is run."""
    done = torture(*arguments)

    assert (2, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"error: " + said)
    assert 1 == done.stderr.count(b"\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(tmp_path: Path, number: signal.Signals) -> None:
    """It ends at once and quietly, with its processes and its folder."""
    process = subprocess.Popen(
        [*COMMAND, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(TMPDIR=str(tmp_path)),
    )
    poller = select.poll()
    poller.register(process.stdout, select.POLLIN)
    assert poller.poll(LONG_S * 1000)  # the first case has ended, another is under way
    process.send_signal(number)
    _, said = process.communicate(timeout=LONG_S)

    assert 128 + number == process.returncode
    assert b"" == said
    assert [] == list(tmp_path.iterdir())
    assert [] == marked(str(tmp_path))


def test_help() -> None:
    """It teaches what the table means, and names options and exit codes."""
    overview = run(sys.executable, "-m", "fc_runtime", "--help")
    text = torture("--help").stdout.decode()

    assert b"torture" in overview.stdout
    for word in ("--isolation", "--sandbox", "--case", "--list", "--json", "Survivors", "WRONG"):
        assert word in text
    assert ["0", "1", "2", "130"] == re.findall(r"^ +(\d+)  \S", text, re.MULTILINE)


def test_other_commands_do_not_pay_for_it() -> None:
    """The cases, and asyncio, are loaded when somebody wants them."""
    program = (
        "import sys\nfrom fc_runtime.cli import app\n"
        "print({'asyncio', 'fc_runtime.torture.cases'} & set(sys.modules))"
    )

    assert b"set()\n" == run(sys.executable, "-c", program).stdout
