"""Callers who wait: in order, up to a bound, and then not at all."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import AsyncRuntime, OverloadedError, Runtime, lean
from fc_runtime.aio import lean_of
from support.stage import Gate, until, until_in_loop


@pytest.fixture
def single(handlers: Path) -> Iterator[Runtime]:
    """One instance, and a queue of three."""
    with Runtime(max_queue=3) as runtime:
        runtime.register("single", code=handlers / "gate", max_instances=1, timeout=30.0)
        yield runtime
        runtime.close(drain=0.0)


def waiting(runtime: Runtime | AsyncRuntime) -> int:
    return runtime.stats()["functions"]["single"]["waiting"]


def queue_up(runtime: Runtime, gate: Gate, labels: str) -> list:
    """Submit in a known order: each is in the queue before the next comes."""
    futures = []
    for number, label in enumerate(labels, start=1):
        futures.append(runtime.submit("single", gate.event(label)))
        until(lambda number=number: waiting(runtime) == number)
    return futures


def test_who_came_first_is_served_first(single: Runtime, gate: Gate) -> None:
    """Waiting callers are served in the order in which they came."""
    first = single.submit("single", gate.event("first"))
    gate.entered()
    queued = queue_up(single, gate, "abc")
    order = []
    for _ in queued:
        gate.let()
        order.append(gate.entered()[0])
    gate.let()
    wait([first, *queued])

    assert ["a", "b", "c"] == order


def test_a_full_queue_refuses_at_once(single: Runtime, gate: Gate) -> None:
    """
    With max_queue callers waiting, the next gets OverloadedError while all of them still wait;
    those are served all the same, and the refusal is counted.
    """
    futures = [single.submit("single", gate.event("first"))]
    gate.entered()
    futures += queue_up(single, gate, "abc")

    with pytest.raises(OverloadedError, match="3 waiting"):
        single.invoke("single", gate.event("late"))

    assert 3 == waiting(single)
    assert 1 == single.stats()["functions"]["single"]["refused"]
    gate.let(4)
    assert list("abc") == [future.result().json()["label"] for future in futures[1:]]
    assert single.invoke("single", b"{}").ok


def test_no_queue_at_all(handlers: Path, gate: Gate) -> None:
    """max_queue=0: whoever does not find an instance, or room to start one, is refused."""
    with Runtime(max_queue=0) as runtime:
        runtime.register("single", code=handlers / "gate", max_instances=1, timeout=30.0)
        assert runtime.invoke("single", b"{}").ok
        running = runtime.submit("single", gate.event())
        gate.entered()

        with pytest.raises(OverloadedError):
            runtime.invoke("single", b"{}")

        gate.let()
        assert running.result().ok
        assert runtime.invoke("single", b"{}").ok


def test_the_queue_of_one_function_is_not_anothers(
    single: Runtime, handlers: Path, gate: Gate
) -> None:
    """While one function's queue is full another function is served."""
    single.register("other", code=handlers / "gate", max_instances=1)
    futures = [single.submit("single", gate.event("first"))]
    gate.entered()
    futures += queue_up(single, gate, "abc")

    assert single.invoke("other", b"{}").ok

    gate.let(4)
    wait(futures)


def test_a_thousand_callers_on_two_instances(handlers: Path, gate: Gate) -> None:
    """A long queue is served in order, by no more processes than were asked for."""

    async def flood() -> tuple[list[int], dict]:
        order: list[int] = []

        async def call(number: int) -> None:
            result = await runtime.invoke("single", str(number))
            order.append(int(result.text))

        async with AsyncRuntime(max_queue=1000) as runtime:
            await runtime.register(
                "single", code=handlers / "gate", handler="index.echo", max_instances=2
            )
            await runtime.warm("single", 2)
            async with asyncio.TaskGroup() as group:
                for number in range(1000):
                    group.create_task(call(number))
            return order, runtime.stats()["functions"]["single"]

    order, stats = asyncio.run(flood())

    assert set(range(1000)) == set(order)
    # Two at a time: who is served slowly comes out late. But nobody is passed over in the queue.
    late = [number for place, number in enumerate(order) if abs(number - place) > 10]
    assert len(late) <= 10
    assert stats["processes"] <= 3
    assert {"returned": 1000} == stats["outcomes"]


def test_who_leaves_the_queue_is_not_served(single: Runtime, handlers: Path, gate: Gate) -> None:
    """A cancelled caller's place goes to the next; his event reaches no handler."""

    async def scene() -> list[str]:
        async with AsyncRuntime() as runtime:
            await runtime.register("single", code=handlers / "gate", max_instances=1, timeout=30.0)
            first = runtime.submit("single", gate.event("first"))
            await asyncio.to_thread(gate.entered)
            gone = runtime.submit("single", gate.event("gone"))
            stays = runtime.submit("single", gate.event("stays"))
            await until_in_loop(lambda: waiting(runtime) == 2)
            gone.cancel()
            await asyncio.wait([gone])
            left = waiting(runtime)
            gate.let(2)
            came = await asyncio.to_thread(gate.entered)
            await asyncio.gather(first, stays)
            return [came[0], str(left), str(runtime.stats()["functions"]["single"]["serving"])]

    assert ["stays", "1", "0"] == asyncio.run(scene())
    assert gate.is_deserted()


