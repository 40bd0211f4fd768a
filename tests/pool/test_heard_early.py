"""
The supervisor may hear that an instance has ended before whoever has it gives it to the pool: the
pool then does not take it.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import Runtime
from fc_runtime.pool import nursery
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from support.stage import Recorder, until

HEARD_WITHIN_S = 10.0


def end(instance: Instance) -> None:
    """Kill it, and come back when that has been heard."""
    until(lambda: instance.channel.pid is not None, what="its pid")
    assert instance.channel.pid is not None
    os.kill(instance.channel.pid, signal.SIGKILL)
    assert instance.exited.wait(HEARD_WITHIN_S)


def once(of: Callable[..., Any]) -> Callable[..., Any]:
    """*of*, which ends the instance that is its second argument before it begins; the first time."""
    instances: list[Instance] = []

    def ended(pool: Pool, instance: Instance, *rest: Any) -> Any:
        if not instances:
            instances.append(instance)
            end(instance)
        return of(pool, instance, *rest)

    return ended


def counted(runtime: Runtime) -> dict[str, int]:
    told: dict[str, int] = runtime.stats()["functions"]["f"]
    return {name: told[name] for name in ("idle", "serving", "warming", "processes")}


def test_one_that_ends_when_it_has_answered(
    runtime: Runtime, handlers: Path, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller has his result; it is buried at once, and the next call finds another."""
    runtime.register("f", code=handlers / "warm", max_instances=1)
    runtime.invoke("f", b"as_text")
    monkeypatch.setattr(Pool, "release", once(Pool.release))

    last = runtime.invoke("f", b"as_text")

    assert last.ok
    log.wait_for("instance.exited", exit_code=-signal.SIGKILL, cause="died")
    assert last.instance_id != runtime.invoke("f", b"as_text").instance_id
    until(lambda: counted(runtime)["processes"] == counted(runtime)["idle"] > 0)


def test_one_that_ends_when_it_has_come_up(
    runtime: Runtime, handlers: Path, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is given it, and another is started in its place."""
    monkeypatch.setattr(nursery, "_take_in", once(nursery._take_in))
    runtime.register("f", code=handlers / "warm", max_instances=1)

    runtime.warm("f")

    log.wait_for("instance.exited", exit_code=-signal.SIGKILL, cause="died")
    until(lambda: counted(runtime)["processes"] == counted(runtime)["idle"] > 0)
    assert runtime.invoke("f", b"as_text").ok
