"""Deadlines of callers whose event loop does not run: somebody else holds them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fc_runtime import AsyncRuntime, Result, TimedOut
from fc_runtime.pool import back_stop
from fc_runtime.pool.pool import Pool
from support.stage import until, until_in_loop

HANDLER = """
import time
def handler(event, context):
    time.sleep(float(event))
    return event
"""


@pytest.fixture
def runtime() -> Iterator[AsyncRuntime]:
    made = AsyncRuntime()
    yield made
    made._runtime.close(drain=0.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """Pools that have been looked at; and there is little patience."""
    seen: list[Pool] = []
    look = back_stop._look

    def counted(pool: Pool) -> None:
        look(pool)
        seen.append(pool)

    monkeypatch.setattr(back_stop, "_look", counted)
    monkeypatch.setattr(back_stop, "GRACE_S", 0.1)
    monkeypatch.setattr(back_stop, "PATIENCE_S", 1.0)
    return seen


def serving(runtime: AsyncRuntime) -> int:
    return runtime.stats()["functions"]["f"]["serving"]


async def under_way(
    runtime: AsyncRuntime, event: bytes, *, turns: int = 0
) -> "asyncio.Task[Result]":
    """A call whose deadline has been noted, and so many milliseconds later."""
    task = runtime.submit("f", event, check=False)
    roster = runtime._core.pool("f").roster
    await until_in_loop(lambda: any(one.channel.due_ns for one in list(roster.live)))
    for _ in range(turns):
        await asyncio.sleep(0.001)
    return task


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("turns", [0, 40], ids=["just written", "watched for a while"])
def test_a_handler_is_ended_though_the_loop_of_its_caller_is_blocked(
    runtime: AsyncRuntime, tmp_path: Path, looks: list[Pool], *, cold: bool, turns: int
) -> None:
    """With all it started, a moment after its deadline; the caller is told the deadline."""
    (tmp_path / "index.py").write_text(HANDLER)
    loop = asyncio.new_event_loop()
    here = loop.run_until_complete
    here(
        runtime.register(
            "f", code=tmp_path, timeout=0.5, initialization_timeout=1.0, max_instances=1
        )
    )
    if not cold:
        here(runtime.invoke("f", b"0"))
    call = here(under_way(runtime, b"60", turns=turns))
    until(lambda: runtime.stats()["kills"] == 1, 20.0)  # the loop does not run meanwhile
    result = here(call)

    assert TimedOut is type(result.outcome)
    assert result.duration_ms >= 500
    assert 1 == runtime.stats()["kills"]
    assert 0 == serving(runtime)
    assert b"0" == here(runtime.invoke("f", b"0")).payload
    here(runtime.close())
    loop.close()


def test_an_answer_that_was_there_in_time_is_not_lost(
    runtime: AsyncRuntime, tmp_path: Path, looks: list[Pool]
) -> None:
    """However late its caller comes to look."""
    (tmp_path / "index.py").write_text(HANDLER)
    loop = asyncio.new_event_loop()
    here = loop.run_until_complete
    here(runtime.register("f", code=tmp_path, timeout=0.3, max_instances=1))
    here(runtime.invoke("f", b"0"))
    call = here(under_way(runtime, b"0.05"))
    until(lambda: len(looks) >= 2, 20.0)  # the second is late by a grace at least

    assert b"0.05" == here(call).payload
    assert 0 == runtime.stats()["kills"]
    here(runtime.close())
    loop.close()


def test_a_loop_that_never_runs_again(
    runtime: AsyncRuntime, tmp_path: Path, looks: list[Pool]
) -> None:
    """Its handler is ended; its place is free again with the next call from another loop."""
    (tmp_path / "index.py").write_text(HANDLER)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(runtime.register("f", code=tmp_path, timeout=0.3, max_instances=2))
    loop.run_until_complete(runtime.invoke("f", b"0"))
    call = loop.run_until_complete(under_way(runtime, b"60"))
    loop.close()
    until(lambda: runtime.stats()["kills"] == 1, 20.0)

    assert b"0" == runtime._runtime.invoke("f", b"0").payload
    call._log_destroy_pending = False
    other = asyncio.new_event_loop()
    assert b"0" == other.run_until_complete(runtime.invoke("f", b"0")).payload
    until(lambda: serving(runtime) == 0, 20.0)
    other.run_until_complete(runtime.close())
    other.close()


def test_nobody_is_looked_at_once_nobody_calls(
    runtime: AsyncRuntime, tmp_path: Path, looks: list[Pool]
) -> None:
    """One look after the last call, and no other."""
    (tmp_path / "index.py").write_text(HANDLER)
    loop = asyncio.new_event_loop()
    here = loop.run_until_complete
    here(runtime.register("f", code=tmp_path, timeout=0.3))
    for _ in range(3):
        assert b"0" == here(runtime.invoke("f", b"0")).payload
    until(lambda: len(looks) == 1, 20.0)

    assert not runtime._core.pool("f").roster.back_stop_planned
    here(runtime.close())
    loop.close()
