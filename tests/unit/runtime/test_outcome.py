"""What became of an invocation, as a value; and which exception it is for those who ask."""

import copy
import dataclasses
import json
import pickle
import signal
from typing import Any, get_args

import pytest
from fc_runtime import errors
from fc_runtime.errors import (
    FcRuntimeError,
    InvalidFunctionError,
    InvocationError,
    RefusedError,
    TaskEndedError,
)
from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Result,
    Returned,
    TimedOut,
    Usage,
    describe,
    error_for,
    name_of,
    name_of_kind,
)

MiB = 2**20
RAISED = Raised("ValueError", "no such key", "Traceback …")
OOM = OutOfMemory(64 * MiB, 65 * MiB, "measured by polling", "python[12]")


def result_of(outcome: Outcome, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "payload": b"{}",
        "outcome": outcome,
        "log": b"printed",
        "request_id": "1-2-3",
        "function": "hello",
        "duration_ms": 1.5,
        "init_duration_ms": None,
        "cold_start": False,
        "usage": Usage(user_s=0.1),
    }
    return Result(**{**values, **changes})


CASES: list[tuple[Outcome, str, str, type[InvocationError] | None]] = [
    (Returned(), "returned", "returned", None),
    (RAISED, "raised", "ValueError: no such key", errors.HandlerError),
    (Raised("KeyError", ""), "raised", "KeyError", errors.HandlerError),
    (
        ResponseRejected("TypeError", "not encodable"),
        "response_rejected",
        "TypeError: not encodable",
        errors.ResponseError,
    ),
    (TimedOut(3.0), "timed_out", "no result within 3 s", errors.TimedOutError),
    (TimedOut(0.25, "File …"), "timed_out", "no result within 0.25 s", errors.TimedOutError),
    (
        OOM,
        "out_of_memory",
        "65.0 MiB in use, limit 64 MiB (measured by polling, largest process python[12])",
        errors.OutOfMemoryError,
    ),
    (
        OutOfMemory(64 * MiB, 70 * MiB, "cgroup"),
        "out_of_memory",
        "70.0 MiB in use, limit 64 MiB (cgroup)",
        errors.OutOfMemoryError,
    ),
    (Crashed(exit_code=0), "crashed", "exited with code 0", errors.CrashedError),
    (Crashed(exit_code=3), "crashed", "exited with code 3", errors.CrashedError),
    (Crashed(signal=signal.SIGSEGV), "crashed", "killed by SIGSEGV", errors.CrashedError),
    (Crashed(signal=63), "crashed", "killed by signal 63", errors.CrashedError),
    (Crashed(), "crashed", "ended", errors.CrashedError),
    (Crashed(reason="lost"), "crashed", "ended (lost)", errors.CrashedError),
    (
        Crashed(1, reason="SystemExit: 1"),
        "crashed",
        "exited with code 1 (SystemExit: 1)",
        errors.CrashedError,
    ),
    (
        InitializationFailed(RAISED),
        "initialization_failed",
        "initialization failed: ValueError: no such key",
        errors.InitializationError,
    ),
    (
        InitializationFailed(Raised("ImportError", "")),
        "initialization_failed",
        "initialization failed: ImportError",
        errors.InitializationError,
    ),
    (
        InitializationFailed(TimedOut(30)),
        "initialization_failed",
        "initialization failed: no result within 30 s",
        errors.InitializationError,
    ),
    (
        InitializationFailed(Crashed(3)),
        "initialization_failed",
        "initialization failed: exited with code 3",
        errors.InitializationError,
    ),
    (
        InitializationFailed(OOM),
        "initialization_failed",
        f"initialization failed: {describe(OOM)}",
        errors.InitializationError,
    ),
]
OUTCOMES = [case[0] for case in CASES]


def test_every_outcome_has_a_case() -> None:
    """The table below forgets no class of the union."""
    assert set(get_args(Outcome)) == {type(outcome) for outcome in OUTCOMES}


