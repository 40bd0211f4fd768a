"""
`pool/warm.py` is the general way, unrolled. Whoever looks at results only must not be able to tell
which of the two a call took.
"""

import asyncio
import os
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fc_runtime import AsyncRuntime, ResponseError, Result, Runtime, lean, runtime as face
from fc_runtime.aio import lean_of
from fc_runtime.dispatch.placement import BRIEF_US, BRISK_NS, Placement, Placer
from fc_runtime.pool import warm
from support.stage import until

CASES = (
    "as_bytes as_text as_json nothing large very_large writes starts_a_child leaves_a_child "
    "leaves_a_thread moves_away slow raises unencodable exits dies"
).split()


def comparable(result: Result) -> dict[str, object]:
    """Without what differs from call to call: ids, times, sizes in memory."""

    def steady(text: bytes) -> bytes:
        text = text.replace(result.request_id.encode(), b"ID")
        text = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", b"TIME", text)
        return re.sub(rb"duration: \d+ms, maxMemoryUsage: [\d.]+MB", b"FIGURES", text)

    return {
        "payload": steady(result.payload),
        "outcome": result.outcome,
        "log": steady(result.log),
        "cold_start": result.cold_start,
        "init_duration_ms": result.init_duration_ms,
        "children": result.usage.child_processes,
        "leftovers": result.usage.leftover_processes,
        "function": result.function,
    }


@pytest.fixture
def served(handlers: Path) -> Callable[[str], Result]:
    """Answers a case on an instance that is warm and has served before."""

    def serve(case: str) -> Result:
        with Runtime() as runtime:
            runtime.register("warm", code=handlers / "warm", timeout=10.0)
            runtime.invoke("warm", b"nothing")
            result = runtime.invoke("warm", case.encode(), check=False)
            again = runtime.invoke("warm", b"as_text")
            assert again.text == "ü"
            return result

    return serve


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """What each call of the warm path has come to."""
    seen: list[type] = []

    def spy(*arguments: object) -> object:
        begun = warm.try_warm(*arguments)  # type: ignore[arg-type]
        seen.append(type(begun))
        return begun

    monkeypatch.setattr(face, "try_warm", spy)
    return seen


@pytest.fixture(params=["as is best", "awake"])
def woken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How the warm path's calls are made; with "awake", whom each was made to."""
    pids: list[int] = []

    def borrow(self: Placer, pid: int, **_: bool) -> Placement:
        pids.append(pid)
        return always_awake(self, pid)

    if request.param == "awake":
        monkeypatch.setattr(Placer, "borrow", borrow)
    return pids


def always_awake(placer: Placer, pid: int, **_: bool) -> Placement:
    """Instead of `Placer.borrow`."""
    placer._awake += 1
    return Placement(pid, set(), -1, awake=True, moved=False)


