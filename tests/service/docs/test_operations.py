"""docs/operations.md: every metric and event of the daemon, and none that is not; a backup."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.accounts import base64_zip
from support.asynchronous import Runs
from support.played import ROOT
from support.serving import LONG_S, Served
from support.stage import Gate, until

SERVICE = ROOT / "runtime/fc_runtime/service"
SAYING = {"debug", "info", "warning", "error", "exception"}
OF_THE_CLI = [ROOT / f"runtime/fc_runtime/cli/{name}.py" for name in ("serving", "announcing")]
CUSTOM = SERVICE / "custom"  # a program of its own, with a document of its own


def section(heading: str) -> str:
    """Of the document, to the next heading of the same level."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    return text.split(f"### {heading}\n")[1].split("\n### ")[0].split("\n## ")[0]


def test_every_metric_is_named(tmp_path: Path) -> None:
    """The names of /metrics after a call, and those of the table, are the same."""
    with Served(
        tmp_path, "--code", ROOT / "examples/json_event", "--name", "hello", "--no-auth"
    ) as daemon:
        assert b"value" == daemon.invoke("hello", b'{"key": "value"}').content
        text = httpx.get(f"{daemon.url}/metrics", timeout=LONG_S).text

    there = {
        family.name
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")  # when counting began: no metric of its own
    }
    cells = re.findall(r"^\| (`.*?) \| ", section("Looking at it"), re.MULTILINE)
    told = {
        f"fc_runtime_{name.removesuffix('_total')}"
        for cell in cells
        for name in re.findall(r"`([a-z_]+)`", cell)
    }
    assert there == told


def test_every_event_is_named() -> None:
    """What the daemon's own code may say to the log is in the table, and nothing else is."""
    said = {
        event
        for path in [*SERVICE.rglob("*.py"), *OF_THE_CLI]
        if not path.is_relative_to(CUSTOM)
        for event in events_of(path)
    }

    cells = re.findall(r"^\| (`.*?) \| ", section("Its log"), re.MULTILINE)
    assert said == {event for cell in cells for event in re.findall(r"`(\w+\.\w+)`", cell)}


def events_of(path: Path) -> set[str]:
    """First arguments of calls of a logger that look like events: ``noun.past_participle``."""
    return {
        str(first.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ((isinstance(node.func, ast.Attribute) and node.func.attr in SAYING) or is_tell(node))
        and node.args
        and isinstance(first := node.args[0], ast.Constant)
        and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(first.value))
    }


def is_tell(node: ast.Call) -> bool:
    """``tell = self._log.warning if … else self._log.debug`` comes under this name."""
    return isinstance(node.func, ast.Name) and node.func.id == "tell"


HELLO = "/2023-03-30/functions/hello"


def invoke_later(url: str, **event: str) -> None:
    headers = {"X-Fc-Invocation-Type": "Async"}
    sent = httpx.post(f"{url}{HELLO}/invocations", json=event, headers=headers, timeout=LONG_S)
    assert sent.status_code == 202


def labels(runs: Runs, after: int = 0) -> set[str]:
    return {run["event"]["label"] for run in list(runs)[after:]}


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3's command is not installed")
def test_backup_while_it_runs(tmp_path: Path) -> None:
    """
    The commands of the document, word by word. Restored, what waited and what was under way runs,
    again: also what has run since.
    """
    (command,) = re.findall(r"^```\n(.*?)^```$", section("Its folder"), re.DOTALL | re.MULTILINE)
    data, backup, folder = tmp_path / "data", tmp_path / "backup", tmp_path / "gate"
    backup.mkdir()
    folder.mkdir()
    gate, runs = Gate(folder), Runs(tmp_path / "runs")
    options = ("--no-auth", "--max-instances", "1")
    with Served(tmp_path, "--data-dir", data, *options) as daemon:
        (data / "access-keys").write_text("id:secret\n")
        document = {
            "functionName": "hello",
            "runtime": "python3.10",
            "handler": "index.handler",
            "timeout": 60,
            "code": {"zipFile": base64_zip(index=runs.source)},
        }
        made = httpx.post(f"{daemon.url}/2023-03-30/functions", json=document, timeout=LONG_S)
        assert made.status_code == 200
        invoke_later(daemon.url, gate=str(folder), label="running")
        gate.entered(LONG_S)
        invoke_later(daemon.url, label="waiting")
        done = subprocess.run(
            ["sh", "-e", "-c", command.replace("BACKUP", str(backup))],
            cwd=data,
            capture_output=True,
            timeout=LONG_S,
            check=False,
        )
        assert (0, b"") == (done.returncode, done.stderr)
        gate.let()
        runs.wait(2)
        assert daemon.stop() == 0

    modes = {path.name: path.stat().st_mode & 0o077 for path in backup.iterdir()}
    assert {"tasks.db", "account.db", "packages", "access-keys"} == modes.keys()
    assert not any(mode for name, mode in modes.items() if name != "access-keys")
    before = len(list(runs))
    gate.let()
    with Served(tmp_path, "--data-dir", backup, *options) as daemon:
        both = {"running", "waiting"}
        until(lambda: both <= labels(runs, before), LONG_S, what="both again")
        assert daemon.invoke("hello", b'{"label": "new"}').content == b"done"
    gate.close()
