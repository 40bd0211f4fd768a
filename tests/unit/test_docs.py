"""The documents point to what is there: files, headings, tests, options."""

import re
import subprocess
from pathlib import Path

import pytest
import typer
from fc_runtime.cli.app import _app as app

ROOT = Path(__file__).parents[2]
_LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.split()
# Without git, as in an unpacked archive: whatever lies where documents lie.
DOCUMENTS = [ROOT / name for name in _LISTED] or [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *ROOT.glob("*/README.md"),
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TEST = re.compile(r"`(tests/[\w/.]*)`")
OF_OTHERS = {"--help", "--target", "--privileged"}  # pip, docker


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=relative)


def prose(document: Path) -> str:
    """Without fenced examples, in which anything may stand."""
    return re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    """To a file that is there, and to a heading of it."""
    for link in _LINK.findall(prose(document)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = document if not name else (document.parent / name).resolve()
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@each_document
def test_tests_that_are_named_are_there(document: Path) -> None:
    """Whoever says where something is tested is right."""
    for name in _TEST.findall(prose(document)):
        assert (ROOT / name).exists(), name


def test_every_point_of_the_list_is_there() -> None:
    """All 39 of the list in docs/compatibility.md, in order; what holds says where it is tested."""
    rows = re.findall(
        r"^\| ([\d, ]+) \| .* \| (.+) \|(.*)\|$",
        (ROOT / "docs/compatibility.md").read_text("utf-8"),
        re.MULTILINE,
    )

    assert [int(n) for numbers, _, _ in rows for n in numbers.split(",")] == list(range(1, 40))
    for numbers, word, tests in rows:
        assert word.split(":")[0] in {"yes", "no", "refused", "one for all"}, numbers
        assert _TEST.findall(tests) or word.startswith("no"), numbers


def test_options_that_are_named_are_there() -> None:
    """What the documents of the daemon call an option is one, of one command or another."""
    command = typer.main.get_command(app("rich"))
    known = {
        option
        for named in getattr(command, "commands").values()  # noqa: B009 (a group, says click)
        for parameter in named.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for name in ("serve", "operations", "security", "custom-runtime", "http-triggers"):
        text = prose(ROOT / f"docs/{name}.md")
        spoken = set(re.findall(r"`[^`\n]*?(?<![\w-])(--[a-z][a-z-]+)", text))

        assert spoken <= known | OF_OTHERS, name