@pytest.mark.parametrize(("outcome", "name", "line", "kind"), CASES, ids=repr)
def test_name_line_and_error(
    outcome: Outcome, name: str, line: str, kind: type[InvocationError] | None
) -> None:
    """Each outcome has a word for machines, a line for people, and an error that carries all."""
    result = result_of(outcome)
    error = error_for(result)

    assert name == name_of(outcome) == name_of_kind(type(outcome))
    assert line == describe(outcome)
    assert (kind is None) is result.ok is (error is None)
    if error is not None:
        assert kind is type(error)
        assert str(error).startswith(f"hello: {line}")
        assert result is error.result


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (RAISED, "Traceback …"),
        (InitializationFailed(RAISED), "Traceback …"),
        (TimedOut(1, "File x, line 3"), "it hung here:\nFile x, line 3"),
    ],
)
def test_the_message_shows_where_it_happened(outcome: Outcome, shown: str) -> None:
    """What a programmer needs first is in the message: the handler's traceback, or its stack."""
    error = error_for(result_of(outcome))

    assert str(error).endswith(shown)


def test_raise_for_outcome_hands_a_good_result_back() -> None:
    """Chained after a call it is the result, or its error."""
    good = result_of(Returned())

    assert good is good.raise_for_outcome()
    with pytest.raises(errors.TimedOutError, match="no result within 1 s") as caught:
        result_of(TimedOut(1)).raise_for_outcome()
    assert TimedOut(1) == caught.value.result.outcome


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", ""),
        ("grüß dich 你好".encode(), "grüß dich 你好"),
        (b"\xff\x00ok", "\\xff\x00ok"),
    ],
)
def test_text_never_fails(payload: bytes, text: str) -> None:
    """``text`` is the payload as UTF-8; what is not UTF-8 is escaped."""
    assert text == result_of(Returned(), payload=payload).text


def test_json_is_parsed_or_a_value_error() -> None:
    """``json()`` reads the payload; a payload that is no JSON is a ValueError, bytes or not."""
    assert {"a": [1, None]} == result_of(Returned(), payload=b'{"a": [1, null]}').json()
    for payload in (b"", b"plain", b"\xff\xfe\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 (the contract is the class)
            result_of(Returned(), payload=payload).json()


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (Raised("E", "m", "tb"), Raised("E", "m"), Raised("E", "n", "tb")),
        (TimedOut(1, "stack"), TimedOut(1), TimedOut(2, "stack")),
        (OutOfMemory(1, 2, "s", "p"), OutOfMemory(1), OutOfMemory(2, 2, "s", "p")),
        (Crashed(3, None, "why"), Crashed(3), Crashed(4, None, "why")),
        (Crashed(signal=9, reason="why"), Crashed(signal=9), Crashed(9)),
        (
            ResponseRejected("E", "m", "tb"),
            ResponseRejected("E", "m"),
            ResponseRejected("F", "m", "tb"),
        ),
        (
            InitializationFailed(Raised("E", "m", "tb")),
            InitializationFailed(Raised("E", "m")),
            InitializationFailed(Crashed(1)),
        ),
    ],
)
def test_what_happened_is_compared_not_what_was_measured(
    one: Outcome, same: Outcome, other: Outcome
) -> None:
    """Tracebacks, stacks, peaks and reasons tell two equal outcomes apart for people only."""
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != Returned()


def test_kinds_are_never_equal() -> None:
    """A handler that raised E is not a response rejected with E."""
    assert Raised("E", "m") != ResponseRejected("E", "m")


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_a_result_survives_a_pickle(outcome: Outcome) -> None:
    """Results and their errors cross process boundaries of the host whole, uncompared parts too."""
    result = result_of(outcome, init_duration_ms=3.25, cold_start=True)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):  # older ones know no slots
        twin = pickle.loads(pickle.dumps(result, protocol))

        assert repr(result) == repr(twin)
        assert result == twin
    assert result == copy.deepcopy(result)

    error = error_for(result)
    if error is not None:
        again = pickle.loads(pickle.dumps(error))
        assert type(error) is type(again)
        assert str(error) == str(again)
        assert repr(result) == repr(again.result)
        assert error.code == again.code


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_a_repr_tells_every_field(outcome: Outcome) -> None:
    """Nothing is hidden from whoever debugs: the repr of an outcome evaluates to its equal."""
    names = {kind.__name__: kind for kind in get_args(Outcome)}

    assert outcome == eval(repr(outcome).replace("<Signals.SIGSEGV: 11>", "11"), names)
    for field in dataclasses.fields(Result):
        assert f"{field.name}=" in repr(result_of(outcome))


