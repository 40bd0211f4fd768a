"""A function that will not start: its cause at every call, at once, and without a fork storm."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import (
    Crashed,
    InitializationError,
    InitializationFailed,
    Raised,
    Runtime,
    TimedOut,
)
from support.stage import Recorder, until


@pytest.fixture
def broken(runtime: Runtime, handlers: Path, births: Path) -> Callable[..., str]:
    """Registers a function that meets its *fate* at import, or in its initializer."""

    def register(fate: str, *, at: str = "AT_IMPORT", **options: Any) -> str:
        options.setdefault("max_instances", 4)
        runtime.register(
            "broken",
            code=handlers / "births",
            initializer="index.initialize",
            environment={"BIRTHS": str(births), at: fate},
            **options,
        )
        return "broken"

    return register


def starts(births: Path) -> int:
    return births.read_text().count("import ")


@pytest.mark.parametrize("at", ["AT_IMPORT", "AT_INIT"])
def test_the_cause_is_told_at_every_call(
    runtime: Runtime, broken: Callable[..., str], births: Path, at: str
) -> None:
    """
    A hundred calls in a row are all answered with the handler's own error, each under its own
    request id, and only a few of them start a process.
    """
    broken("raise no-such-luck", at=at)
    results = [runtime.invoke("broken", request_id=f"request-{n}", check=False) for n in range(100)]

    causes = [result.outcome.cause for result in results]
    assert {Raised} == {type(cause) for cause in causes}
    assert all("no-such-luck" in cause.message for cause in causes)
    assert 1 == len({result.payload for result in results})
    assert [f"request-{n}" for n in range(100)] == [result.request_id for result in results]
    assert starts(births) <= 3


def test_the_error_that_is_raised_names_the_cause(
    runtime: Runtime, broken: Callable[..., str]
) -> None:
    """Also where the answer comes from memory, the error says what went wrong, and where."""
    broken("raise no-such-luck")
    for _ in range(2):
        with pytest.raises(InitializationError, match="no-such-luck") as caught:
            runtime.invoke("broken")

        assert "index.py" in str(caught.value)


def test_many_callers_make_no_fork_storm(
    runtime: Runtime, broken: Callable[..., str], births: Path, log: Recorder
) -> None:
    """
    Eight threads that call without a pause: the intervals between tries grow, and at each try no
    more processes start than the function may have instances.
    """
    broken("raise no-such-luck")
    answered = []
    stop = time.monotonic() + 0.6

    def hammer() -> None:
        while time.monotonic() < stop:
            answered.append(type(runtime.invoke("broken", check=False).outcome))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {InitializationFailed} == set(answered)
    assert len(answered) > 2 * starts(births)  # most from memory
    assert starts(births) <= 4 * 5  # at 0, 0.1, 0.3 s, and what may be under way
    assert 1 == len(log.of("zygote.started"))


def test_it_serves_again_once_the_cause_is_gone(
    runtime: Runtime, broken: Callable[..., str], tmp_path: Path
) -> None:
    """After the back-off the next call tries again, and its success ends the trouble."""
    cause = tmp_path / "cause"
    cause.touch()
    broken(f"while {cause} raise no-such-luck")
    for _ in range(3):
        assert not runtime.invoke("broken", check=False).ok
    cause.unlink()
    result = until(lambda: (got := runtime.invoke("broken", check=False)).ok and got)

    assert result.cold_start
    assert not runtime.invoke("broken").cold_start


def test_a_burst_of_failures_counts_once(
    runtime: Runtime, broken: Callable[..., str], tmp_path: Path
) -> None:
    """Callers who fail together do not lengthen the back-off to what eight in a row would."""
    cause = tmp_path / "cause"
    cause.touch()
    broken(f"while {cause} raise no-such-luck", max_instances=8)
    futures = [runtime.submit("broken", check=False) for _ in range(8)]

    assert not any(future.result().ok for future in futures)

    cause.unlink()
    until(lambda: runtime.invoke("broken", check=False).ok, within_s=5.0)


def test_an_exit_at_import(runtime: Runtime, broken: Callable[..., str], births: Path) -> None:
    """A process that ends while it imports is told as what it is, also by the second call."""
    broken("exit 7")
    results = [runtime.invoke("broken", check=False) for _ in range(2)]

    assert [InitializationFailed(Crashed(exit_code=7))] * 2 == [one.outcome for one in results]
    assert 1 == starts(births)


@pytest.mark.parametrize("at", ["AT_IMPORT", "AT_INIT"])
def test_a_start_that_hangs_is_cut_off(
    runtime: Runtime, broken: Callable[..., str], births: Path, at: str
) -> None:
    """initialization_timeout ends it; callers who come right after get the same answer at once."""
    broken("hang", at=at, initialization_timeout=2.0)
    first = runtime.invoke("broken", check=False)
    second = runtime.invoke("broken", check=False)

    assert InitializationFailed(TimedOut(2.0)) == first.outcome
    assert "sleep" in first.outcome.cause.stack or "meet" in first.outcome.cause.stack
    assert first.outcome == second.outcome
    assert 1 == births.read_text().count("hanging")


def test_warm_tells_the_cause(runtime: Runtime, broken: Callable[..., str], births: Path) -> None:
    """`warm` raises what the calls would; asking again within the back-off starts nothing."""
    broken("raise no-such-luck")
    for _ in range(20):
        with pytest.raises(InitializationError, match="no-such-luck"):
            runtime.warm("broken")

    assert starts(births) <= 3


def test_min_instances_that_fail_are_tried_again_in_the_background(
    runtime: Runtime, broken: Callable[..., str], births: Path, tmp_path: Path
) -> None:
    """What is to be kept warm comes up by itself once the cause is gone, in nobody's time."""
    cause = tmp_path / "cause"
    cause.touch()
    broken(f"while {cause} raise no-such-luck", min_instances=1)
    until(lambda: starts(births) >= 2, what="a second try")
    cause.unlink()
    until(lambda: runtime.stats()["functions"]["broken"]["idle"] == 1)

    assert not runtime.invoke("broken").cold_start


def test_a_function_that_never_starts_leaves_no_process(
    runtime: Runtime, broken: Callable[..., str], log: Recorder
) -> None:
    """After idle_timeout its zygote is gone as well."""
    broken("raise no-such-luck", idle_timeout=0.2)
    runtime.invoke("broken", check=False)
    log.wait_for("zygote.exited")

    until(lambda: not psutil.Process().children())


def test_a_broken_function_harms_no_other(
    runtime: Runtime, handlers: Path, broken: Callable[..., str]
) -> None:
    """While one fails to start, another serves."""
    runtime.register("good", code=handlers / "gate", handler="index.echo")
    broken("raise no-such-luck")
    for number in range(10):
        assert not runtime.invoke("broken", check=False).ok
        assert str(number) == runtime.invoke("good", str(number)).text


def test_new_code_starts_at_once(
    runtime: Runtime, handlers: Path, broken: Callable[..., str]
) -> None:
    """Registering anew forgets the failures of the old code and its back-off."""
    broken("raise no-such-luck")
    for _ in range(5):
        runtime.invoke("broken", check=False)
    runtime.register("broken", code=handlers / "gate", handler="index.echo")

    assert b"hello" == runtime.invoke("broken", b"hello").payload
