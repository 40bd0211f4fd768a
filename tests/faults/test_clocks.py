"""
The wall clock jumps, forward and back, between calls and in the middle of one: deadlines, idle
times, back-offs and memory of failures go by the monotonic clock, so nobody notices.

No test sets the machine's clock: `Clock` stands in for ``time.time`` in this process, where the
runtime lives; in the worker the handler does that to itself.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import Credentials, InitializationFailed, Runtime, TimedOut
from support.callers import Caller
from support.faulty import Faulty
from support.processes import pid_of
from support.stage import Gate, Recorder, wait_gone

DAY_S = 86_400.0
LIMIT_S = 0.4
JUMPS = {"a day forward": DAY_S, "a day back": -DAY_S, "to the epoch": -1.7e9}


class Clock:
    """``time.time`` and ``time.time_ns``, set by a test; how often it was asked is in `asked`."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.asked = 0
        self._time = time.time

    def time(self) -> float:
        self.asked += 1
        return self._time() + self.ahead_s

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The wall clock of this process."""
    made = Clock()
    monkeypatch.setattr(time, "time", made.time)
    monkeypatch.setattr(time, "time_ns", made.time_ns)
    return made


@pytest.fixture(params=list(JUMPS))
def jump_s(request: pytest.FixtureRequest) -> float:
    return JUMPS[request.param]


@pytest.fixture
def faulty(caller: Caller, gate: Gate, handlers: Path, clock: Clock) -> Callable[..., Faulty]:
    def register(phase: str = "", fault: str = "", **options: float) -> Faulty:
        return Faulty(caller, gate, phase, fault, code=handlers / "faulty", **options)

    return register


def test_between_calls(faulty: Callable[..., Faulty], clock: Clock, jump_s: float) -> None:
    """Warm calls go on, on the same instance, and a cold one starts."""
    function = faulty()
    pid = pid_of(function.serves_again().json()["pid"])
    clock.ahead_s = jump_s

    assert pid == pid_of(function.serves_again().json()["pid"])
    function.caller.warm("faulty", 2)
    clock.ahead_s = 0.0
    assert function.serves_again().ok
    assert clock.asked  # or this would test nothing


def test_in_the_middle_of_a_call(
    faulty: Callable[..., Faulty], clock: Clock, gate: Gate, jump_s: float
) -> None:
    """It has the time that it was given, no more and no less, and says how long it took."""
    function = faulty()
    function.serves_again()
    began = time.monotonic()
    future = function.caller.submit("faulty", function.order("running", fault="wait"))
    gate.entered()
    clock.ahead_s = jump_s
    gate.let()
    result = future.result(LIMIT_S * 10)

    assert function.answers(result)
    assert 0 <= result.duration_ms / 1000 <= time.monotonic() - began
    function.serves_again()


def test_in_the_middle_of_a_call_that_times_out(
    faulty: Callable[..., Faulty], clock: Clock, gate: Gate, jump_s: float
) -> None:
    """Neither at once nor never: after its timeout."""
    function = faulty()
    function.serves_again()
    began = time.monotonic()
    future = function.caller.submit(
        "faulty", function.order("running", fault="wait"), timeout=LIMIT_S, check=False
    )
    gate.entered()
    clock.ahead_s = jump_s
    outcome = future.result(LIMIT_S * 10).outcome
    took_s = time.monotonic() - began

    assert TimedOut(LIMIT_S) == outcome
    assert LIMIT_S <= took_s < LIMIT_S * 5
    function.serves_again()


def test_in_the_middle_of_a_start(
    faulty: Callable[..., Faulty], clock: Clock, gate: Gate, jump_s: float
) -> None:
    """initialization_timeout, too; and the back-off after it is over when it is."""
    function = faulty("initializer", "wait", initialization_timeout=LIMIT_S)
    began = time.monotonic()
    future = function.caller.submit("faulty", function.order(), check=False)
    gate.entered()
    clock.ahead_s = jump_s
    outcome = future.result(LIMIT_S * 10).outcome

    assert InitializationFailed(TimedOut(LIMIT_S)) == outcome
    assert time.monotonic() - began >= LIMIT_S
    function.switch.unlink()
    clock.ahead_s = -jump_s
    function.serves_again(at_once=False)


def test_idle_instances_go_in_their_time(
    faulty: Callable[..., Faulty], clock: Clock, log: Recorder, jump_s: float
) -> None:
    """idle_timeout is neither cut short nor drawn out."""
    function = faulty(idle_timeout=LIMIT_S)
    pid = pid_of(function.serves_again().json()["pid"])
    used = time.monotonic()
    clock.ahead_s = jump_s
    exited = log.wait_for("instance.exited", cause="idle", within_s=LIMIT_S * 10)[0]

    assert exited["at"] - used >= LIMIT_S * 0.9  # it was used a moment before that
    assert wait_gone(pid)
    function.serves_again()


def test_idle_instances_stay_for_their_time(
    faulty: Callable[..., Faulty], clock: Clock, log: Recorder
) -> None:
    """A day that the wall clock skips is none: with another timer gone off, it is still there."""
    function = faulty(idle_timeout=DAY_S / 2)
    pid = pid_of(function.serves_again().json()["pid"])
    clock.ahead_s = DAY_S
    function.caller.register("other", code=function.gate.folder.parent, **OTHER)
    function.caller.invoke("other")
    log.wait_for("instance.exited", cause="idle", function="other")

    assert pid == pid_of(function.serves_again().json()["pid"])


OTHER = {"idle_timeout": 0.1, "handler": "other.handler"}


@pytest.fixture(autouse=True)
def other(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def handler(event, context):\n    return 'other'\n")


def test_time_left_in_the_handler(isolation: str, tmp_path: Path) -> None:
    """``context.get_remaining_time_in_millis`` is not moved by a handler's own wall clock."""
    (tmp_path / "index.py").write_text(
        "import time\n"
        "def handler(event, context):\n"
        "    there = time.time\n"
        "    time.time = lambda: there() + float(event)\n"
        "    try:\n"
        "        return context.get_remaining_time_in_millis()\n"
        "    finally:\n"
        "        time.time = there\n"
    )
    with Runtime(isolation=isolation) as runtime:
        runtime.register("left", code=tmp_path, timeout=20.0)
        left = [runtime.invoke("left", str(jump_s)).json() for jump_s in JUMPS.values()]

    assert all(10_000 < one <= 20_000 for one in left)


