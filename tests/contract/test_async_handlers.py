"""``async def`` handlers: a superset of Function Compute, which does not await them (spec 1.9)."""

from collections.abc import Callable

import pytest
from fc_runtime import Crashed, HandlerError, Raised, ResponseRejected, TimedOut
from support.callers import Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]


def test_async_handler_is_awaited(deploy: Deploy) -> None:
    """What it returns is answered by the same rules as what a function returns."""
    function = deploy("coroutines")

    assert b"cold" == function("cold").payload
    warm = function("warm")
    assert b"warm" == warm.payload
    assert not warm.cold_start


@pytest.mark.parametrize(
    ("returned", "payload"),
    [("None", b"null"), ("'text'", b"text"), ("{'b': 1}", b'{\n    "b": 1\n}'), ("b'x'", b"x")],
)
def test_return_values_follow_the_same_rules(deploy: Deploy, returned: str, payload: bytes) -> None:
    """Spec 1.3 and 1.4."""
    assert payload == deploy("coroutines", "index.value")(returned).payload


@pytest.mark.parametrize(
    ("function", "payload"),
    [
        ("gathered", [0, 1, 4, 9, 16]),
        ("instance", "from an object"),
        ("timeout_of_its_own", "gave up by itself"),
        ("own_loop", "event"),
        ("returns_coroutine", "event"),
        ("thread", "EVENT"),
        ("child", "event"),
    ],
)
def test_what_asyncio_offers_works(deploy: Deploy, function: str, payload: object) -> None:
    """Tasks, timeouts, threads, child processes, a loop of the handler's own."""
    handler = deploy("coroutines", f"index.{function}")

    for _ in range(2):
        result = handler("event")
        assert payload == (result.text if isinstance(payload, str) else result.json())


def test_partial_of_an_async_function_is_awaited(deploy: Deploy) -> None:
    """Whatever is called: if a coroutine comes back, it is awaited."""
    assert b"42" == deploy("coroutines", "index.partial")("6 * 7").payload


def test_one_loop_lasts_as_long_as_the_instance(deploy: Deploy) -> None:
    """Locks, clients and pools that a module keeps in globals stay usable (spec 1.12)."""
    function = deploy("coroutines", "index.kept")

    assert [[1, 1], [2, 1], [3, 1]] == [function().json() for _ in range(3)]


def test_exception_of_an_async_handler(deploy: Deploy) -> None:
    """The stack trace begins in the handler: no frame of the event loop's, none of ours (5.A)."""
    with pytest.raises(HandlerError, match="LookupError: after an await") as caught:
        deploy("coroutines", "index.fail")()

    body = caught.value.result.json()
    assert ["in fail"] == [row[2] for row in body["stackTrace"]]
    assert "asyncio" not in str(caught.value)


def test_async_handler_that_hangs_is_timed_out(deploy: Deploy) -> None:
    """Waiting is no excuse, and the instance is replaced."""
    function = deploy("coroutines", "index.hang", timeout=0.3)

    result = function.fail()

    assert TimedOut(limit_s=0.3) == result.outcome
    assert result.log.startswith(b"hanging\n")


def test_system_exit_of_an_async_handler_ends_the_process(deploy: Deploy) -> None:
    """As a function's does (spec 1.11)."""
    assert Crashed(exit_code=5) == deploy("coroutines", "index.leave").fail().outcome


def test_cancelled_error_is_no_exception(deploy: Deploy) -> None:
    """CancelledError is a BaseException, so it ends the process, named (spec 1.11)."""
    outcome = deploy("coroutines", "index.cancelled").fail().outcome

    assert Crashed(exit_code=1) == outcome
    assert "CancelledError" in outcome.reason


@pytest.mark.parametrize("function", ["generator", "future"])
def test_what_is_awaitable_but_no_coroutine_is_not_awaited(deploy: Deploy, function: str) -> None:
    """An async generator or a future is answered as any object is: not at all (spec 1.6)."""
    outcome = deploy("coroutines", f"index.{function}").fail().outcome

    assert isinstance(outcome, ResponseRejected | Raised)
    assert "TypeError" == outcome.error_type
    assert "is not JSON serializable" in outcome.message


def test_log_of_an_async_handler(deploy: Deploy) -> None:
    """In order, with FC's format for records."""
    one, two, three, end = deploy("coroutines", "index.log")().log.split(b"\n")

    assert (b"one", b"three", b"") == (one, three, end)
    assert two.endswith(b"[INFO] two")