def test_outcomes_are_frozen() -> None:
    """An outcome cannot be changed after the fact: one `Returned` serves all."""
    for value in OUTCOMES:
        for field in dataclasses.fields(value):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, field.name, None)


# -- the errors themselves ---------------------------------------------------------------------


def all_errors(root: type[FcRuntimeError] = FcRuntimeError) -> list[type[FcRuntimeError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in all_errors(child))]


def test_codes_are_stable() -> None:
    """Programs match on ``code``: it is part of the interface, as is who descends from whom."""
    assert {
        "FcRuntimeError": "fc",
        "RefusedError": "fc.refused",
        "FunctionNotFoundError": "fc.refused.function_not_found",
        "InvalidFunctionError": "fc.refused.invalid_function",
        "EventTooLargeError": "fc.refused.event_too_large",
        "OverloadedError": "fc.refused.overloaded",
        "RuntimeClosedError": "fc.refused.closed",
        "InvocationError": "fc.invocation",
        "HandlerError": "fc.invocation.handler",
        "InitializationError": "fc.invocation.initialization",
        "TimedOutError": "fc.invocation.timed_out",
        "OutOfMemoryError": "fc.invocation.out_of_memory",
        "CrashedError": "fc.invocation.crashed",
        "ResponseError": "fc.invocation.response",
        "InternalError": "fc.internal",
        "TaskExistsError": "fc.refused.task_exists",
        "TaskNotFoundError": "fc.refused.task_not_found",
        "TaskEndedError": "fc.task_ended",
        "StoreError": "fc.store",
    } == {kind.__name__: kind.code for kind in all_errors()}


def test_codes_are_unique_and_show_the_tree() -> None:
    """No two classes share a code, and a code begins with its parent's."""
    kinds = all_errors()

    assert len(kinds) == len({kind.code for kind in kinds})
    for kind in kinds[1:]:
        (parent,) = [base for base in kind.__bases__ if issubclass(base, FcRuntimeError)]
        assert kind.code.startswith(f"{parent.code}.")


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_the_tree_answers_may_i_retry(kind: type[FcRuntimeError]) -> None:
    """Refused or not is told by the class alone, and every class says in words what it is."""
    assert not (issubclass(kind, RefusedError) and issubclass(kind, InvocationError))
    assert kind.__doc__


@pytest.mark.parametrize(
    "kind", [kind for kind in all_errors() if kind is not InvalidFunctionError]
)
def test_errors_survive_a_pickle(kind: type[FcRuntimeError]) -> None:
    """Class, message and code, for every error that can be raised."""
    if issubclass(kind, InvocationError):
        error: FcRuntimeError = kind("why", result_of(Returned()))
    elif issubclass(kind, TaskEndedError):
        error = kind("why", "Stopped")
    else:
        error = kind("why")
    again = pickle.loads(pickle.dumps(error))

    assert (kind, "why", kind.code) == (type(again), str(again), again.code)


def test_an_invalid_function_names_field_value_and_mend() -> None:
    """The three are there to be read by programs, and survive a pickle; it is a ValueError too."""
    error = InvalidFunctionError("timeout", -1, "a positive number")
    for seen in (error, pickle.loads(pickle.dumps(error))):
        assert ("timeout", -1, "a positive number") == (seen.field, seen.value, seen.mend)
        assert "timeout=-1: a positive number" == str(seen)
    assert isinstance(error, ValueError)


def test_a_result_goes_into_json() -> None:
    """Numbers and texts of a result are plain: what a service would report needs no encoder."""
    result = result_of(TimedOut(1, "stack"))
    shown = dataclasses.asdict(result) | {"payload": result.text, "log": result.log.decode()}

    assert 1.5 == json.loads(json.dumps(shown))["duration_ms"]
