"""Instants on the monotonic clock."""

import time

import pytest
from fc_runtime.deadline import Deadline
from hypothesis import given, strategies as st


@given(st.floats(0, 86_400))
def test_after_is_from_now_on(seconds: float) -> None:
    """A deadline is *seconds* ahead of the monotonic clock, to the nanosecond it was made in."""
    before = time.monotonic_ns()
    deadline = Deadline.after(seconds)
    after = time.monotonic_ns()

    assert before <= deadline.at_ns - int(seconds * 1e9) <= after


def test_it_passes_and_stays_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds left count down to zero, and no further; at the instant itself it has passed."""
    now = 5_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    deadline = Deadline.after(1.5)

    assert (1.5, False) == (deadline.left_s, deadline.passed)
    now += 1_499_999_999
    assert not deadline.passed
    assert 1e-9 == pytest.approx(deadline.left_s)
    now += 1
    assert (0.0, True) == (deadline.left_s, deadline.passed)
    now += 10**12
    assert (0.0, True) == (deadline.left_s, deadline.passed)


def test_the_wall_clock_does_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the clock changes nothing: only the monotonic one is read."""
    deadline = Deadline.after(1000)
    monkeypatch.setattr(time, "time", lambda: 2e9)

    assert not deadline.passed
    assert 999 < deadline.left_s <= 1000
