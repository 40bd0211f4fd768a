"""
The contract is one specification, asked of two callers: every test here that takes `caller`,
`deploy` or `open_caller` runs once with `Runtime` and once with `AsyncRuntime`.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.callers import CALLERS, Caller, Deployed


@pytest.fixture(params=list(CALLERS))
def open_caller(request: pytest.FixtureRequest) -> Iterator[Callable[..., Caller]]:
    """Makes callers, with the options of `Runtime`; they are ended after the test."""
    opened: list[Caller] = []

    def open_one(**options: Any) -> Caller:
        opened.append(CALLERS[request.param](**options))
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
