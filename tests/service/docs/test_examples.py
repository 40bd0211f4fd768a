"""What the documents of the daemon show is what happens: their examples, run as they stand."""

from pathlib import Path

import pytest
from support.played import ROOT, Reader, blocks

PLAYED = [  # a document, and the part of it that is played in one go
    ("README.md", "## As a server"),
    ("README.zh-CN.md", "## 作为服务器使用"),
    ("docs/serve.md", "## One function"),
    ("docs/serve.md", "## A project"),
    ("docs/serve.md", "## Deploying with the official clients"),
    ("docs/http-triggers.md", "## A Flask app"),
    ("docs/operations.md", "### Looking at it"),
]


@pytest.mark.parametrize(("document", "section"), PLAYED)
def test_a_document_as_a_reader_plays_it(tmp_path: Path, document: str, section: str) -> None:
    """Each command prints what is shown below it, each program what its comments say."""
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    found = blocks(ROOT / document, section)
    assert any(block.kind == "console" for block in found)

    with Reader(folder, home) as reader:
        for block in found:
            reader.play(block)


def test_the_readmes_show_the_same_server() -> None:
    """What is typed, and the programs, are the same in both languages but for their comments."""
    english, chinese = (blocks(ROOT / name, section) for name, section in PLAYED[:2])

    assert [block.kind for block in english] == [block.kind for block in chinese]
    for one, other in zip(english, chinese, strict=True):
        assert without_comments(one.text) == without_comments(other.text)


def without_comments(text: str) -> list[str]:
    return [line.split("  #")[0].rstrip() for line in text.splitlines()]
