"""
The contract is one specification, asked of both faces and of every isolation tier that this host
offers: each test that takes `caller`, `deploy` or `open_caller` runs with `Runtime` and with
`AsyncRuntime` in the best tier, and with `Runtime` in the others. A module that is about what crosses
the wire, and not about processes, says so (`TIERS_MATTER = False`): for its tests the best tier is
enough. Either face has a way of its own for plain calls, events of bytes and nothing else said; tests
that give more than that ask the general ways.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.callers import CALLERS, Caller, Deployed
from support.tiers import AVAILABLE

BEST, *OTHERS = AVAILABLE
IN_BEST = [("sync", BEST), ("async", BEST)]
IN_OTHERS = [("sync", tier) for tier in OTHERS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "setting" in metafunc.fixturenames:
        others = IN_OTHERS if getattr(metafunc.module, "TIERS_MATTER", True) else []
        metafunc.parametrize("setting", [*IN_BEST, *others], ids="-".join, indirect=True)


@pytest.fixture
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which caller, in which tier."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def isolation(setting: tuple[str, str]) -> str:
    """The tier that `deploy` and its like use."""
    return setting[1]


@pytest.fixture
def open_caller(setting: tuple[str, str]) -> Iterator[Callable[..., Caller]]:
    """Makes callers, with the options of `Runtime`; they are ended after the test."""
    opened: list[Caller] = []
    kind, tier = setting

    def open_one(**options: Any) -> Caller:
        opened.append(CALLERS[kind](**{"isolation": tier, **options}))
        return opened[-1]

    yield open_one
    for caller in opened:
        caller.end()


@pytest.fixture
def caller(open_caller: Callable[..., Caller]) -> Caller:
    """A runtime with default options."""
    return open_caller()


@pytest.fixture
def deploy(caller: Caller, handlers: Path) -> Callable[..., Deployed]:
    """
    Registers a function of ``tests/handlers/<topic>/index.py``, or of a folder, under a name of its
    own: ``deploy("values")``, ``deploy("values", "index.other", timeout=1.0)``.
    """
    numbers = itertools.count(1)

    def register(
        topic: str | Path,
        handler: str = "index.handler",
        *,
        on: Caller | None = None,
        **options: Any,
    ) -> Deployed:
        name = f"{Path(topic).name}-{next(numbers)}"
        chosen = on or caller
        chosen.register(name, code=handlers / topic, handler=handler, **options)
        return Deployed(chosen, name)

    return register