# -- credentials: what they say of their end is wall-clock time --------------------------------


def given(clock: Clock, lasting_s: float) -> tuple[list[float], Callable[[], Credentials]]:
    """When it was asked, by the wall clock; and what to ask."""
    asked: list[float] = []

    def ask() -> Credentials:
        asked.append(clock.time())
        return Credentials(
            access_key_id=f"id-{len(asked)}",
            access_key_secret="secret",
            expires_at=clock.time() + lasting_s,
        )

    return asked, ask


def test_credentials_are_renewed_by_the_wall_clock(
    isolation: str, handlers: Path, clock: Clock
) -> None:
    """
    Their issuer counts in wall-clock time: after a jump forward they are past their end, and are
    asked for again; after a jump back those from the future are used on. No call fails.
    """
    asked, ask = given(clock, 3600.0)
    with Runtime(isolation=isolation) as runtime:
        runtime.register("seen", code=handlers / "credentials_seen", credentials=ask)
        runtime.invoke("seen")
        runtime.invoke("seen")
        assert 1 == len(asked)

        clock.ahead_s = DAY_S
        assert runtime.invoke("seen").ok
        assert runtime.invoke("seen").ok
        assert 2 == len(asked)

        clock.ahead_s = 0.0
        assert runtime.invoke("seen").ok
        assert 2 == len(asked)


def test_request_ids_differ_whatever_the_clock_says(
    faulty: Callable[..., Faulty], clock: Clock
) -> None:
    """The second in which a call began comes twice; no id does."""
    function = faulty()
    ids = []
    for ahead_s in (0.0, 0.0, DAY_S, DAY_S, 0.0, -DAY_S, 0.0):
        clock.ahead_s = ahead_s
        ids.append(function.serves_again().request_id)

    assert len(set(ids)) == len(ids)
