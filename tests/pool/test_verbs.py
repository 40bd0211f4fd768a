"""submit, map, stats, and many threads: the verbs beside `invoke`."""

import gc
import json
import threading
import weakref
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest
from fc_runtime import (
    CrashedError,
    FunctionNotFoundError,
    InvalidFunctionError,
    OverloadedError,
    Runtime,
)
from support.stage import Gate, until


@pytest.fixture
def echo(runtime: Runtime, handlers: Path) -> Runtime:
    runtime.register("echo", code=handlers / "gate", handler="index.echo", max_instances=4)
    return runtime


# -- submit ------------------------------------------------------------------------------------


def test_submit_returns_before_the_handler_does(gated: Runtime, gate: Gate) -> None:
    """The caller goes on; the future is done when the handler is."""
    future = gated.submit("gated", gate.event("later"))
    gate.entered()

    assert not future.done()

    gate.let()
    assert "later" == future.result().json()["label"]


def test_submit_carries_every_option(echo: Runtime) -> None:
    """json, request_id and the others of `invoke`."""
    result = echo.submit("echo", json={"a": 1}, request_id="mine").result()

    assert ({"a": 1}, "mine") == (result.json(), result.request_id)


def test_a_refusal_is_in_the_future(echo: Runtime) -> None:
    """`submit` itself does not raise for an unknown function or a bad argument."""
    unknown = echo.submit("nobody")
    wrong = echo.submit("echo", object())

    assert isinstance(unknown.exception(), FunctionNotFoundError)
    assert isinstance(wrong.exception(), InvalidFunctionError)


def test_a_crash_is_in_the_future(runtime: Runtime, handlers: Path) -> None:
    """With check=True as its exception, with check=False as a result."""
    runtime.register("leave", code=handlers / "gate", handler="index.leave")
    error = runtime.submit("leave").exception()
    result = runtime.submit("leave", check=False).result()

    assert isinstance(error, CrashedError)
    assert error.result.outcome == result.outcome


