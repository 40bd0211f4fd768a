"""
Deadlines: whatever the handler does, the caller is answered, with what it printed and where it
hung, and nothing of its process tree is left (spec 5.B, design D8).
"""

import os
import re
from collections.abc import Callable

import pytest
from fc_runtime import InvocationError, RefusedError, TimedOut, TimedOutError
from fc_runtime.pool import autopsy
from support.callers import Caller, Deployed
from support.processes import printed_pids, still_running

Deploy = Callable[..., Deployed]

LIMIT_S = 0.25
TREE_S = 1.2  # time enough for a tree of processes to say who they are
LATE_MS = 5000  # generous: a busy machine with two CPUs

SILENT = {"blocking_signals"}  # no signal reaches it, so it cannot say where it hangs


@pytest.mark.parametrize(
    "hang",
    [
        "busy",
        "sleeping",
        "holding_the_gil",
        "matching",
        "ignoring_signals",
        "blocking_signals",
        "catching_everything",
        "stopping_itself",
        "deadlocked",
        "waiting_for_a_child",
        "blocked_while_writing",
        "stopped_while_writing",
        "dripping",
    ],
)
def test_handler_that_misses_its_deadline_is_ended(deploy: Deploy, hang: str) -> None:
    """
    Busy, asleep, in C with the GIL held, deaf to signals, stopped, or half-way through writing
    32 MiB: TimedOut, its output and its stack are told, its processes are gone.
    """
    function = deploy("hanging", f"index.{hang}", timeout=LIMIT_S)

    with pytest.raises(TimedOutError) as caught:
        function()

    result = caught.value.result
    assert TimedOut(limit_s=LIMIT_S) == result.outcome
    assert LIMIT_S * 1000 <= result.duration_ms < LIMIT_S * 1000 + LATE_MS
    assert "worker" in printed_pids(result.log)
    assert {} == still_running(result.log)
    assert "no result within 0.25 s" in str(caught.value)
    if hang not in SILENT and not hang.endswith("_while_writing"):
        assert f"in {hang}" in result.outcome.stack
        assert re.search(r'File ".*/hanging/index.py", line \d+ in', result.outcome.stack)
        assert "fc_worker" not in result.outcome.stack
        assert result.outcome.stack in str(caught.value)


def test_error_of_a_timeout_says_that_code_ran(deploy: Deploy) -> None:
    """TimedOutError is no refusal, so a retry is not known to be safe; its code is stable."""
    with pytest.raises(TimedOutError) as caught:
        deploy("hanging", "index.sleeping", timeout=LIMIT_S)()

    assert isinstance(caught.value, InvocationError)
    assert not isinstance(caught.value, RefusedError)
    assert "fc.invocation.timed_out" == caught.value.code


def test_body_of_a_timeout_is_the_platforms(deploy: Deploy) -> None:
    """One key, seconds and memory (spec 5.B)."""
    body = deploy("hanging", "index.sleeping", timeout=LIMIT_S).fail().json()

    assert ["errorMessage"] == list(body)
    found = re.fullmatch(
        r"Function timed out after 0\.25 seconds \(maxMemoryUsage: (\d+\.\d\d)MB\)",
        body["errorMessage"],
    )
    assert found
    assert float(found[1]) > 5  # an interpreter has more


def test_log_of_a_timeout_ends_with_the_stack(deploy: Deploy) -> None:
    """What it printed, then FC's record with the stack, under the same request id (spec 5.B)."""
    result = deploy("hanging", "index.sleeping", timeout=LIMIT_S).fail(request_id="the-id")

    printed, record = result.log.decode().split("\n", 1)
    assert printed.startswith("pid ")
    head, stack = record.split("\n", 1)
    assert head.endswith("Z the-id [ERROR] Dumping stack trace after function timeout")
    assert "in sleeping" in stack


def test_next_call_after_a_timeout_succeeds(deploy: Deploy) -> None:
    """The instance is never used again; another serves, time after time (D8)."""
    function = deploy("hanging", "index.dispatch", timeout=0.1)

    pids = set()
    for _ in range(3):
        result = function.fail("sleeping")
        assert isinstance(result.outcome, TimedOut)
        pids.add(printed_pids(result.log)["worker"])
        assert b"well" == function("well", timeout=3).payload
    assert 3 == len(pids)


