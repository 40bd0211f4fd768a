"""A worker that dies or breaks the protocol: its own invocation fails, at once, and no other."""

from collections.abc import Callable

import pytest
from fc_runtime import Crashed, CrashedError, RefusedError
from support.callers import Deployed

Deploy = Callable[..., Deployed]

FAR_OFF_S = 300.0  # whoever waits for this deadline fails the test by its length


@pytest.mark.parametrize(
    ("death", "signal", "name"),
    [
        ("segv", 11, "SIGSEGV"),
        ("abort", 6, "SIGABRT"),
        ("killed", 9, "SIGKILL"),
        ("terminated", 15, "SIGTERM"),
        ("alarmed", 14, "SIGALRM"),
        ("killed_by_a_child", 9, "SIGKILL"),
    ],
)
def test_death_by_signal_names_the_signal(
    deploy: Deploy, death: str, signal: int, name: str
) -> None:
    """Crashed, with the signal, without waiting for the deadline (spec 5.B)."""
    function = deploy("dying", f"index.{death}", timeout=FAR_OFF_S)

    with pytest.raises(CrashedError, match=f"killed by {name}") as caught:
        function()

    result = caught.value.result
    assert Crashed(signal=signal) == result.outcome
    assert result.json()["errorMessage"].startswith(
        "Process exited unexpectedly before completing request (duration: "
    )
    assert not isinstance(caught.value, RefusedError)
    assert "fc.invocation.crashed" == caught.value.code


def test_where_it_crashed_is_in_the_log(deploy: Deploy) -> None:
    """The interpreter's own fault handler says which line it was."""
    log = deploy("dying", "index.segv", timeout=FAR_OFF_S).fail().log

    assert b"Fatal Python error: Segmentation fault" in log
    assert b"in segv" in log


def test_program_that_replaces_the_worker_is_a_crash(deploy: Deploy) -> None:
    """Another program's success is not the handler's: never an empty result."""
    outcome = deploy("dying", "index.replaced", timeout=FAR_OFF_S).fail().outcome

    assert isinstance(outcome, Crashed)
    assert outcome.signal is None
    assert outcome.exit_code in (None, 0)  # its channel may be seen to close before it has ended


@pytest.mark.parametrize("how", ["closing_everything", "closing_and_returning"])
def test_closed_channel_is_noticed_at_once(deploy: Deploy, how: str) -> None:
    """A handler that closes all descriptors cannot answer any more; nobody waits for it."""
    outcome = deploy("dying", f"index.{how}", timeout=FAR_OFF_S).fail().outcome

    assert isinstance(outcome, Crashed)
    assert outcome.describe()


@pytest.mark.parametrize(
    "how",
    [
        "writing_noise",
        "forging_an_answer",
        "announcing_too_much",
        "msgpack_bomb",
        "answering_twice",
    ],
)
def test_nonsense_on_the_channel_is_a_crash(deploy: Deploy, how: str) -> None:
    """What is no answer to this invocation is refused as soon as it is seen, and says so."""
    function = deploy("dying", "index.dispatch", timeout=FAR_OFF_S)
    function("well")

    with pytest.raises(CrashedError, match="broke the protocol"):
        function(how)

    assert b"well" == function("well").payload


@pytest.mark.parametrize("death", ["segv", "killed", "closing_everything", "replaced"])
def test_next_call_after_a_crash_succeeds(deploy: Deploy, death: str) -> None:
    """Again and again; a crashing handler does not hold up the calls between."""
    function = deploy("dying", "index.dispatch", timeout=FAR_OFF_S)

    for _ in range(5):
        assert isinstance(function.fail(death).outcome, Crashed)
        assert b"well" == function("well").payload


def test_only_its_own_invocation_fails(deploy: Deploy) -> None:
    """Many calls at a time, some of which kill their worker: exactly those fail."""
    function = deploy("dying", "index.dispatch", timeout=FAR_OFF_S, max_instances=4)
    caller = function.caller
    events = ["well", "killed", "well", "well", "segv", "well"] * 5

    results = [
        future.result(timeout=60)
        for future in [caller.submit(function.name, event, check=False) for event in events]
    ]

    astray = [
        (event, result.outcome)
        for event, result in zip(events, results, strict=True)
        if result.ok != (event == "well")
    ]
    assert [] == astray
    assert {b"well"} == {result.payload for result in results if result.ok}
