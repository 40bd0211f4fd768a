"""
The life of an instance, as a table to check with a finger. Facts only: what is wanted of an
instance (keep it, replace it) is the pool's business.

    STARTING  forked, or about to be; owes READY
    IDLE      ready, on the pool's stack
    LEASED    one caller holds it
    STOPPING  told or made to end; nobody will lease it again
    DEAD      its process tree is gone
"""

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import Final

from fc_runtime.errors import InternalError


class State(IntEnum):  # hashed on every lease: an int's hash is C, an Enum's is not
    STARTING = auto()
    IDLE = auto()
    LEASED = auto()
    STOPPING = auto()
    DEAD = auto()


class Trigger(IntEnum):
    READY = auto()
    READY_AND_HELD = auto()  # by the caller for whom it was started: one step, not to be torn
    LEASE = auto()
    RELEASE = auto()
    STOP = auto()
    EXITED = auto()


# For every call's way: up to CPython 3.11 an Enum's member takes 0.3 µs to be found.
LEASE: Final = Trigger.LEASE
RELEASE: Final = Trigger.RELEASE

TRANSITIONS: Final[Mapping[State, Mapping[Trigger, State]]] = {
    State.STARTING: {
        Trigger.READY: State.IDLE,
        Trigger.READY_AND_HELD: State.LEASED,
        Trigger.STOP: State.STOPPING,
        Trigger.EXITED: State.DEAD,
    },
    State.IDLE: {
        Trigger.LEASE: State.LEASED,
        Trigger.STOP: State.STOPPING,
        Trigger.EXITED: State.DEAD,
    },
    State.LEASED: {
        Trigger.RELEASE: State.IDLE,
        Trigger.STOP: State.STOPPING,
        Trigger.EXITED: State.DEAD,
    },
    State.STOPPING: {
        Trigger.STOP: State.STOPPING,
        Trigger.EXITED: State.DEAD,
    },
    State.DEAD: {},
}


def advance(state: State, trigger: Trigger) -> State:
    """Where *trigger* leads from *state*. Raises InternalError where the table has no way."""
    try:
        return TRANSITIONS[state][trigger]
    except KeyError:
        raise InternalError(f"{trigger.name} in {state.name}") from None
