"""
Large events and results do not go through the pipes but through memory that both sides share, a
piece at a time (ADR 15): the same bytes arrive, the same limits hold, and nothing grows.
"""

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import ResponseRejected, TimedOut
from fc_worker.lane import PIECE_BYTES
from fc_worker.wire import ASIDE_BYTES
from support.callers import Caller, Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]
OpenCaller = Callable[..., Caller]

MiB = 2**20
CALLS = 1000
WARM_UP = 20
SPARE_BYTES = 6 * MiB  # by which a process may differ from itself, 1,000 calls later


def noise(size: int) -> bytes:
    """No two pieces of it are alike: one lost, doubled or in another's place shows."""
    return random.Random(size).randbytes(size)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "size",
    [
        ASIDE_BYTES - 1,
        ASIDE_BYTES,
        PIECE_BYTES - 1,
        PIECE_BYTES,
        PIECE_BYTES + 1,
        2 * PIECE_BYTES,
        3 * PIECE_BYTES - 1,
        6 * MiB,
    ],
)
def test_sizes_around_every_piece(deploy: Deploy, size: int) -> None:
    """Around the threshold and the ends of pieces, there and back, cold and warm."""
    function = deploy("events", "index.echo")
    event = noise(size)

    for _ in range(3):
        assert event == function(event).payload


def test_32_mebibytes(deploy: Deploy) -> None:
    """FC's own limit (spec 12), there and back."""
    function = deploy("events", "index.echo", timeout=60.0, memory_mb=256)
    event = noise(32 * MiB)

    for _ in range(2):
        assert event == function(event).payload


def test_each_way_by_itself(deploy: Deploy) -> None:
    """A large event with a small answer, and a small event with a large answer."""
    digest = deploy("events", "index.described")
    large = deploy("events", "index.of_size")

    for size in (ASIDE_BYTES, 6 * MiB):
        assert ["bytes", size] == digest(noise(size)).json()[:2]
        assert b"x" * size == large(str(size)).payload


def test_large_bodies_are_not_in_the_pipes(deploy: Deploy) -> None:
    """By the kernel's own account of what a worker reads and writes: not a tenth of the bytes."""
    function = deploy("events", "index.through_files", max_instances=1)
    before = function().json()

    first = function(bytes(6 * MiB)).json()
    second = function().json()

    assert first[0] - before[0] < 6 * MiB // 10
    assert second[1] - before[1] < 6 * MiB // 10


def test_the_threshold_holds_both_ways(deploy: Deploy) -> None:
    """One byte less than the threshold is in the pipes, read and written."""
    function = deploy("events", "index.through_files", max_instances=1)
    before = function().json()

    function(bytes(ASIDE_BYTES - 1))
    after = function().json()

    assert after[0] - before[0] >= ASIDE_BYTES - 1
    assert after[1] - before[1] >= ASIDE_BYTES - 1


@pytest.mark.parametrize("limit", [ASIDE_BYTES, 2 * MiB + 1])
def test_limit_of_responses(deploy: Deploy, open_caller: OpenCaller, limit: int) -> None:
    """Exactly ``max_response_bytes`` is answered, one more is refused, and the instance serves."""
    function = deploy("events", "index.of_size", on=open_caller(max_response_bytes=limit))

    assert limit == len(function(str(limit)).payload)
    assert isinstance(function.fail(str(limit + 1)).outcome, ResponseRejected)
    assert limit == len(function(str(limit)).payload)


def test_no_file_of_the_functions_own_limits_it(deploy: Deploy) -> None:
    """A function that may write no file of more than two megabytes answers with six."""
    function = deploy("events", "index.of_size", scratch_mb=1)

    assert 6 * MiB == len(function(str(6 * MiB)).payload)


def test_memory_is_flat_over_a_thousand(deploy: Deploy) -> None:
    """
    1,000 calls of more than one piece each way: neither this process nor the worker has grown,
    and no descriptor is left.
    """
    function = deploy("events", "index.echo_and_size", max_instances=1, timeout=60.0)
    event = noise(PIECE_BYTES + 1)

    def call() -> int:
        payload = function(event).payload
        assert payload.endswith(event[-100:])
        return int.from_bytes(payload[:8], "little")

    for _ in range(WARM_UP):
        theirs = call()
    gc.collect()
    ours, descriptors = resident_bytes(), len(os.listdir("/proc/self/fd"))
    for _ in range(CALLS):
        theirs_after = call()

    assert resident_bytes() - ours < SPARE_BYTES
    assert theirs_after - theirs < SPARE_BYTES
    # One for looking who else is there is opened by the first call that takes a moment.
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


def test_a_fresh_process_for_every_call(deploy: Deploy) -> None:
    """Every first call of an instance is as good as any."""
    function = deploy("events", "index.echo", max_invocations=1)
    event = noise(2 * MiB + 1)

    for _ in range(3):
        assert event == function(event).payload


def test_callers_do_not_meet(deploy: Deploy) -> None:
    """Two instances under eight callers: everybody gets his own bytes back."""
    function = deploy("events", "index.echo", max_instances=2, timeout=60.0)
    events = [noise(ASIDE_BYTES + 300_000 * number) for number in range(8)] * 4

    futures = [function.caller.submit(function.name, event) for event in events]

    for event, future in zip(events, futures, strict=True):
        assert event == future.result().payload


def test_a_copy_of_the_worker_has_no_part_in_it(deploy: Deploy) -> None:
    """A handler that forks, and returns a large result twice, is answered by the original."""
    function = deploy("events", "index.forked_and_echoed", timeout=60.0)
    event = noise(3 * MiB)

    for _ in range(2):
        assert event == function(event).payload


def test_a_worker_that_could_not_be_forked(deploy: Deploy) -> None:
    """One that was exec'd, as a preload has started a thread, shares memory all the same."""
    function = deploy("noisy_thread", "index.echo", preload=["starts_a_thread"])
    event = noise(3 * MiB)

    for _ in range(2):
        assert event == function(event).payload


def test_a_deadline_after_a_large_event(deploy: Deploy) -> None:
    """A handler that hangs on a large event is ended in time, and the next is served."""
    function = deploy("events", "index.hanging_if_large", timeout=0.3)

    assert TimedOut(limit_s=0.3) == function.fail(bytes(6 * MiB)).outcome
    assert b"well" == function(b"well").payload
