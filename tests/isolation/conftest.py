"""Real processes in every isolation tier of this host."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import Runtime
from support.callers import Deployed, SyncCaller
from support.installed import interpreter, outside
from support.stage import Recorder, gate, log
from support.tiers import AVAILABLE

__all__ = ["gate", "interpreter", "log", "outside"]

Deploy = Callable[..., Deployed]
Do = Callable[..., Any]


@pytest.fixture(params=AVAILABLE)
def isolation(request: pytest.FixtureRequest) -> str:
    """The name of a tier that this host offers."""
    name: str = request.param
    return name


@pytest.fixture
def caller(isolation: str, log: Recorder) -> Iterator[SyncCaller]:
    """A runtime in that tier; what it does is in `log`."""
    made = SyncCaller(isolation=isolation, log=log)
    yield made
    made.close(0.0)


@pytest.fixture
def runtime(caller: SyncCaller) -> Runtime:
    return caller.runtime


@pytest.fixture
def deploy(caller: SyncCaller, handlers: Path) -> Deploy:
    """Registers a function of a handler folder under a name of its own, and hands it back."""

    def register(topic: str | Path, handler: str = "index.handler", **options: Any) -> Deployed:
        name = f"f{len(caller.functions())}"
        caller.register(name, code=handlers / topic, handler=handler, **options)
        return Deployed(caller, name)

    return register


@pytest.fixture
def strict(deploy: Deploy) -> Deploy:
    """As `deploy`, under strict, with time enough for a slow machine."""

    def register(
        topic: str | Path = "sealed", handler: str = "index.do", **options: Any
    ) -> Deployed:
        return deploy(topic, handler, **{"sandbox": "strict", "timeout": 20.0, **options})

    return register


@pytest.fixture
def do(strict: Deploy) -> Do:
    """What one of ``handlers/sealed`` answers: ``do("identity")``."""
    deployed: list[Deployed] = []

    def call(name: str, **arguments: Any) -> Any:
        if not deployed:
            deployed.append(strict())
        return deployed[0](json={"do": name, **arguments}).json()

    return call
