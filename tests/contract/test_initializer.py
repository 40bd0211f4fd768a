"""The initializer hook, and what happens when initialization fails (spec 1.12, 1.13, 3)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import (
    Crashed,
    InitializationError,
    InitializationFailed,
    OutOfMemory,
    Raised,
    RefusedError,
    TimedOut,
)
from support.callers import Caller, Deployed
from support.processes import printed_pids, still_running

Deploy = Callable[..., Deployed]


def test_initializer_runs_once_before_the_first_event(deploy: Deploy) -> None:
    """Once per instance, with a context, and its return value is ignored (spec 3)."""
    function = deploy("initializers", initializer="index.initialize", max_instances=1)

    first, *rest = [function() for _ in range(4)]

    assert 1 == first.json()[1]["initialized"]
    assert first.request_id == first.json()[1]["request_id"]
    assert [first.payload] * 3 == [result.payload for result in rest]


def test_log_of_an_initializer_is_in_the_call_that_caused_it(deploy: Deploy) -> None:
    """And in no other (spec 3)."""
    function = deploy("initializers", initializer="index.initialize")

    assert b"initializing\n" == function().log
    assert b"" == function().log


def test_log_of_a_warm_up_is_not_the_first_callers(deploy: Deploy) -> None:
    """An instance that was warmed in nobody's time has said nothing to the first caller."""
    function = deploy("initializers", initializer="index.initialize")
    function.caller.warm(function.name)

    result = function()

    assert b"" == result.log
    assert not result.cold_start
    assert result.init_duration_ms is None
    assert 1 == result.json()[1]["initialized"]


def test_initializer_has_a_time_of_its_own(deploy: Deploy) -> None:
    """Its context tells the time that is left to initialize, not the handler's."""
    function = deploy(
        "initializers", initializer="index.initialize", timeout=1.0, initialization_timeout=20.0
    )

    assert 5_000 < function().json()[1]["remaining"] <= 20_000


def test_initializer_may_be_async(deploy: Deploy) -> None:
    """As a handler may."""
    assert (
        1 == deploy("initializers", initializer="index.initialize_async")().json()[1]["initialized"]
    )


def test_what_an_initializer_sets_up_stays(deploy: Deploy) -> None:
    """Environment and umask of the initializer are what every invocation begins with (spec 1.12)."""
    function = deploy("initializers", "index.see_environment", initializer="index.environment")

    seen = [function().json() for _ in range(3)]

    assert [["kept", 0o077]] * 3 == [[kept, mask] for kept, _, mask in seen]


@pytest.mark.parametrize(
    ("initializer", "cause", "text"),
    [
        ("fail", Raised("LookupError", "no database"), "LookupError: no database"),
        (
            "two_arguments",
            Raised(
                "TypeError",
                "two_arguments() missing 1 required positional argument: 'context'",
            ),
            "missing 1 required positional argument",
        ),
        (
            "missing",
            Raised("HandlerNotFound", "Handler 'missing' is missing on module 'index'"),
            "Handler 'missing' is missing",
        ),
        ("hang", TimedOut(limit_s=0.5), "no result within 0.5 s"),
        ("leave", Crashed(exit_code=3), "exited with code 3"),
        ("leave_at_once", Crashed(exit_code=4), "exited with code 4"),
        ("kill", Crashed(signal=9), "killed by SIGKILL"),
        ("hoard", OutOfMemory(limit_bytes=64 * 2**20), "limit 64 MiB"),
    ],
)
def test_initialization_that_fails_is_told_with_its_cause(
    deploy: Deploy, initializer: str, cause: object, text: str
) -> None:
    """Raised, hung, dead or too large: the caller hears which, and that no event was seen."""
    function = deploy(
        "initializers",
        initializer=f"index.{initializer}",
        initialization_timeout=0.5 if initializer == "hang" else 30.0,
        memory_mb=64,
    )

    with pytest.raises(InitializationError, match="initialization failed") as caught:
        function()

    result = caught.value.result
    assert InitializationFailed(cause) == result.outcome
    assert text in str(caught.value)
    assert "errorMessage" in result.json()
    assert result.cold_start
    assert result.init_duration_ms is not None