def test_a_place_given_to_a_caller_who_is_just_leaving_is_not_lost(handlers: Path) -> None:
    """
    An instance handed to a waiter at the moment of his cancellation goes to the next one: after
    a thousand such moments all places are still there.
    """

    async def scene() -> tuple[int, bool]:
        async with AsyncRuntime() as runtime:
            await runtime.register(
                "single", code=handlers / "gate", handler="index.echo", max_instances=1
            )
            await runtime.warm("single")
            stop = False

            def rival() -> None:
                """In a thread: so that places are given while the loop is cancelling."""
                while not stop:
                    runtime._runtime.invoke("single", b"rival")

            busy = asyncio.create_task(asyncio.to_thread(rival))
            for _ in range(500):
                callers = [runtime.submit("single", b"x") for _ in range(2)]
                await asyncio.sleep(0)
                callers[0].cancel()
                await asyncio.wait(callers)
            stop = True
            await busy
            answer = await runtime.invoke("single", b"still there")
            return runtime.stats()["functions"]["single"]["serving"], answer.ok

    assert (0, True) == asyncio.run(scene())


def test_a_waiter_whose_loop_is_gone_harms_nobody(
    single: Runtime, handlers: Path, gate: Gate
) -> None:
    """
    A loop may be closed under a task that waits in the queue. Whoever then gives his place back
    gets his own answer, and the next in the queue gets the place.
    """
    runtime = AsyncRuntime()
    gone = asyncio.new_event_loop()
    gone.run_until_complete(
        runtime.register("single", code=handlers / "gate", max_instances=1, timeout=30.0)
    )
    first = runtime._runtime.submit("single", gate.event("first"))
    gate.entered()
    lost = gone.create_task(runtime.invoke("single", gate.event("lost")))
    while waiting(runtime) < 1:
        gone.run_until_complete(asyncio.sleep(0))
    gone.close()
    last = runtime._runtime.submit("single", gate.event("last"))
    until(lambda: waiting(runtime) == 2)
    gate.let(2)

    assert "first" == first.result(10).json()["label"]
    assert "last" == last.result(10).json()["label"]

    lost._log_destroy_pending = False  # this task can never be ended properly: that is the point
    runtime._runtime.close(drain=0.0)


@pytest.fixture
def sleeping(tmp_path: Path) -> Path:
    """A handler that sleeps for as many seconds as its event says."""
    (tmp_path / "index.py").write_text(
        "import time\ndef handler(event, context):\n    time.sleep(float(event))\n    return event\n"
    )
    return tmp_path


async def in_the_air(runtime: AsyncRuntime) -> None:
    """Until a call of this loop has been written to its instance."""
    while not lean_of(runtime)._in_air:
        await asyncio.sleep(0)


def test_who_leaves_while_he_is_being_given_an_instance(
    sleeping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another thread hands it over; before that has done with it, the call is under way, and cancelled.
    The place is free again.
    """

    async def leave_at_once() -> None:
        loop = asyncio.get_running_loop()
        call_soon, has_left = loop.call_soon_threadsafe, threading.Event()

        def handed_over(callback: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
            handle = call_soon(callback, *arguments, **more)
            if getattr(callback, "__self__", None) is mine:
                assert has_left.wait(20.0)
            return handle

        async with AsyncRuntime() as runtime:
            mine = lean_of(runtime)
            monkeypatch.setattr(loop, "call_soon_threadsafe", handed_over)
            await runtime.register("f", code=sleeping, max_instances=1, min_instances=1)
            call = runtime.submit("f", b"60")
            await in_the_air(runtime)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            has_left.set()

            assert b"0" == (await asyncio.wait_for(runtime.invoke("f", b"0"), 20.0)).payload

    asyncio.run(leave_at_once())


Loops = tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]


@pytest.fixture
def loops() -> Iterator[Loops]:
    """Two of one thread: that of a session, and a short one."""
    session, short = asyncio.new_event_loop(), asyncio.new_event_loop()
    yield session, short
    session.close()
    short.close()


async def begun(runtime: AsyncRuntime, name: str, event: bytes) -> "asyncio.Task[Any]":
    """A call that is under way, or in the queue."""
    task = runtime.submit(name, event)
    await asyncio.sleep(0)
    return task


def test_a_queued_call_of_a_closed_loop_harms_nobody_of_this_thread(
    loops: Loops, sleeping: Path
) -> None:
    """Whoever gives his place back, on another loop, gets his own answer, and so do all others."""
    session, short = loops
    runtime = AsyncRuntime()
    here = session.run_until_complete
    here(runtime.register("single", code=sleeping, max_instances=1))
    here(runtime.invoke("single", b"0"))
    first = here(begun(runtime, "single", b"0.3"))
    lost = short.run_until_complete(begun(runtime, "single", b"0.001"))
    assert waiting(runtime) == 1
    short.close()
    assert b"0.3" == here(first).payload

    second = here(begun(runtime, "single", b"0.1"))
    lost._log_destroy_pending = False
    del lost
    gc.collect()  # it gives up its place in the queue, and nothing else
    third = here(begun(runtime, "single", b"0.01"))

    assert b"0.1" == here(second).payload
    assert b"0.01" == here(third).payload
    assert 0 == runtime.stats()["functions"]["single"]["serving"]
    here(runtime.close())


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_call_under_way_of_a_closed_loop_is_ended(
    loops: Loops, sleeping: Path, monkeypatch: pytest.MonkeyPatch, *, forgotten: bool
) -> None:
    """By the next call of another loop, which is served, whether its task is still held or not."""
    monkeypatch.setattr(lean, "LASTING_NS", 60_000_000_000)  # on a busy host, too
    session, short = loops
    runtime = AsyncRuntime()
    here = session.run_until_complete
    here(runtime.register("single", code=sleeping, max_instances=1, timeout=100.0))
    here(runtime.invoke("single", b"0"))
    lost = short.run_until_complete(begun(runtime, "single", b"60"))
    assert runtime._leans[short]._in_air
    short.close()
    lost._log_destroy_pending = False
    if forgotten:
        del lost
        gc.collect()

    assert b"0" == here(asyncio.wait_for(runtime.invoke("single", b"0"), 20.0)).payload
    here(runtime.close())
