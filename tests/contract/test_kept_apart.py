"""
Workers that wait apart from the threads that queue for them: nothing of it is to be seen by a
handler, and none of them is left there where it would have to wait for its turn.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fc_runtime import Runtime
from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.crowd import Crowd
from fc_worker import wire
from support.faulty import is_stopped_or_gone
from support.stage import until

CALLERS = 8
CPUS = os.sched_getaffinity(0)
AS_SEEN = str(sorted(CPUS))
with_two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="on one CPU nobody is kept apart")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The flags of all frames that were written for a caller in the queue."""
    flags: set[int] = set()
    part = Crowd.part

    def spy(self: Crowd, channel: Channel) -> int:
        flags.add(said := part(self, channel))
        return said

    monkeypatch.setattr(Crowd, "part", spy)
    return flags


def crowd(runtime: Runtime, cases: list[bytes]) -> list[str]:
    """What came of *cases*, asked for by more callers than there are workers."""

    def call(case: bytes) -> str:
        result = runtime.invoke("warm", case, check=False)
        return result.text if result.ok else type(result.outcome).__name__

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(call, cases))


@pytest.mark.parametrize("placement", [True, False])
def test_handlers_see_all_cpus(handlers: Path, told: set[int], placement: bool) -> None:
    """
    They, and what they start, in every call. With a call in between that takes long, one that dies,
    and one that nobody queued for.
    """
    with Runtime(placement=placement) as runtime:
        runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=2)
        cases = [b"cpus", b"cpus", b"cpus", b"as_text"] * 500
        cases[700:700] = [b"cpus_of_a_child", b"slow", b"dies", b"leaves_a_thread"] * 3
        results = crowd(runtime, cases)
        alone = runtime.invoke("warm", b"cpus")

    seen: dict[bytes, set[str]] = {}
    for case, result in zip(cases, results, strict=True):
        seen.setdefault(case, set()).add(result)
    assert {AS_SEEN} == seen[b"cpus"] == seen[b"cpus_of_a_child"] == {alone.text}
    assert {"Crashed"} == seen[b"dies"]
    if placement and len(CPUS) > 1:
        assert {wire.KEEP_APART, wire.KEEP_APART | wire.LIFT_AFFINITY} <= told
    else:
        assert told <= {0}
    assert os.sched_getaffinity(0) == CPUS


@with_two_cpus
@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_between_what_is_lent_and_the_frame(
    handlers: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    """Of the caller who hands over: the next one's handler sees all CPUs all the same."""
    part = Crowd.part
    left = 50

    def interrupted(self: Crowd, channel: Channel) -> int:
        nonlocal left
        flags = part(self, channel)
        if flags & wire.LIFT_AFFINITY and left:
            left -= 1
            raise stop
        return flags

    monkeypatch.setattr(Crowd, "part", interrupted)
    with Runtime() as runtime, ThreadPoolExecutor(CALLERS) as threads:
        runtime.register("warm", code=handlers / "warm", timeout=10.0, max_instances=2)
        runtime._core.placer.borrow = lambda *_, **__: None  # else it is lent another at once
        calls = [threads.submit(runtime.invoke, "warm", b"cpus") for _ in range(2000)]
        failures = [error for call in calls if (error := call.exception(timeout=60))]

        assert not left
        assert {stop} >= set(map(type, failures))
        assert {AS_SEEN} == {call.result().text for call in calls if not call.exception()}


@with_two_cpus
def test_who_does_not_get_to_its_event_is_let_go(handlers: Path) -> None:
    """Waiting apart on a CPU that has no time for it: by whoever calls next, in a millisecond."""
    with Runtime() as runtime, ThreadPoolExecutor(1) as threads:
        runtime.register("warm", code=handlers / "warm", timeout=60.0, max_instances=2)
        runtime._core.placer.borrow = lambda *_, **__: None  # left to the scheduler
        until(partial(leaves_the_next_one_apart, runtime), within_s=60.0)
        pid = next_pid(runtime)

        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: is_stopped_or_gone(pid))
            answer = threads.submit(runtime.invoke, "warm", b"cpus")
            until(lambda: os.sched_getaffinity(pid) == CPUS)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert answer.result(timeout=60).text == AS_SEEN


def next_pid(runtime: Runtime) -> int:
    """Of the worker that the next call will be given."""
    pid = runtime._core.pool("warm").roster.idle[-1].channel.pid
    assert pid is not None
    return pid


def leaves_the_next_one_apart(runtime: Runtime) -> bool:
    crowd(runtime, [b"as_text"] * 200)
    return os.sched_getaffinity(next_pid(runtime)) != CPUS