@pytest.mark.parametrize("case", CASES)
def test_the_warm_path_and_the_general_way_answer_alike(
    served: Callable[[str], Result],
    case: str,
    woken: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same call, with and without the unrolled path, has the same result."""
    unrolled = comparable(served(case))
    monkeypatch.setattr(face, "try_warm", lambda *_: None)
    general = comparable(served(case))

    assert unrolled == general


SIZES = (48 * 1024, 64 * 1024 - 1, 64 * 1024, 1024 * 1024, 1024 * 1024 + 1)


@pytest.mark.parametrize("size", SIZES)
def test_large_bodies_take_either_way(
    handlers: Path, size: int, woken: list[int], ends: list[type]
) -> None:
    """
    There and back, up to a piece of the window by the warm path: the same bytes. Of one that is
    larger than a pipe with its headers, and too small for the window, a part is written there.
    """
    with Runtime() as runtime:
        runtime.register("echo", code=handlers / "served", handler="index.echo", timeout=30.0)
        runtime.invoke("echo", b"")
        ends.clear()
        for number in range(20):
            event = random.Random(number).randbytes(size)
            assert event == runtime.invoke("echo", event).payload
            assert event == runtime.invoke("echo", event, timeout=20.0).payload

    assert (Result in ends) is (size <= warm.WARM_BYTES and size != 64 * 1024 - 1)
    assert len(ends) == (20 if size <= warm.WARM_BYTES else 0)


@pytest.mark.parametrize("most", [100_000, 1024 * 1024])
def test_a_large_result_over_the_limit_is_refused(handlers: Path, most: int) -> None:
    """By the worker; a worker that does not is refused by its frame."""
    with Runtime(max_response_bytes=most) as runtime:
        runtime.register("echo", code=handlers / "served", handler="index.echo")
        runtime.invoke("echo", b"")
        assert most == len(runtime.invoke("echo", bytes(most)).payload)
        with pytest.raises(ResponseError):
            runtime.invoke("echo", bytes(most + 1))
        assert most == len(runtime.invoke("echo", bytes(most)).payload)


def test_a_plain_call_takes_the_warm_path(handlers: Path, ends: list[type]) -> None:
    """The comparison above means something: the path is taken, and ends in a result."""
    with Runtime() as runtime:
        runtime.register("warm", code=handlers / "warm", timeout=10.0)
        runtime.invoke("warm", b"nothing")
        for _ in range(50):
            runtime.invoke("warm", b"as_text")

    assert ends[0] is warm.Refused  # nothing idle yet: a cold start
    assert ends[1:].count(Result) > 25  # the others were too slow for the first wait, if any


def test_callers_who_queue_take_the_warm_path(handlers: Path, ends: list[type]) -> None:
    """Whoever is given an instance by another caller; each has its own answer."""
    with Runtime() as runtime, ThreadPoolExecutor(8) as threads:
        runtime.register("echo", code=handlers / "served", handler="index.echo", max_instances=1)
        runtime.invoke("echo", b"")
        ends.clear()
        events = [b"%d" % number for number in range(400)]
        answers = threads.map(lambda event: runtime.invoke("echo", event).payload, events)

        assert events == list(answers)
        assert warm.Refused not in ends
        assert {"serving": 0, "waiting": 0} == {
            name: runtime.stats()["functions"]["echo"][name] for name in ("serving", "waiting")
        }


def test_an_interrupt_in_the_warm_path_ends_the_instance_and_frees_the_place(
    handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between question and answer: the answer must not meet the next caller."""
    with Runtime() as runtime:
        runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=1)
        runtime.invoke("warm", b"nothing")

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(warm.wire, "plain_microseconds", interrupted)
            with pytest.raises(KeyboardInterrupt):
                runtime.invoke("warm", b"as_bytes")
        answer = runtime.invoke("warm", b"as_text")

        assert answer.text == "ü"
        assert sum(runtime._core.placer._in_flight) == 0


def test_calls_that_follow_each_other_are_made_awake(
    handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own answer and its own log, and nothing that was borrowed stays so."""
    cpus = os.sched_getaffinity(0)
    with Runtime() as runtime:
        runtime._core.placer.enabled = True  # with one CPU too
        runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=1)
        runtime.register("echo", code=handlers / "served", handler="index.echo", max_instances=1)
        borrowed: list[Placement | None] = []
        borrow = Placer.borrow

        def spy(self: Placer, pid: int, *, idle_ns: int) -> Placement | None:
            borrowed.append(borrow(self, pid, idle_ns=min(idle_ns, BRISK_NS - 1)))
            return borrowed[-1]

        monkeypatch.setattr(Placer, "borrow", spy)
        for number in range(400):
            assert b"%d" % number == runtime.invoke("echo", b"%d" % number).payload
            if not number % 50:
                assert b"to stdout" in runtime.invoke("warm", b"writes").log

        assert any(one is not None and one.awake for one in borrowed)
        assert 0 == runtime._core.placer._awake
    assert cpus == os.sched_getaffinity(0)


def test_awaited_calls_that_follow_each_other_are_made_awake(
    handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a loop too, while nobody else calls there."""
    cpus = os.sched_getaffinity(0)
    borrowed: list[Placement | None] = []
    borrow = Placer.borrow

    def spy(self: Placer, pid: int, *, idle_ns: int) -> Placement | None:
        borrowed.append(borrow(self, pid, idle_ns=min(idle_ns, BRISK_NS - 1)))
        return borrowed[-1]

    monkeypatch.setattr(Placer, "borrow", spy)

    async def calls() -> None:
        async with AsyncRuntime() as runtime:
            placer = runtime._core.placer
            placer.enabled = True  # with one CPU too
            await runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=1)
            await runtime.register("echo", code=handlers / "served", handler="index.echo")
            for number in range(400):
                assert b"%d" % number == (await runtime.invoke("echo", b"%d" % number)).payload
                if not number % 50:
                    assert b"to stdout" in (await runtime.invoke("warm", b"writes")).log
            events = [b"%d" % number for number in range(100)]
            together = await asyncio.gather(*(runtime.invoke("echo", event) for event in events))

            assert any(one is not None and one.awake for one in borrowed)
            assert events == [result.payload for result in together]
            assert (0, 0) == (placer._awake, sum(placer._in_flight))

    asyncio.run(calls())
    assert cpus == os.sched_getaffinity(0)


