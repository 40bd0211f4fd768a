"""What a handler raises, and what the caller gets for it (spec 1.11, 1.14, 5.A, 5.B, 6.2)."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import (
    Crashed,
    CrashedError,
    HandlerError,
    InvocationError,
    OutOfMemoryError,
    Raised,
    RefusedError,
)
from support.callers import Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]


def line_of(source: Path, text: str) -> int:
    """The number of the first line of *source* that holds *text*."""
    return next(n for n, line in enumerate(source.read_text().splitlines(), 1) if text in line)


def test_error_body_is_function_computes(deploy: Deploy, handlers: Path) -> None:
    """
    The payload of a failure is FC's error body to the letter: indent four, keys sorted, one array
    for each frame of the handler's and none of the runtime's (spec 5.A).
    """
    index = handlers / "failing" / "index.py"
    raising = "raise Exception('something is wrong')"

    result = deploy("failing", "index.plain").fail()

    expected = {
        "errorMessage": "something is wrong",
        "errorType": "Exception",
        "stackTrace": [
            [f'File "{index}"', f"line {line_of(index, raising)}", "in plain", raising],
        ],
    }
    assert json.dumps(expected, indent=4, sort_keys=True).encode() == result.payload
    assert Raised("Exception", "something is wrong") == result.outcome


def test_stack_trace_has_a_row_for_every_frame_of_the_handler(deploy: Deploy) -> None:
    """Outermost first, the raising one last (spec 5.A)."""
    body = deploy("failing", "index.nested").fail().json()

    assert ["in nested", "in helper"] == [row[2] for row in body["stackTrace"]]
    assert ["return helper(0)", "return 1 / value"] == [row[3] for row in body["stackTrace"]]


def test_raised_exception_becomes_handler_error(deploy: Deploy) -> None:
    """`invoke` raises HandlerError, whose text names type, message and place; `.result` has all."""
    with pytest.raises(HandlerError) as caught:
        deploy("failing", "index.custom")()

    text = str(caught.value)
    assert "CustomError: of my own" in text
    assert "index.py" in text
    assert "in custom" in text
    assert "fc_worker" not in text
    assert "fc.invocation.handler" == caught.value.code
    assert isinstance(caught.value, InvocationError)
    assert not isinstance(caught.value, RefusedError)
    outcome = caught.value.result.outcome
    assert isinstance(outcome, Raised)
    assert "CustomError" == outcome.error_type  # the class alone, without its module
    assert 'raise CustomError("of my own")' in outcome.traceback


def test_handler_error_can_be_pickled(deploy: Deploy) -> None:
    """An error may cross to another process of the host's, result and all."""
    with pytest.raises(HandlerError) as caught:
        deploy("failing", "index.plain")()

    copy = pickle.loads(pickle.dumps(caught.value))

    assert str(caught.value) == str(copy)
    assert caught.value.result == copy.result


@pytest.mark.parametrize("check", [True, False])
def test_instance_survives_an_exception(deploy: Deploy, check: bool) -> None:
    """An exception is an answer like any other: the instance serves the next event."""
    function = deploy("failing", "index.dispatch")
    function("well")

    if check:
        with pytest.raises(HandlerError):
            function("plain")
    else:
        assert not function.fail("plain").ok

    again = function("well")
    assert b"well" == again.payload
    assert not again.cold_start


def test_error_is_logged_before_it_is_answered(deploy: Deploy) -> None:
    """The log has what was printed, then the error body at ERROR (spec 6.2)."""
    result = deploy("failing", "index.printing").fail()

    first, second = result.log.split(b"\n", 1)
    assert b"before the fall" == first
    head, _, body = second.partition(b" [ERROR] ")
    assert head.endswith(result.request_id.encode())
    assert result.payload + b"\n" == body


@pytest.mark.parametrize(
    "sabotage",
    [
        "logging.Handler.handle = None",
        "logging.Formatter.format = None",
        "logging.getLogger = None",
        "logging.Logger.error = lambda *_: sys.exit(3)",
        "logging.root.addFilter(lambda _: sys.exit(3))",
        "logging.root = logging.Logger.manager = sys.stdout = sys.stderr = None",
        "json.dumps = json.JSONEncoder.encode = None",
    ],
)
def test_error_is_answered_even_if_it_cannot_be_logged(deploy: Deploy, sabotage: str) -> None:
    """Logging, and what else of the process is the handler's to break, is not needed to answer."""
    result = deploy("failing", "index.sabotaging").fail(sabotage)

    assert isinstance(result.outcome, Raised)
    assert ("ValueError", "fell") == (result.outcome.error_type, result.outcome.message)
    assert result.log.startswith(b"before the fall\n")
    assert b"errorMessage" in result.log


