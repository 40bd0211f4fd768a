"""Which handlers are WSGI applications, told from their source (docs/custom-runtime.md)."""

from pathlib import Path

import pytest
from fc_runtime.service.custom.style import takes_wsgi

EVENTS = [
    "def handler(event, context): ...",
    "def handler(evt, ctx): ...",
    "async def handler(event, context): ...",
    "handler = lambda event, context: 1",
    "def other(environ, start_response): ...",
    "def handler(environ, start_response): ...\ndef handler(event, context): ...",
    "this is no Python",
    "",
]
APPLICATIONS = [
    "def handler(environ, start_response): ...",
    "def handler(env, respond): ...",
    "from flask import Flask\nhandler = Flask(__name__)",
    "handler: object = make()",
    "class handler: ...",
    "from site.wsgi import application as handler",
]


@pytest.mark.parametrize("source", EVENTS)
def test_an_event_handler(tmp_path: Path, source: str) -> None:
    """Two arguments that are not WSGI's, or nothing to be read: called with an event."""
    (tmp_path / "index.py").write_text(source)

    assert not takes_wsgi(tmp_path, "index.handler")


@pytest.mark.parametrize("source", APPLICATIONS)
def test_a_wsgi_application(tmp_path: Path, source: str) -> None:
    """WSGI's arguments, or an object, a class, an import: called the WSGI way."""
    (tmp_path / "index.py").write_text(source)

    assert takes_wsgi(tmp_path, "index.handler")


def test_wherever_it_lies(tmp_path: Path) -> None:
    """In a folder, in a package, or nowhere (spec 1.A)."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "__init__.py").write_text("class App: ...")
    (tmp_path / "web" / "main.py").write_text("app = make()")

    assert takes_wsgi(tmp_path, "web/main.app")
    assert takes_wsgi(tmp_path, "web.main.app")
    assert takes_wsgi(tmp_path, "web.App")
    assert not takes_wsgi(tmp_path, "nowhere.app")
