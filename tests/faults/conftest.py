"""
Faults from outside and from inside, at every phase of an invocation.

Every test here that starts a runtime runs in the best isolation tier of this host and in the
portable one; those of a module that says `IN_EVERY_TIER` in all of them, by the one
fixture `isolation`; those that take `caller` also run with `AsyncRuntime`, in the best tier.
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


BEST = TIERS[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Who calls, in which tier: both callers in the best tier only."""
    if "setting" in metafunc.fixturenames:
        everywhere = getattr(metafunc.module, "IN_EVERY_TIER", False)
        settings = [("sync", tier) for tier in (TIERS if everywhere else (BEST, "portable"))]
        settings = list(dict.fromkeys(settings))
        if "caller" in metafunc.fixturenames:
            settings.append(("async", BEST))
        metafunc.parametrize("setting", settings, ids=map("-".join, settings))


@pytest.fixture
def isolation(setting: tuple[str, str]) -> str:
    """The name of a tier that this host offers."""
    return setting[1]


@pytest.fixture
def caller(setting: tuple[str, str], log: Recorder) -> Iterator[Caller]:
    """A runtime that takes results of up to 16 MiB; what it does is in `log`."""
    kind, tier = setting
    made = CALLERS[kind](isolation=tier, log=log, max_response_bytes=16 * MiB)
    yield made
    made.close(0.0)
    made.end()


@pytest.fixture
def host(program: Callable[..., Program], isolation: str) -> Callable[..., Program]:
    """As `program`, whose text has ``ISOLATION`` to use as well."""

    def start(code: str, *arguments: str, **options: Any) -> Program:
        return program(f"ISOLATION = {isolation!r}\n{code}", *arguments, **options)

    return start
