"""The pure parts of `fc_runtime.tasks`: states, back-off, shares, what is written as JSON."""

import pytest
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Returned,
    TimedOut,
)
from fc_runtime.tasks.policy import MOST_AHEAD, Backoff, Policy, ahead, shares
from fc_runtime.tasks.states import FINAL, FOLLOWING, Status, before
from fc_runtime.tasks.written import (
    MOST_TEXT_CHARS,
    event_line,
    events_from,
    outcome_from,
    outcome_text,
)
from hypothesis import given, strategies as st


def test_the_table_is_total() -> None:
    """Every state has its row; the final ones are left by hand only; all can be reached."""
    assert set(Status) == set(FOLLOWING)
    assert {Status.ENQUEUED} == set().union(*(FOLLOWING[status] for status in FINAL))
    assert set(Status) == set().union(*FOLLOWING.values())


def test_stopping_is_no_way_back() -> None:
    """One that was asked to stop is never queued again, nor retried."""
    assert FINAL >= FOLLOWING[Status.STOPPING]
    assert ["Dequeued", "Running"] == before(Status.STOPPING)


def test_backoff() -> None:
    """Twice as long each time, up to a limit; chance takes a fifth off at most."""
    backoff = Backoff(first=1.0, factor=2.0, most=300.0)

    assert [1, 2, 4, 8] == [backoff.after(tries, 0.0) for tries in (1, 2, 3, 4)]
    assert 300.0 == backoff.after(10_000, 0.0)
    assert 0.8 == backoff.after(1, 1.0)


@pytest.mark.parametrize("field", ["first", "factor", "most"])
def test_bad_backoffs(field: str) -> None:
    """No seconds at all are refused."""
    with pytest.raises(InvalidFunctionError, match=field):
        Backoff(**{field: 0.0})


@pytest.mark.parametrize("field", ["most_running", "delivery_tries", "lease", "beat", "poll"])
def test_bad_policies(field: str) -> None:
    """Nor places, tries or periods of nothing."""
    with pytest.raises(InvalidFunctionError, match=field):
        Policy(**{field: 0})  # type: ignore[arg-type]


def test_what_lies_ready() -> None:
    """Work of 50 ms for quick functions, none of slow ones or of those not known yet."""
    assert 0 == ahead(10, None)
    assert 0 == ahead(1, 1.0)
    assert 50 == ahead(10, 0.010)
    assert MOST_AHEAD == ahead(10, 0.0)


def test_shares_are_even() -> None:
    """What one has no room for, others get."""
    assert {"a": 1, "b": 4, "c": 5} == shares({"a": 1, "b": 4, "c": 9}, {}, 10, 0)
    assert {"a": 1, "b": 1} == shares({"a": 9, "b": 9, "c": 9}, {}, 2, 0)
    assert {} == shares({"a": 0}, {}, 9, 0)


def test_kept_places() -> None:
    """Are for those who have nothing, one each."""
    assert {"new": 1} == shares({"busy": 9, "new": 9}, {"busy": 6}, 2, 2)
    assert {"busy": 1, "new": 1} == shares({"busy": 9, "new": 9}, {"busy": 6}, 3, 2)


@given(
    st.dictionaries(st.text(max_size=2), st.integers(0, 20), max_size=8),
    st.integers(0, 60),
    st.integers(0, 20),
)
def test_shares_fit(rooms: dict[str, int], free: int, kept: int) -> None:
    """Nobody gets more than his room, nor all of them more than there is; nothing lies idle."""
    given_ = shares(rooms, {}, free, kept)

    assert all(0 < count <= rooms[name] for name, count in given_.items())
    assert sum(given_.values()) <= free
    if kept == 0:
        assert sum(given_.values()) == min(free, sum(rooms.values()))


OUTCOMES: list[Outcome] = [
    Returned(),
    Raised("ValueError", "no\0\ud800", "Traceback"),
    TimedOut(3.0, "stack"),
    OutOfMemory(1, 2, "cgroup2", "python[1]"),
    Crashed(None, 9, "why"),
    Crashed(3),
    ResponseRejected("TypeError", "bytes", ""),
    InitializationFailed(Raised("ImportError", "x", "y")),
    InitializationFailed(Crashed(1)),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_outcomes_come_back(outcome: Outcome) -> None:
    """What was written is read, all fields of it."""
    again = outcome_from(outcome_text(outcome))

    assert repr(outcome) == repr(again)
    assert outcome_text(outcome).isascii()


def test_outcomes_of_a_later_version() -> None:
    """One that is not known is none; a field that is not known is left out."""
    assert outcome_from(None) is None
    assert outcome_from('{"kind":"teleported"}') is None
    assert outcome_from('{"kind":"initialization_failed","cause":{"kind":"other"}}') is None
    assert Crashed(1) == outcome_from('{"kind":"crashed","exit_code":1,"colour":"red"}')


def test_long_texts_lose_their_beginning() -> None:
    """The end of a traceback says most."""
    long = "x" * MOST_TEXT_CHARS + "the end"
    kept = outcome_from(outcome_text(Raised("E", long)))

    assert isinstance(kept, Raised)
    assert MOST_TEXT_CHARS == len(kept.message)
    assert kept.message.endswith("the end")


@given(st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 2**53), st.text(max_size=50))))
def test_events_come_back(told: list[tuple[Status, int, str]]) -> None:
    """Line behind line, in order, whatever a detail holds."""
    text = "".join(event_line(*one) for one in told)

    assert told == [(event.status, event.at_ms, event.detail) for event in events_from(text)]
    assert list(range(1, len(told) + 1)) == [event.number for event in events_from(text)]