@pytest.mark.parametrize(
    ("function", "error_type", "message"),
    [
        ("mute", "MuteError", "<str() of MuteError failed>"),
        ("group", "ExceptionGroup", "two of them (2 sub-exceptions)"),
        ("recursive", "RecursionError", "maximum recursion depth exceeded"),
        ("surrogate", "ValueError", "half a pair: "),
        ("long", "ValueError", "x" * 1000),
    ],
)
def test_awkward_exceptions_are_answered_all_the_same(
    deploy: Deploy, function: str, error_type: str, message: str
) -> None:
    """An exception that has no text, no end, or no encoding is still told, within bounds."""
    result = deploy("failing", f"index.{function}").fail()

    assert isinstance(result.outcome, Raised)
    assert error_type == result.outcome.error_type
    assert result.outcome.message.startswith(message)
    assert error_type == result.json()["errorType"]
    assert len(result.payload) < 200_000


def test_body_ignores_the_cause_and_the_error_tells_it(deploy: Deploy) -> None:
    """FC's body knows one exception (spec 5.A); the HandlerError shows people the whole chain."""
    with pytest.raises(HandlerError, match="direct cause of the following") as caught:
        deploy("failing", "index.caused")()

    assert "ZeroDivisionError: division by zero" in str(caught.value)
    body = caught.value.result.json()
    assert ("ValueError", "the second") == (body["errorType"], body["errorMessage"])
    assert b"ZeroDivisionError" not in caught.value.result.payload


def test_wrong_number_of_arguments_has_no_stack_trace(deploy: Deploy) -> None:
    """The only frame is the runtime's, so there is none to show (spec 1.14)."""
    body = deploy("failing", "index.no_arguments").fail().json()

    assert {
        "errorType": "TypeError",
        "errorMessage": "no_arguments() takes 0 positional arguments but 2 were given",
    } == body


def test_handler_that_is_not_callable_fails_when_called(deploy: Deploy) -> None:
    """Nobody asks beforehand: calling it says so (spec 1.A, last row)."""
    body = deploy("failing", "index.not_callable").fail().json()

    assert {"errorType": "TypeError", "errorMessage": "'int' object is not callable"} == body


@pytest.mark.parametrize(
    ("function", "event", "exit_code", "named"),
    [
        ("system_exit", "", 0, "SystemExit"),
        ("system_exit", "0", 0, "SystemExit"),
        ("system_exit", "3", 3, "SystemExit"),
        ("system_exit", "'in words'", 1, "in words"),
        ("system_exit", "256 + 7", 7, "SystemExit"),
        ("interrupted", "", 130, "KeyboardInterrupt"),
        ("generator_exit", "", 1, "GeneratorExit"),
        ("custom_exit", "", 1, "CustomExit: my way out"),
        ("lying_exit", "", 3, "LyingExit"),
        ("exit_now", "0", 0, ""),
        ("exit_now", "4", 4, ""),
    ],
)
def test_what_is_no_exception_ends_the_process(
    deploy: Deploy, function: str, event: str, exit_code: int, named: str
) -> None:
    """
    SystemExit and its like are the death of the process, never an empty success and never an error
    body of the runtime; the outcome has the exit code and names what it was (spec 1.11, 5.B).
    """
    dying = deploy("failing", f"index.{function}")

    with pytest.raises(CrashedError) as caught:
        dying(event)

    result = caught.value.result
    assert Crashed(exit_code=exit_code) == result.outcome
    assert f"exited with code {exit_code}" in str(caught.value)
    assert named in str(caught.value)
    body = result.json()
    assert ["errorMessage"] == list(body)
    assert body["errorMessage"].startswith(
        "Process exited unexpectedly before completing request (duration: "
    )
    assert body["errorMessage"].endswith("MB)")
    assert "maxMemoryUsage: 0.00MB" not in body["errorMessage"]


@pytest.mark.parametrize(("function", "event"), [("system_exit", "0"), ("exit_now", "0")])
def test_process_that_left_is_replaced_and_its_output_kept(
    deploy: Deploy, function: str, event: str
) -> None:
    """What it printed last is in the log; the next event finds a fresh process."""
    dying = deploy("failing", f"index.{function}")

    first, second = dying.fail(event), dying.fail(event)

    assert first.log.startswith(b"leaving")
    assert second.log.startswith(b"leaving")
    assert not isinstance(first.outcome, OutOfMemoryError)
