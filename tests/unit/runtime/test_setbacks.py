"""What is remembered of starts that went wrong, and how each memory ends."""

import pytest
from fc_runtime.errors import OverloadedError
from fc_runtime.outcome import Crashed, InitializationFailed, Outcome, Raised, Result, Usage
from fc_runtime.pool.policy import RestartPolicy
from fc_runtime.pool.setbacks import Setbacks

SECOND_NS = 10**9
NOW_NS = 1_000 * SECOND_NS
POLICY = RestartPolicy(first_s=1.0, factor=2.0, most_s=8.0)
RAISED = InitializationFailed(Raised("ImportError", "no module named numpy"))
KILLED = InitializationFailed(Crashed(signal=9))
LEFT = InitializationFailed(Crashed(exit_code=3))


def result(outcome: Outcome) -> Result:
    return Result(b"", outcome, b"", "id", "f", 1.0, None, True, Usage())


@pytest.fixture
def setbacks() -> Setbacks:
    return Setbacks(POLICY)


def test_at_first_nothing_is_wrong(setbacks: Setbacks) -> None:
    """Nothing to wait for, nothing to be answered with, nothing to tell."""
    assert 0.0 == setbacks.delay_s
    assert setbacks.known_failure(NOW_NS) is None
    assert setbacks.trouble_since(0) is None


def test_a_failure_is_known_until_it_is_time_to_try_again(setbacks: Setbacks) -> None:
    """Callers are answered from memory for the delay of the policy, and not a moment longer."""
    failure = result(RAISED)
    setbacks.note_failure(failure, NOW_NS)

    assert 1.0 == setbacks.delay_s
    assert failure is setbacks.known_failure(NOW_NS + SECOND_NS - 1)
    assert setbacks.known_failure(NOW_NS + SECOND_NS) is None


def test_each_failure_in_a_row_doubles_the_wait(setbacks: Setbacks) -> None:
    """A start that fails when it was time to try again makes the next wait longer."""
    setbacks.note_failure(result(RAISED), NOW_NS)
    again_ns = NOW_NS + SECOND_NS
    second = result(RAISED)
    setbacks.note_failure(second, again_ns)

    assert 2.0 == setbacks.delay_s
    assert second is setbacks.known_failure(again_ns + 2 * SECOND_NS - 1)
    assert setbacks.known_failure(again_ns + 2 * SECOND_NS) is None


def test_a_burst_counts_once(setbacks: Setbacks) -> None:
    """Starts begun together with one that failed neither lengthen the wait nor put it off."""
    last = result(RAISED)
    setbacks.note_failure(result(RAISED), NOW_NS)
    setbacks.note_failure(last, NOW_NS + SECOND_NS // 2)

    assert 1 == setbacks.in_a_row
    assert last is setbacks.known_failure(NOW_NS + SECOND_NS - 1)
    assert setbacks.known_failure(NOW_NS + SECOND_NS) is None


def test_one_death_by_a_signal_is_not_held_against_the_function(setbacks: Setbacks) -> None:
    """Somebody outside may have sent it: other callers may try at once. A second one counts."""
    setbacks.note_failure(result(KILLED), NOW_NS)

    assert 1 == setbacks.in_a_row
    assert setbacks.known_failure(NOW_NS) is None

    again = result(KILLED)
    setbacks.note_failure(again, NOW_NS)

    assert 2 == setbacks.in_a_row
    assert again is setbacks.known_failure(NOW_NS)


def test_leaving_by_itself_is_a_failure_at_once(setbacks: Setbacks) -> None:
    """An exit code is the function's own doing."""
    failure = result(LEFT)
    setbacks.note_failure(failure, NOW_NS)

    assert failure is setbacks.known_failure(NOW_NS)


@pytest.mark.parametrize("outcome", [Crashed(exit_code=1), Raised("ValueError", "")])
def test_what_failed_later_says_nothing_of_starts(setbacks: Setbacks, outcome: Outcome) -> None:
    """Only a failure to initialize is remembered: the handler is the caller's business."""
    setbacks.note_failure(result(outcome), NOW_NS)

    assert 0 == setbacks.in_a_row
    assert setbacks.known_failure(NOW_NS) is None


def test_a_death_in_idleness_delays_the_next_start(setbacks: Setbacks) -> None:
    """But it is nothing to answer callers with."""
    setbacks.note_death(7)

    assert 1.0 == setbacks.delay_s
    assert setbacks.known_failure(NOW_NS) is None


def test_a_standby_that_failed_is_trouble_and_failure(setbacks: Setbacks) -> None:
    """Who waits to be warm is told, and so is who calls."""
    failure = result(RAISED)
    setbacks.note_trouble(failure, NOW_NS)

    assert 1 == setbacks.in_a_row
    assert failure is setbacks.trouble_since(0)
    assert failure is setbacks.known_failure(NOW_NS)


def test_a_standby_that_could_not_be_tried_is_trouble_only(setbacks: Setbacks) -> None:
    """A host without room delays the next start, but a caller may find room."""
    obstacle = OverloadedError("no room")
    setbacks.note_trouble(obstacle, NOW_NS)

    assert 1 == setbacks.in_a_row
    assert obstacle is setbacks.trouble_since(0)
    assert setbacks.known_failure(NOW_NS) is None


def test_old_trouble_is_not_told(setbacks: Setbacks) -> None:
    """Who begins to wait now hears of what goes wrong from now on: the last of it."""
    setbacks.note_trouble(OverloadedError("no room"), NOW_NS)
    before = setbacks.troubles

    assert setbacks.trouble_since(before) is None

    last = OverloadedError("no room either")
    setbacks.note_trouble(last, NOW_NS)

    assert last is setbacks.trouble_since(before)


def test_a_standby_that_is_up_ends_the_failure_but_not_the_delay(setbacks: Setbacks) -> None:
    """Callers are served again; as a success it counts only once it has served."""
    setbacks.note_failure(result(RAISED), NOW_NS)
    setbacks.note_standby()

    assert setbacks.known_failure(NOW_NS) is None
    assert 1.0 == setbacks.delay_s


def test_a_start_for_a_caller_ends_both(setbacks: Setbacks) -> None:
    """It is up, and serves."""
    setbacks.note_failure(result(RAISED), NOW_NS)
    setbacks.note_start()

    assert setbacks.known_failure(NOW_NS) is None
    assert 0.0 == setbacks.delay_s


def test_serving_ends_the_delay_but_not_the_failure(setbacks: Setbacks) -> None:
    """What an older instance can do proves nothing of the next start (the pool's `release`)."""
    failure = result(RAISED)
    setbacks.note_failure(failure, NOW_NS)
    setbacks.in_a_row = 0

    assert 0.0 == setbacks.delay_s
    assert failure is setbacks.known_failure(NOW_NS)
