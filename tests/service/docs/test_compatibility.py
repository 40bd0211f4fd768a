"""docs/compatibility.md is true of the daemon as it is: every operation, and what is said of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.api import OPERATIONS
from fc_runtime.service.api.operations import FC3, Operation
from support.played import ROOT
from support.serving import LONG_S, Served

NOT_THERE = "\N{EN DASH}"
WORDS = {"works", "stored only", "refused", NOT_THERE}
_ROW = re.compile(r"^\| ([A-Z]\w+(?:, \w+)*) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
IN_PATH = {"service": "demo", "function": "hello", "version": "1", "arn:path": "acs:fc:local:1:x"}


def said() -> dict[str, dict[str, str]]:
    """Of each operation: what FC3 and FC2 have of it."""
    text = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8")
    return {
        name: {"FC3": fc3.strip(), "FC2": fc2.strip()}
        for names, fc3, fc2 in _ROW.findall(text.split("## Management\n")[1].split("## Prop")[0])
        for name in names.split(", ")
        if name != "Operation"  # the heads of the tables
    }


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a daemon with one function of each family."""
    home: Path = tmp_path_factory.mktemp("home")
    (home / "s.yaml").write_text(
        "edition: 1.0.0\nname: demo\nservices:\n  web:\n    component: fc\n    props:\n"
        "      region: local\n      service: {name: demo}\n"
        f"      function: {{name: hello, runtime: python3.10, handler: index.handler,"
        f" codeUri: {ROOT / 'examples/json_event'}}}\n"
        "  one:\n    component: fc3\n    props: {region: local, functionName: hello,"
        f" runtime: python3.12, handler: index.handler, code: {ROOT / 'examples/json_event'}}}\n"
    )
    with Served(home, "--no-auth", cwd=home) as daemon:
        yield daemon.url


def test_every_operation_is_named() -> None:
    """None is missing in the tables, and none is made up; families are right."""
    told = said()

    assert {operation.name for operation in OPERATIONS} == set(told)
    for name, families in told.items():
        assert set(families.values()) <= WORDS, name
        prefixes = {
            p for operation in OPERATIONS if operation.name == name for p in operation.prefixes
        }
        assert {
            "FC3": bool(prefixes & set(FC3)),
            "FC2": bool(prefixes - set(FC3)),
        } == {family: word != NOT_THERE for family, word in families.items()}, name


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.verb} {one.path}")
def test_what_is_said_is_what_is_answered(url: str, operation: Operation) -> None:
    """Refused is a 501 that says why; what works, or is stored, is never one."""
    names = {} if operation.verb == "DELETE" else IN_PATH  # what the others need stays
    path = re.sub(r"{([^}]+)}", lambda found: names.get(found.group(1), "x"), operation.path)
    for prefix in operation.prefixes:
        family = "FC3" if prefix in FC3 else "FC2"
        reply = httpx.request(operation.verb, f"{url}{prefix}{path}", timeout=LONG_S)

        word = said()[operation.name][family]
        assert (reply.status_code == 501) == (word == "refused"), reply.text
        assert reply.status_code < 500 or reply.json()["Code"] == "NotImplemented"
        assert "PathNotSupported" not in reply.text
