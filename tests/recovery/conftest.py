from collections.abc import Iterator
from pathlib import Path

import pytest
from fc_runtime import Runtime
from support.stage import Gate, Recorder, gate, log, program

__all__ = ["gate", "log", "program"]


@pytest.fixture
def runtime(log: Recorder, handlers: Path, gate: Gate) -> Iterator[Runtime]:
    """A runtime with the function ``gated``, whose handlers wait at `gate`."""
    with Runtime(log=log) as made:
        made.register("gated", code=handlers / "gate", timeout=30.0, max_instances=3)
        yield made
        made.close(drain=0.0)
