"""A daemon to be attacked: a real process, with functions that echo."""

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Served

ECHO = """
def handler(event, context):
    return event
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Nothing is in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with `ECHO`."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "index.py").write_text(ECHO)
    return folder


@pytest.fixture
def open_daemon(home: Path, code: Path) -> Iterator[Served]:
    """One that lets everybody in, and serves ``hello``."""
    with Served(home, "--no-auth", "--code", code, "--name", "hello") as served:
        yield served


def zip_of(**files: str | bytes) -> str:
    """Modules by name, as the API's ``zipFile``; not compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return base64.b64encode(packed.getvalue()).decode()


def function(name: str, handler: str = "index.handler", **files: str | bytes) -> dict[str, object]:
    """The body that creates it (API 2023-03-30)."""
    return {
        "functionName": name,
        "runtime": "python3.10",
        "handler": handler,
        "timeout": 30,
        "code": {"zipFile": zip_of(**(files or {"index": ECHO}))},
    }