def test_call_answered_in_its_last_moment_leaves_no_trace(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may be killed in a moment does not pre-empt others; who was not, does as before."""
    monkeypatch.setattr(autopsy, "ASK_NS", 9_700_000_000)  # 0.3 s after it began
    function = deploy("hanging", "index.policies", timeout=10.0, max_instances=1)

    for _ in range(2):
        assert [os.SCHED_OTHER, os.SCHED_BATCH] == function("0.5").json()


def test_initialization_in_its_last_moment_leaves_no_trace(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does an initializer that is done just in time: the handler has a deadline of its own."""
    monkeypatch.setattr(autopsy, "ASK_NS", 9_700_000_000)
    function = deploy(
        "hanging",
        "index.policies",
        initializer="index.slow_start",
        initialization_timeout=10.0,
        timeout=10.0,
    )

    first = function("0.5")

    assert f"initialized as {os.SCHED_BATCH}" in first.log.decode()
    assert [os.SCHED_OTHER, os.SCHED_BATCH] == first.json()
    assert [os.SCHED_OTHER, os.SCHED_BATCH] == function("0.5").json()


def test_timeout_of_a_call_is_its_own(deploy: Deploy) -> None:
    """``invoke(timeout=)`` shortens this call's time, and the verdict names it."""
    function = deploy("hanging", "index.sleeping", timeout=60.0)

    assert TimedOut(limit_s=0.2) == function.fail(timeout=0.2).outcome


def test_timeout_does_not_count_the_cold_start(deploy: Deploy) -> None:
    """A slow import spends initialization's time, not the handler's (spec 3)."""
    function = deploy("slow_import", timeout=0.3, initialization_timeout=30.0)

    result = function("event")

    assert b"event" == result.payload
    assert result.init_duration_ms is not None
    assert result.init_duration_ms > 500


def test_timeout_of_one_leaves_the_others_alone(deploy: Deploy) -> None:
    """Neighbours of the same function, before, beside and after, are not touched."""
    function = deploy("hanging", "index.dispatch", timeout=1.0, max_instances=4)
    caller = function.caller

    hung = [caller.submit(function.name, "busy", check=False) for _ in range(2)]
    well = [function("well") for _ in range(20)]

    assert {b"well"} == {result.payload for result in well}
    assert [TimedOut(limit_s=1.0)] * 2 == [future.result().outcome for future in hung]


# -- trees -------------------------------------------------------------------------------------


def test_whole_tree_is_gone_at_the_deadline(deploy: Deploy) -> None:
    """
    Child, grandchild that blocks all signals, a setsid daemon that closed its descriptors and
    cleared its environment, a stopped process, a shell: none is running, milliseconds after `invoke` returned.
    """
    result = deploy("hanging", "index.tree", timeout=TREE_S).fail()

    assert isinstance(result.outcome, TimedOut)
    assert {"worker", "child", "grandchild", "daemon", "stopped", "shell"} == set(
        printed_pids(result.log)
    )
    assert {} == still_running(result.log)


@pytest.mark.parametrize("how", ["exit", "9", "11"])
def test_whole_tree_is_gone_when_the_worker_dies(deploy: Deploy, how: str) -> None:
    """The same where there is no deadline: nothing of a crashed instance lives on (D9)."""
    result = deploy("hanging", "index.tree_of_the_dead", timeout=30.0).fail(how)

    assert not isinstance(result.outcome, TimedOut)
    assert {"child", "daemon"} == set(printed_pids(result.log))
    assert {} == still_running(result.log)


def test_tree_that_forks_all_the_time_is_gone(deploy: Deploy) -> None:
    """Parents that exit while they are looked for: the sweep goes on until nobody is found."""
    function = deploy("hanging", "index.fork_loop", timeout=0.5)

    result = function.fail()

    assert isinstance(result.outcome, TimedOut)
    assert {} == still_running(result.log)
    assert 0 == function.caller.stats()["survivors"]


def test_nothing_is_left_after_close(deploy: Deploy) -> None:
    """The guard of this suite sees every process and descriptor; here the pids are asked too."""
    function = deploy("hanging", "index.dispatch", timeout=0.1, min_instances=2)
    log = function.fail("busy").log

    function.caller.close()

    assert {} == still_running(log, within_s=0.0)


def test_close_waits_no_longer_than_drain(
    open_caller: Callable[..., Caller], deploy: Deploy
) -> None:
    """``close(drain=)`` bounds what running invocations still get; they are told as crashed."""
    caller = open_caller()
    function = deploy("hanging", "index.sleeping", on=caller, timeout=600.0)
    caller.warm(function.name)
    running = caller.submit(function.name, check=False)
    while not caller.stats()["functions"][function.name]["serving"]:
        pass

    caller.close(drain=0.1)

    result = running.result(timeout=30)
    assert "the runtime was closed" in result.outcome.reason
    assert {} == still_running(result.log)
