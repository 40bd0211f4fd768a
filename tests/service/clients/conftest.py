"""A daemon as a user starts it, with keys, and each official client on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest
from support.daemon import forget_connections
from support.node import Node, installed
from support.official import Fc2, Fc3, Key, Open
from support.serving import Served
from support.stage import gate

__all__ = ["gate"]

Client: TypeAlias = Fc2 | Open | Fc3 | Node
PYTHON = {kind.name: kind for kind in (Fc2, Open, Fc3)}
KEY = Key("test-key", "test-secret")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Nothing is in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def options() -> list[object]:
    """Of the command; a module that wants some has its own."""
    return []


@pytest.fixture
def served(home: Path, options: list[object]) -> Iterator[Served]:
    """``fc-runtime serve`` of an empty account; only who has `KEY` may do anything."""
    keys = f"{KEY.id}:{KEY.secret}"
    with Served(home, *options, FC_RUNTIME_ACCESS_KEYS=keys) as served:
        yield served
        forget_connections()


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bridge to the client for Node.js, installed once a run."""
    return installed(tmp_path_factory.mktemp("node"))


@pytest.fixture(params=[*PYTHON, Node.name])
def connect(request: pytest.FixtureRequest, served: Served) -> Iterator[Callable[[Key], Client]]:
    """Makes clients of one kind, with whatever key."""
    with ExitStack() as stack:
        bridge = request.getfixturevalue("node_modules") if request.param == Node.name else Path()

        def make(key: Key) -> Client:
            if request.param == Node.name:
                return stack.enter_context(closing(Node(bridge, served.url, key)))
            return PYTHON[request.param](served.url, key)

        yield make


@pytest.fixture
def client(connect: Callable[[Key], Client]) -> Client:
    """Each of the official clients, with the right key."""
    return connect(KEY)
