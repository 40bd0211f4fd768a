"""Callers who wait: in order, up to a bound, and then not at all."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest
from fc_runtime import AsyncRuntime, OverloadedError, Runtime
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