def test_what_has_not_begun_can_be_cancelled(
    runtime: Runtime, handlers: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submitted invocation that no thread has taken up yet is cancelled; its event goes nowhere."""
    monkeypatch.setattr(runtime._core.submitted, "_most", 1)
    runtime.register("gated", code=handlers / "gate", timeout=30.0)
    first = runtime.submit("gated", gate.event("first"))
    gate.entered()
    second = runtime.submit("gated", gate.event("second"))

    assert not first.cancel()
    assert second.cancel()

    gate.let()
    first.result()
    with pytest.raises(CancelledError):
        second.result()
    assert gate.is_deserted()


def test_callbacks_of_a_future_may_call_again(echo: Runtime) -> None:
    """A done-callback runs in a thread of ours, and may use the runtime."""
    heard = []
    there = threading.Event()

    def again(future: object) -> None:
        heard.append(echo.invoke("echo", b"again").payload)
        there.set()

    echo.submit("echo", b"once").add_done_callback(again)

    assert there.wait(10)
    assert [b"again"] == heard


# -- map ---------------------------------------------------------------------------------------


def test_map_keeps_the_order_of_the_events(echo: Runtime) -> None:
    """Results come in the order of the events, however long each takes."""
    events = [str(number) for number in range(100)]

    assert events == [result.text for result in echo.map("echo", events, concurrency=7)]


def test_map_takes_no_more_events_than_are_under_way(gated: Runtime, gate: Gate) -> None:
    """An endless iterator of events is fine: only *concurrency* of them are taken ahead."""
    taken = []

    def events() -> object:
        for number in range(10**9):
            taken.append(number)
            yield gate.event(str(number))

    results = gated.map("gated", events(), concurrency=2)
    gate.let(2)

    assert "0" == next(results).json()["label"]
    assert len(taken) <= 3

    gate.let(2)
    assert "1" == next(results).json()["label"]
    results.close()


def test_map_raises_what_an_invocation_raises(runtime: Runtime, handlers: Path) -> None:
    """At its place in the order; with check=False the results tell instead."""
    runtime.register("leave", code=handlers / "gate", handler="index.leave")

    with pytest.raises(CrashedError):
        list(runtime.map("leave", [b"1", b"2"]))

    assert [False, False] == [one.ok for one in runtime.map("leave", [b"1", b"2"], check=False)]


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_map_refuses_a_concurrency_that_is_none(echo: Runtime, wrong: object) -> None:
    """At the call, not at the first result."""
    with pytest.raises(InvalidFunctionError, match="concurrency"):
        echo.map("echo", [b""], concurrency=wrong)


def test_map_over_nothing(echo: Runtime) -> None:
    """No events, no results."""
    assert [] == list(echo.map("echo", []))


@pytest.mark.parametrize("wrong", [0, 5, -1, True, 1.5])
def test_warm_refuses_more_than_there_may_be(echo: Runtime, wrong: object) -> None:
    """From 1 to max_instances."""
    with pytest.raises(InvalidFunctionError, match="max_instances"):
        echo.warm("echo", wrong)


# -- threads and figures -----------------------------------------------------------------------


def test_many_threads_each_get_their_own_answer(echo: Runtime) -> None:
    """16 threads on one runtime: no answer is lost, or given to somebody else."""
    wrong = []

    def call(name: int) -> None:
        for number in range(50):
            event = f"{name}-{number}-{'x' * (number * 400)}"
            if echo.invoke("echo", event).text != event:
                wrong.append(event)

    threads = [threading.Thread(target=call, args=[name]) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong
    assert 800 == echo.stats()["functions"]["echo"]["invocations"]


def test_stats_count_what_happened(runtime: Runtime, handlers: Path, gate: Gate) -> None:
    """By function: gauges of now, counters since it was registered; all of it is JSON."""
    runtime.register("gated", code=handlers / "gate", timeout=30.0)
    runtime.register("leave", code=handlers / "gate", handler="index.leave")
    running = runtime.submit("gated", gate.event())
    gate.entered()
    for _ in range(2):
        runtime.invoke("leave", check=False)
    during = runtime.stats()
    gate.let()
    running.result()
    after = runtime.stats()

    assert 1 == during["functions"]["gated"]["serving"]
    assert {"crashed": 2} == during["functions"]["leave"]["outcomes"]
    assert 0 == after["functions"]["gated"]["serving"]
    assert {"returned": 1} == after["functions"]["gated"]["outcomes"]
    assert 1 == after["functions"]["gated"]["cold_starts"]
    assert 0 == after["survivors"]
    assert after == json.loads(json.dumps(after))


def test_stats_do_not_wait_for_who_changes_something(echo: Runtime) -> None:
    """So a signal handler may ask for them, whatever call it has interrupted."""
    echo.invoke("echo")
    core = echo._core
    told: list[int] = []
    asking = threading.Thread(
        target=lambda: told.append(echo.stats()["functions"]["echo"]["invocations"])
    )
    with core._lock, core.pool("echo").roster.lock:
        asking.start()
        asking.join(10)
        assert [1] == told


@pytest.mark.parametrize("verb", ["invoke", "submit"])
def test_an_error_is_not_left_to_the_collector(runtime: Runtime, handlers: Path, verb: str) -> None:
    """It holds the result, and so the log: whoever is done with it has let go of all that."""
    runtime.register("leave", code=handlers / "gate", handler="index.leave")

    def failed() -> "weakref.ref[BaseException]":
        try:
            if verb == "invoke":
                runtime.invoke("leave")
            else:
                runtime.submit("leave").result(10)
        except CrashedError as error:
            return weakref.ref(error)
        raise AssertionError("it did not fail")

    gc.disable()
    try:
        gone = failed()
        until(lambda: gone() is None)
    finally:
        gc.enable()


def test_stats_start_anew_with_the_function(echo: Runtime, handlers: Path) -> None:
    """Registering again is a new function to the counters; forgetting it leaves no entry."""
    echo.invoke("echo")
    echo.register("echo", code=handlers / "gate", handler="index.echo")

    assert 0 == echo.stats()["functions"]["echo"]["invocations"]

    echo.unregister("echo")
    assert {} == echo.stats()["functions"]


def test_no_descriptor_is_an_overload_and_passes(
    echo: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without descriptors refuses a cold call; the place is free, and later it works."""

    def no_room(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("fc_runtime.pool.instance.os.pipe2", no_room)
    futures = [echo.submit("echo", b"x") for _ in range(8)]
    wait(futures)

    assert {OverloadedError} == {type(future.exception()) for future in futures}

    monkeypatch.undo()
    assert echo.invoke("echo", b"x").ok
    until(lambda: echo.stats()["functions"]["echo"]["serving"] == 0)


def test_submitted_calls_queue_up_to_a_bound(handlers: Path, gate: Gate) -> None:
    """`submit` has a bounded queue too: past it the future carries OverloadedError at once."""
    with Runtime(max_queue=3) as runtime:
        runtime._core.submitted._most = 1  # one thread for all that is submitted
        runtime.register("gated", code=handlers / "gate", timeout=30.0)
        first = runtime.submit("gated", gate.event("first"))
        gate.entered()
        waiting = [runtime.submit("gated", gate.event(str(number))) for number in range(3)]

        refused = runtime.submit("gated", gate.event("refused"))

        assert isinstance(refused.exception(timeout=0), OverloadedError)
        for future in waiting:
            assert future.cancel()
        gate.let()
        assert first.result().ok
