"""
``memory_mb`` holds for the whole process tree, and running out of it is only said on evidence
(design D9).
"""

import re
from collections.abc import Callable

import pytest
from fc_runtime import (
    Crashed,
    HandlerError,
    OutOfMemory,
    OutOfMemoryError,
    Raised,
    RefusedError,
)
from support.callers import Deployed
from support.processes import printed_pids, still_running

Deploy = Callable[..., Deployed]

MiB = 2**20
LIMIT_MB = 96


@pytest.mark.parametrize(
    "hoard",
    [
        "grow",
        "grow_slowly",
        "grow_mapped",
        "one_child",
        "grandchild",
        "many_children",
    ],
)
def test_tree_that_outgrows_its_memory_is_ended_and_named(deploy: Deploy, hoard: str) -> None:
    """Quickly or slowly, alone, in one child or in the sum of many: OutOfMemory, tree gone."""
    function = deploy("hoarding", f"index.{hoard}", memory_mb=LIMIT_MB, timeout=60.0)

    with pytest.raises(OutOfMemoryError) as caught:
        function()

    result = caught.value.result
    outcome = result.outcome
    assert OutOfMemory(limit_bytes=LIMIT_MB * MiB) == outcome
    assert isinstance(outcome, OutOfMemory)
    assert outcome.peak_bytes >= LIMIT_MB * MiB  # no more than that, where the kernel holds it
    assert outcome.peak_bytes == result.usage.peak_memory_bytes
    assert outcome.source
    assert re.fullmatch(r".+\[\d+\]|a child process", outcome.process)
    assert f"limit {LIMIT_MB} MiB" in str(caught.value)
    assert outcome.source in str(caught.value)
    assert "worker" in printed_pids(result.log)
    assert {} == still_running(result.log)


def test_verdict_names_the_largest_process(deploy: Deploy, isolation: str) -> None:
    """When it was a child that took the memory, its pid is in the verdict."""
    result = deploy("hoarding", "index.one_child", memory_mb=LIMIT_MB, timeout=60.0).fail()

    assert isinstance(result.outcome, OutOfMemory)
    if isolation == "pidns":
        pytest.skip("the handler knows its child by another number than we do")
    child, _, _ = printed_pids(result.log)["child"].partition(":")
    # A kernel that was quicker than our second look does not tell which one it has killed.
    assert result.outcome.process.endswith((f"[{child}]", "a child process"))


def test_body_of_out_of_memory_is_the_platforms(deploy: Deploy) -> None:
    """FC has no body of its own for it: the process exited (spec 5.B)."""
    result = deploy("hoarding", "index.grow", memory_mb=LIMIT_MB, timeout=60.0).fail()

    body = result.json()
    assert ["errorMessage"] == list(body)
    found = re.fullmatch(
        r"Process exited unexpectedly before completing request "
        r"\(duration: \d+ms, maxMemoryUsage: (\d+\.\d\d)MB\)",
        body["errorMessage"],
    )
    assert found
    assert float(found[1]) >= LIMIT_MB


def test_error_says_that_code_ran(deploy: Deploy) -> None:
    """OutOfMemoryError is no refusal; its code is stable."""
    with pytest.raises(OutOfMemoryError) as caught:
        deploy("hoarding", "index.grow", memory_mb=LIMIT_MB, timeout=60.0)()

    assert not isinstance(caught.value, RefusedError)
    assert "fc.invocation.out_of_memory" == caught.value.code


def test_next_call_after_running_out_succeeds(deploy: Deploy) -> None:
    """Only the one invocation fails; the function serves on with a fresh instance."""
    function = deploy("hoarding", "index.dispatch", memory_mb=LIMIT_MB, timeout=60.0)

    for _ in range(2):
        assert isinstance(function.fail("grow").outcome, OutOfMemory)
        assert b"well" == function("well").payload


def test_memory_within_the_limit_is_told_not_punished(deploy: Deploy) -> None:
    """A handler may use what it was given, and the result tells the peak."""
    result = deploy("hoarding", "index.within", memory_mb=128)("64")

    assert 64 == result.json()
    assert 64 * MiB < result.usage.peak_memory_bytes < 128 * MiB


def test_shared_pages_count_once(deploy: Deploy) -> None:
    """Children that share their parent's memory do not add up to what nobody uses (PSS)."""
    result = deploy("hoarding", "index.sharing_children", memory_mb=LIMIT_MB, timeout=60.0)()

    assert 40 == result.json()


# -- what is not out of memory -----------------------------------------------------------------


@pytest.mark.parametrize("handler", ["raising", "too_much_at_once"])
def test_memory_error_of_the_handler_is_an_exception(deploy: Deploy, handler: str) -> None:
    """A MemoryError that Python raised is the handler's exception: its process lives on."""
    function = deploy("hoarding", "index.dispatch", memory_mb=LIMIT_MB)
    function("well")

    with pytest.raises(HandlerError, match="MemoryError") as caught:
        function(handler)

    assert isinstance(caught.value.result.outcome, Raised)
    assert "MemoryError" == caught.value.result.outcome.error_type
    assert not function("well").cold_start


def test_sigkill_alone_is_no_evidence(deploy: Deploy) -> None:
    """A process killed by SIGKILL crashed; nobody guesses that it was the memory."""
    outcome = deploy("hoarding", "index.killing_itself", memory_mb=LIMIT_MB).fail().outcome

    assert Crashed(signal=9) == outcome


def test_child_killed_by_somebody_is_the_handlers_business(deploy: Deploy) -> None:
    """The handler sees how its child ended and answers what it likes."""
    assert b"-9" == deploy("hoarding", "index.child_killed", memory_mb=LIMIT_MB)().payload
