"""The life of an instance: every cell of the table, once here and once in the product."""

import itertools

import pytest
from fc_runtime.errors import InternalError
from fc_runtime.pool.lifecycle import TRANSITIONS, State, Trigger, advance

STARTING, IDLE, LEASED, STOPPING, DEAD = State
READY, READY_AND_HELD, LEASE, RELEASE, STOP, EXITED = Trigger

EXPECTED = {
    (STARTING, READY): IDLE,
    (STARTING, READY_AND_HELD): LEASED,
    (STARTING, LEASE): None,  # it has not said yet that it can serve
    (STARTING, RELEASE): None,
    (STARTING, STOP): STOPPING,
    (STARTING, EXITED): DEAD,
    (IDLE, READY): None,
    (IDLE, READY_AND_HELD): None,
    (IDLE, LEASE): LEASED,
    (IDLE, RELEASE): None,
    (IDLE, STOP): STOPPING,
    (IDLE, EXITED): DEAD,
    (LEASED, READY): None,
    (LEASED, READY_AND_HELD): None,
    (LEASED, LEASE): None,  # one invocation at a time
    (LEASED, RELEASE): IDLE,
    (LEASED, STOP): STOPPING,
    (LEASED, EXITED): DEAD,
    (STOPPING, READY): None,
    (STOPPING, READY_AND_HELD): None,
    (STOPPING, LEASE): None,  # nobody will lease it again
    (STOPPING, RELEASE): None,
    (STOPPING, STOP): STOPPING,  # whoever else wants it gone may say so
    (STOPPING, EXITED): DEAD,
    (DEAD, READY): None,
    (DEAD, READY_AND_HELD): None,
    (DEAD, LEASE): None,
    (DEAD, RELEASE): None,
    (DEAD, STOP): None,
    (DEAD, EXITED): None,  # it ends once
}


def test_the_expectation_is_total() -> None:
    """No cell is left out here, and no state in the product's table."""
    assert set(itertools.product(State, Trigger)) == set(EXPECTED)
    assert set(State) == set(TRANSITIONS)


@pytest.mark.parametrize(("state", "trigger"), EXPECTED, ids=lambda member: member.name)
def test_every_cell(state: State, trigger: Trigger) -> None:
    """Each trigger leads where the table says; where it has no way, that is a bug of ours."""
    expected = EXPECTED[state, trigger]
    if expected is None:
        with pytest.raises(InternalError, match=f"^{trigger.name} in {state.name}$"):
            advance(state, trigger)
    else:
        assert expected is advance(state, trigger)


def test_dead_is_the_only_end() -> None:
    """DEAD has no way out, and every other state has a way to it."""
    assert [DEAD] == [state for state, ways in TRANSITIONS.items() if not ways]
    for state in State:
        if state is not DEAD:
            assert DEAD is advance(state, EXITED)


def test_every_state_is_reached() -> None:
    """From STARTING one can come to every other state."""
    reached = {STARTING}
    todo = [STARTING]
    while todo:
        fresh = set(TRANSITIONS[todo.pop()].values()) - reached
        reached |= fresh
        todo += fresh

    assert set(State) == reached