def test_log_and_stack_of_a_hung_initializer_are_told(deploy: Deploy) -> None:
    """Like a handler's: what it printed, and the line where it hung."""
    result = deploy("initializers", initializer="index.hang", initialization_timeout=0.5).fail()

    assert result.log.startswith(b"hanging\n")
    assert isinstance(result.outcome, InitializationFailed)
    assert isinstance(result.outcome.cause, TimedOut)
    assert "in hang" in result.outcome.cause.stack
    assert "Function timed out after 0.5 seconds" in result.json()["errorMessage"]


def test_children_of_a_hung_initializer_are_gone(deploy: Deploy) -> None:
    """The whole tree ends, as at any deadline."""
    result = deploy("initializers", initializer="index.spawn", initialization_timeout=1.0).fail()

    assert ["child"] == list(printed_pids(result.log))
    assert {} == still_running(result.log)


def test_failing_initializer_is_told_at_every_call_without_a_fork_storm(
    deploy: Deploy, tmp_path: Path
) -> None:
    """
    Each call is answered at once with the cause. New attempts are spaced out: far fewer than calls.
    Once what was wrong has been mended, the function serves again by itself.
    """
    count, ready = tmp_path / "count", tmp_path / "ready"
    function = deploy(
        "initializers",
        initializer="index.fail_unless_ready",
        environment={"COUNT": str(count), "READY": str(ready)},
    )

    failures = [function.fail() for _ in range(100)]

    for failure in failures:
        assert InitializationFailed(Raised("LookupError", "not ready yet")) == failure.outcome
    assert 100 == len({failure.request_id for failure in failures})
    assert 1 <= len(count.read_text()) < 20
    ready.touch()
    assert serves_in_the_end(function)


def serves_in_the_end(function: Deployed) -> bool:
    """Ask until a new attempt is due: at most ten seconds of back-off, each call told at once."""
    return any(function.fail().ok for _ in range(1_000_000))


def test_registering_again_forgets_the_failure(deploy: Deploy, handlers: Path) -> None:
    """New code is tried at once, whatever became of the old."""
    function = deploy("initializers", initializer="index.fail")
    for _ in range(5):
        function.fail()

    function.caller.register(function.name, code=handlers / "initializers")

    assert function().ok


def test_warm_tells_why_it_cannot(deploy: Deploy) -> None:
    """`warm` raises the InitializationError that an invocation would."""
    function = deploy("initializers", initializer="index.fail")

    with pytest.raises(InitializationError, match="no database"):
        function.caller.warm(function.name)


def test_initialization_error_is_no_refusal(deploy: Deploy) -> None:
    """Handler code ran, the initializer: it is not marked as safe to retry."""
    with pytest.raises(InitializationError) as caught:
        deploy("initializers", initializer="index.fail")()

    assert not isinstance(caught.value, RefusedError)
    assert "fc.invocation.initialization" == caught.value.code


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import sys; sys.exit(5)", Crashed(exit_code=5)),
        ("import os; os._exit(6)", Crashed(exit_code=6)),
        ("import os; os.kill(os.getpid(), 11)", Crashed(signal=11)),
        ("while True: pass", TimedOut(limit_s=2.0)),
    ],
)
def test_import_that_ends_or_hangs_is_told_as_an_initializers(
    caller: Caller, tmp_path: Path, source: str, cause: object
) -> None:
    """Import is part of initialization: same time, same outcomes (spec 1.13)."""
    (tmp_path / "index.py").write_text(f"print('importing')\n{source}\ndef handler(e, c): pass\n")
    caller.register("importing", code=tmp_path, initialization_timeout=2.0)

    result = caller.invoke("importing", check=False)

    assert InitializationFailed(cause) == result.outcome
    assert result.log.startswith(b"importing\n")
