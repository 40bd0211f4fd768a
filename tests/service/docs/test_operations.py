"""docs/operations.md names every metric and every event of the daemon, and none that is not."""

import ast
import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from support.played import ROOT
from support.serving import LONG_S, Served

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
