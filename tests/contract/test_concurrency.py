"""Many calls at a time: each gets its own result, its own log, its own id, and none waits for ever."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fc_runtime import HandlerError, OverloadedError, Raised, RefusedError, Result
from support.callers import Caller, Deployed

Deploy = Callable[..., Deployed]

CALLS = 60


def assert_own(number: int, request_id: str, result: Result) -> None:
    """*result* has everything of call *number* and nothing of any other."""
    first, second, third, *rest = result.log.decode().splitlines()
    assert (f"print {number}", f"child {number}") == (first, third)
    assert re.fullmatch(rf"\S+Z {request_id} \[INFO\] log {number}", second)
    assert request_id == result.request_id
    if number % 3 == 0:
        assert Raised("ValueError", f"raised {number}") == result.outcome
        assert f"{request_id} [ERROR]" in rest[0]
    else:
        body = result.json()
        assert (str(number), request_id) == (body["event"], body["request_id"])
        assert [] == rest


def test_threads_do_not_hear_each_other(deploy: Deploy) -> None:
    """Sixteen threads, four instances: results, errors, logs and ids are each caller's own."""
    function = deploy("crosstalk", max_instances=4, timeout=60.0)

    def call(number: int) -> Result:
        return function.fail(str(number), request_id=f"id-{number}")

    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(call, range(CALLS)))

    for number, result in enumerate(results):
        assert_own(number, f"id-{number}", result)


def test_submitted_calls_do_not_hear_each_other(deploy: Deploy) -> None:
    """The same for `submit`: futures, or tasks, in one go."""
    function = deploy("crosstalk", max_instances=4, timeout=60.0)
    caller = function.caller

    futures = [
        caller.submit(function.name, str(n), request_id=f"id-{n}", check=False)
        for n in range(CALLS)
    ]

    for number, future in enumerate(futures):
        assert_own(number, f"id-{number}", future.result(timeout=60))


def test_functions_do_not_hear_each_other(deploy: Deploy) -> None:
    """Several functions at a time, each with its own name and processes."""
    functions = [deploy("crosstalk", max_instances=2, timeout=60.0) for _ in range(3)]

    def call(number: int) -> tuple[Deployed, Result]:
        function = functions[number % 3]
        return function, function.fail(str(number), request_id=f"id-{number}")

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(call, range(CALLS)))

    pids: dict[str, set[int]] = {function.name: set() for function in functions}
    for number, (function, result) in enumerate(answers):
        assert_own(number, f"id-{number}", result)
        assert function.name == result.function
        if result.ok:
            pids[function.name].add(result.json()["pid"])
    assert not set.intersection(*pids.values())


def test_as_many_run_at_a_time_as_allowed(deploy: Deploy, tmp_path: Path) -> None:
    """``max_instances`` calls are served at the same time: they wait for each other and meet."""
    function = deploy(
        "crosstalk",
        "index.meet",
        max_instances=5,
        timeout=60.0,
        environment={"MEETINGS": str(tmp_path)},
    )
    caller = function.caller

    futures = [caller.submit(function.name, "5") for _ in range(5)]

    assert 5 == len({future.result(timeout=60).json() for future in futures})


def test_no_more_run_at_a_time_than_allowed(deploy: Deploy) -> None:
    """With one instance all calls are served by one process, one after the other."""
    function = deploy("crosstalk", "index.pid", max_instances=1, timeout=60.0)

    with ThreadPoolExecutor(8) as threads:
        pids = list(threads.map(lambda _: function().json(), range(50)))

    assert 1 == len(set(pids))


def test_full_queue_refuses_at_once(deploy: Deploy, open_caller: Callable[..., Caller]) -> None:
    """Busy instances, a full queue: OverloadedError, a refusal; those who wait are served."""
    caller = open_caller(max_queue=2)
    function = deploy("hanging", "index.dispatch", on=caller, max_instances=1, timeout=1.0)
    function("well")
    running = caller.submit(function.name, "sleeping", check=False)
    wait_for(caller, function.name, serving=1)
    waiting = [caller.submit(function.name, "well") for _ in range(2)]
    wait_for(caller, function.name, serving=1, waiting=2)

    with pytest.raises(OverloadedError) as caught:
        function("well")

    assert isinstance(caught.value, RefusedError)
    assert "fc.refused.overloaded" == caught.value.code
    assert 1 == caller.stats()["functions"][function.name]["refused"]
    assert not running.result(timeout=60).ok
    assert [b"well"] * 2 == [future.result(timeout=60).payload for future in waiting]


def wait_for(caller: Caller, name: str, **gauges: int) -> None:
    """Until the function's gauges are these; the caller's own work brings them about."""
    while any(caller.stats()["functions"][name][gauge] != n for gauge, n in gauges.items()):
        pass


# -- map and submit ----------------------------------------------------------------------------


def test_map_keeps_the_order_of_its_events(deploy: Deploy) -> None:
    """Results come in the order of the events, whichever was ready first."""
    function = deploy("events", "index.echo", max_instances=4)
    events = [f"event {number}" for number in range(50)]

    results = function.caller.map(function.name, iter(events), concurrency=8)

    assert events == [result.text for result in results]
    assert [] == function.caller.map(function.name, [])


def test_map_takes_the_options_of_invoke(deploy: Deploy) -> None:
    """``check=False`` among them; without it the first failure is raised."""
    function = deploy("failing", "index.dispatch", max_instances=2)

    results = function.caller.map(function.name, ["well", "plain", "well"], check=False)
    assert [True, False, True] == [result.ok for result in results]
    with pytest.raises(HandlerError, match="something is wrong"):
        function.caller.map(function.name, ["well", "plain", "well"])


def test_submit_hands_over_result_or_error(deploy: Deploy) -> None:
    """What `invoke` would return or raise is in the future."""
    function = deploy("failing", "index.dispatch")
    caller = function.caller

    assert b"well" == caller.submit(function.name, "well").result(timeout=60).payload
    with pytest.raises(HandlerError):
        caller.submit(function.name, "plain").result(timeout=60)
    assert not caller.submit(function.name, "plain", check=False).result(timeout=60).ok


def test_stats_count_what_happened(deploy: Deploy) -> None:
    """By outcome, cold starts apart; JSON-able."""
    function = deploy("failing", "index.dispatch", max_instances=1)
    for event in ("well", "plain", "well"):
        function.fail(event)

    stats = function.caller.stats()["functions"][function.name]

    assert 3 == stats["invocations"]
    assert 1 == stats["cold_starts"]
    assert {"returned": 2, "raised": 1} == stats["outcomes"]
    assert 0 == stats["serving"]
    assert 0 == stats["waiting"]
