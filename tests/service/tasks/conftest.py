"""A daemon as a user starts it, with keys, the official clients, and a function that tells of runs."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.asynchronous import KEY, Runs
from support.daemon import forget_connections
from support.official import Fc2, Fc3, Open
from support.serving import LONG_S, Served
from support.stage import Gate


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Nothing is in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    """``fc-runtime serve`` of an empty account; only who has `KEY` may do anything."""
    with Served(home, FC_RUNTIME_ACCESS_KEYS=f"{KEY.id}:{KEY.secret}") as served:
        yield served
        forget_connections()


@pytest.fixture
def fc3(served: Served) -> Fc3:
    return Fc3(served.url, KEY)


@pytest.fixture
def v2021(served: Served) -> Open:
    return Open(served.url, KEY)


@pytest.fixture
def v2016(served: Served) -> Fc2:
    return Fc2(served.url, KEY)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Where the handler of `Runs.code` tells of each of its runs."""
    return Runs(tmp_path / "runs")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where that handler waits, if its event names it."""
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = Gate(folder)
    yield gate
    gate.close()


@pytest.fixture
def unsigned(home: Path) -> Iterator[httpx.Client]:
    """Of a daemon that everybody may call, for what no client would send."""
    with (
        Served(home, "--no-auth") as served,
        httpx.Client(base_url=served.url, timeout=LONG_S) as client,
    ):
        yield client
