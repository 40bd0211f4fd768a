"""
Instances that are replaced for what they have become, in every tier, and no caller notices: one
that has grown, one that has left somebody behind, one that cannot be told its next event.
"""

from collections.abc import Callable
from typing import Any

import pytest
from support.callers import Deployed, SyncCaller
from support.processes import printed_pids, still_running
from support.stage import Recorder

Deploy = Callable[..., Deployed]
LIMIT_MB = 128


@pytest.fixture
def recycled(deploy: Deploy) -> Deploy:
    """As `deploy`, of ``handlers/recycled``."""

    def register(handler: str, **options: Any) -> Deployed:
        return deploy("recycled", f"index.{handler}", **{"timeout": 20.0, **options})

    return register


def test_grown_instance_is_replaced_before_it_is_too_large(recycled: Deploy, log: Recorder) -> None:
    """
    A handler that keeps 12 MiB more each time would be out of memory in every tenth call; it is
    replaced once it has used three quarters of what it had, and no call fails.
    """
    function = recycled("grow", memory_mb=LIMIT_MB)

    told = [function("12").json() for _ in range(30)]

    assert len({instance for instance, _ in told}) >= 3
    assert max(kept for _, kept in told) < LIMIT_MB
    assert max(kept for _, kept in told) >= LIMIT_MB // 2  # not at the first sign either
    log.wait_for("instance.exited", count=2, cause="unclean_grown")


def test_instance_that_stays_small_is_kept(recycled: Deploy, log: Recorder) -> None:
    """The neighbour of the one above: below three quarters it serves for good."""
    function = recycled("grow", memory_mb=LIMIT_MB)

    told = [function("1").json() for _ in range(30)]

    assert 1 == len({instance for instance, _ in told})
    assert [] == log.of("instance.exited")


def test_who_is_left_behind_is_ended(
    recycled: Deploy, isolation: str, caller: SyncCaller, log: Recorder
) -> None:
    """
    A daemon that was orphaned while the worker was no subreaper is outside its tree. A pid
    namespace ends it at once; where only the kernel knows of it, its instance is ended with it;
    nobody misses it in the portable tier, where it ends with its instance, whenever that is.
    """
    function = recycled("leave_behind")

    result = function()

    assert {"stranger"} == set(printed_pids(result.log))
    if isolation.startswith("cgroup"):
        log.wait_for("instance.exited", cause="unclean_strangers")
        assert result.text != function().text
    elif isolation == "pidns":
        assert {} == still_running(result.log)
        assert result.text == function().text
    else:
        caller.unregister(function.name)
        log.wait_for("instance.exited", cause="closed")
    assert {} == still_running(result.log)
    assert 0 == caller.stats()["survivors"]


def test_who_was_left_by_a_short_call_is_ended(
    recycled: Deploy, isolation: str, caller: SyncCaller, log: Recorder
) -> None:
    """
    A sibling of the worker's is nobody's below here either, and to start one takes a fraction of a
    millisecond: a call need not have taken long to have left somebody.
    """
    function = recycled("leave_a_sibling")

    first = function().text

    if isolation.startswith("cgroup"):
        log.wait_for("instance.exited", cause="unclean_strangers")
        assert first != function().text
    else:
        assert first == function().text
    caller.unregister(function.name)
    log.wait_for("zygote.exited")
    assert 0 == caller.stats()["survivors"]


def test_event_that_was_never_read_is_served_by_another(recycled: Deploy) -> None:
    """The handler has closed the pipe that events come by: nobody has seen the next one."""
    function = recycled("close_request_pipe")

    served = [function().text for _ in range(4)]

    assert 4 == len(set(served))
