"""
Faults from outside and from inside, at every phase of an invocation.

Every test here that starts a runtime runs once in each isolation tier of this host, by the one
fixture `isolation`; those that take `caller` run once with `Runtime` and once with `AsyncRuntime`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fc_runtime.isolation import tiers
from support.callers import CALLERS, Caller
from support.stage import Program, Recorder, gate, log, program

__all__ = ["gate", "log", "program"]

MiB = 1024 * 1024
TIERS = tiers.available()


@pytest.fixture(params=TIERS)
def isolation(request: pytest.FixtureRequest) -> str:
    """The name of a tier that this host offers."""
    return request.param


@pytest.fixture(params=list(CALLERS))
def caller(request: pytest.FixtureRequest, isolation: str, log: Recorder) -> Iterator[Caller]:
    """A runtime that takes results of up to 16 MiB; what it does is in `log`."""
    made = CALLERS[request.param](isolation=isolation, log=log, max_response_bytes=16 * MiB)
    yield made
    made.close(0.0)
    made.end()


@pytest.fixture
def host(program: Callable[..., Program], isolation: str) -> Callable[..., Program]:
    """As `program`, whose text has ``ISOLATION`` to use as well."""

    def start(code: str, *arguments: str, **options: Any) -> Program:
        return program(f"ISOLATION = {isolation!r}\n{code}", *arguments, **options)

    return start