def test_an_awake_call_that_takes_long_does_not_hold_up_its_loop(
    handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as any other, after a moment, and the next one is not begun awake."""
    monkeypatch.setattr(Placer, "borrow", always_awake)

    async def calls() -> None:
        async with AsyncRuntime() as runtime:
            await runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=1)
            await runtime.invoke("warm", b"nothing")
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            before = ticks
            assert (await runtime.invoke("warm", b"slow")).ok
            ticking.cancel()

            assert ticks > before + 10
            (instance,) = [one for one in lean_of(runtime).instances("warm") if one.invocations > 1]
            assert instance.took_us >= BRIEF_US  # so it is not made room for either

    asyncio.run(calls())


@pytest.mark.parametrize("awake", [True, False])
def test_who_calls_again_and_again_lets_others_have_their_turn(
    handlers: Path, monkeypatch: pytest.MonkeyPatch, awake: bool
) -> None:
    """Answers that come before the loop is asked for them do not keep it from everything else."""
    if awake:
        monkeypatch.setattr(Placer, "borrow", always_awake)

    async def calls() -> None:
        async with AsyncRuntime() as runtime:
            await runtime.register("echo", code=handlers / "served", handler="index.echo")
            called: dict[str, int] = {"one": 0, "other": 0}

            async def call(who: str) -> None:
                while min(called.values()) < 100 and max(called.values()) < 1000:
                    await runtime.invoke("echo", b"%d" % called[who])
                    called[who] += 1

            await asyncio.gather(*map(call, called))

            assert max(called.values()) < 1000

    asyncio.run(calls())


@pytest.mark.parametrize("answer", [b"leaves_a_thread", b"raises", b"as_text"])
def test_who_is_cancelled_in_his_turn_loses_no_instance(
    handlers: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """Whatever has become of his call by then: an answer, one to be carried on, or a mere place."""
    monkeypatch.setattr(Placer, "borrow", always_awake)
    monkeypatch.setattr(lean, "AT_ONCE_IN_A_ROW", 1)

    async def cancelled(runtime: AsyncRuntime) -> None:
        task = asyncio.create_task(runtime.invoke("warm", answer, check=False))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def calls() -> None:
        async with AsyncRuntime() as runtime:
            await runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=1)
            for _ in range(8):
                await asyncio.wait_for(cancelled(runtime), 10.0)
                called = await asyncio.wait_for(runtime.invoke("warm", b"as_text"), 10.0)
                assert "ü" == called.text
            until(lambda: not runtime.stats()["functions"]["warm"]["serving"])

    asyncio.run(calls())


def test_whose_pid_is_not_known_yet_is_not_placed(
    handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the kernel nobody's pid is the caller's own: it must not be the one who is moved."""
    asked: list[int] = []

    def borrow(_placer: Placer, pid: int, **_: bool) -> None:
        asked.append(pid)

    monkeypatch.setattr(Placer, "borrow", borrow)
    with Runtime() as runtime:
        runtime._core.placer.enabled = True
        runtime.register("warm", code=handlers / "warm", max_instances=1)
        runtime.invoke("warm", b"nothing")
        (instance,) = runtime._core.pool("warm").roster.live_instances()
        pid, instance.channel.pid = instance.channel.pid, None
        try:
            assert "ü" == runtime.invoke("warm", b"as_text").text
            assert [] == asked
        finally:
            instance.channel.pid = pid
        runtime.invoke("warm", b"as_text")

        assert [pid] == asked
