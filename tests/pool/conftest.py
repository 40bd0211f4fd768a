from collections.abc import Iterator
from pathlib import Path

import pytest
from fc_runtime import Runtime
from support.stage import Gate, Recorder, gate, log, program

__all__ = ["gate", "log", "program"]


@pytest.fixture
def runtime(log: Recorder) -> Iterator[Runtime]:
    """A runtime that tells `log` what it does; closed without waiting for anybody."""
    with Runtime(log=log) as made:
        yield made
        made.close(drain=0.0)


@pytest.fixture
def births(tmp_path: Path) -> Path:
    """Where handlers of ``handlers/births`` leave a line for each start."""
    path = tmp_path / "births"
    path.touch()
    return path


@pytest.fixture
def gated(runtime: Runtime, handlers: Path, gate: Gate) -> Runtime:
    """`runtime` with the function ``gated``: at most two at a time, each waits at `gate`."""
    runtime.register("gated", code=handlers / "gate", timeout=30.0, max_instances=2)
    return runtime
