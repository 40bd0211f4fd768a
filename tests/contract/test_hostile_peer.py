"""
The protocol is a boundary: whatever a worker says instead of its answer, ahead of it, after it, or
not at all, costs its own instance, and no caller ever gets an answer that was not made for him.
"""

import itertools
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from fc_runtime import Crashed, Result, TimedOut
from support.callers import Deployed
from support.processes import printed_pids, still_running

Deploy = Callable[..., Deployed]
Peer = Callable[..., "HostilePeer"]

FAR_OFF_S = 300.0  # whoever waits for this deadline fails the test by its length
LIMIT_S = 0.25
MiB = 1024 * 1024
SPARE_BYTES = 8 * MiB  # what the process of the tests may grow by in one call


class HostilePeer:
    """A function with one instance at a time, whose handler plays the worker."""

    def __init__(self, function: Deployed, fifo: Path) -> None:
        self._function = function
        self._fifo = fifo
        self._nonces = itertools.count(1)
        os.mkfifo(fifo)

    def play(self, name: str) -> Result:
        return self._function.fail(self._event(play=name, tell=str(self._fifo)))

    def ask(self) -> Result:
        """An honest call, whatever comes of it; an answer is this very call's."""
        nonce = next(self._nonces)
        result = self._function.fail(self._event(nonce=nonce))
        if result.ok:
            assert nonce == result.json()["nonce"]
        return result

    def pid(self) -> str:
        """Of the worker that answers an honest call."""
        result = self.ask()
        assert result.ok, result.outcome
        return str(result.json()["pid"])

    def wait_until_told(self) -> None:
        """Until the handler has written what it wanted to: it opens the fifo and closes it."""
        with self._fifo.open("rb") as told:
            assert b"" == told.read()

    def _event(self, **asked: object) -> bytes:
        return json.dumps(asked).encode()


@pytest.fixture
def peer(deploy: Deploy, tmp_path: Path) -> Peer:
    def make(timeout_s: float = FAR_OFF_S) -> HostilePeer:
        function = deploy("hostile_protocol", timeout=timeout_s, max_instances=1)
        return HostilePeer(function, tmp_path / "told")

    return make


def assert_ended(result: Result) -> None:
    """The worker that served it is gone, and so is all that it had started."""
    assert "worker" in printed_pids(result.log)
    assert {} == still_running(result.log)


def grown_bytes(call: Callable[[], Result]) -> tuple[Result, int]:
    """What came of *call*, and by how much this process was at most larger during it."""
    with suppress(OSError):  # the peak starts anew, if the kernel lets it; else it is of all time
        Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    result = call()
    return result, peak_bytes() - before


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


BREACHES = {
    "noise_everywhere": "",
    "text_on_the_pipe": "",
    "forged_for_another": "an answer to invocation",
    "forged_for_none": "an answer to invocation 0",
    "plain_for_another": "an answer to invocation",
    "huge_length": "body of 4294967295 bytes, limit",
    "huge_length_then_a_flood": "body of 4294967295 bytes, limit",
    "huge_headers": "headers of 4294967295 bytes, limit",
    "deep_headers": "headers are not a msgpack map",
    "wide_map": "headers are not a msgpack map",
    "wide_text": "headers are not a msgpack map",
    "unknown_field": "header 'zz'",
    "plain_ready": "a frame of kind 2 that nobody asked for",
    "twice_at_once": "a frame of kind 4 that nobody asked for",
    "huge_aside": "body of 4294967295 bytes, limit",
    "taken_without_a_piece": "a frame of kind 8 that nobody asked for",
    "piece_without_a_body": "a frame of kind 9 that nobody asked for",
    "piece_of_another": "an answer to invocation",
    "piece_with_a_body": "a frame of kind 9 that is not empty",
    "answer_within_an_answer": "a frame of kind 4 that nobody asked for",
    "huge_plain_aside": "body of 4294967295 bytes, limit",
    "plain_aside_of_another": "an answer to invocation",
    "plain_aside_with_a_body": "frame of kind 0, version 0",
    "plain_aside_twice": "a frame of kind 4 that nobody asked for",
    "ready_aside": "a frame of kind 2 that nobody asked for",
}


@pytest.mark.parametrize(("play", "says"), BREACHES.items(), ids=BREACHES)
def test_a_breach_costs_its_own_invocation(peer: Peer, play: str, says: str) -> None:
    """
    Garbage, forged ids, sizes and structures that explode, two answers: Crashed, and how it broke
    the protocol; the worker is gone, little was held, and the next call is answered by another.
    """
    hostile = peer()
    first = hostile.pid()

    result, grown = grown_bytes(lambda: hostile.play(play))

    assert isinstance(result.outcome, Crashed)
    assert result.outcome.reason.startswith("broke the protocol: ")
    assert says in result.outcome.reason
    assert b"forged" not in result.payload
    assert grown < SPARE_BYTES
    assert {"worker": first} == printed_pids(result.log)
    assert_ended(result)
    assert first != hostile.pid()


@pytest.mark.parametrize("play", ["forged_for_another", "huge_length", "twice_at_once"])
def test_a_breach_of_a_cold_call(peer: Peer, play: str) -> None:
    """The same before anything was ever answered well: READY, then the breach."""
    hostile = peer()

    result = hostile.play(play)

    assert isinstance(result.outcome, Crashed)
    assert result.outcome.reason.startswith("broke the protocol: ")
    assert_ended(result)
    assert hostile.ask().ok


@pytest.mark.parametrize(
    "play",
    [
        *("nothing", "half_a_frame", "dribbling"),
        *("first_piece_only", "plain_aside_first_piece_only"),
    ],
)
def test_silence_costs_its_own_deadline(peer: Peer, play: str) -> None:
    """No answer, half of one, or one that comes a byte at a time for ever: TimedOut, in time."""
    hostile = peer(LIMIT_S)
    first = hostile.pid()

    result, grown = grown_bytes(lambda: hostile.play(play))

    assert TimedOut(limit_s=LIMIT_S) == result.outcome
    assert grown < SPARE_BYTES
    assert_ended(result)
    assert first != hostile.pid()


@pytest.mark.parametrize(
    ("play", "outcome"),
    [
        ("half_a_frame_and_exit", Crashed(exit_code=0)),
        ("first_piece_and_exit", Crashed(exit_code=0)),
        ("closing_everything", Crashed(reason="closed its channel")),
    ],
)
def test_an_end_in_the_middle_is_a_crash(peer: Peer, play: str, outcome: Crashed) -> None:
    """Exit after half an answer, or all descriptors closed: Crashed, without waiting."""
    hostile = peer()
    first = hostile.pid()

    result = hostile.play(play)

    assert outcome == result.outcome
    assert_ended(result)
    assert first != hostile.pid()


@pytest.mark.parametrize(
    "play",
    [
        "ahead_from_a_thread",
        "ahead_after_the_answer",
        "plain_ahead_after_the_answer",
        "again_after_the_answer",
        "noise_from_a_thread",
        "noise_after_the_answer",
        "half_a_frame_after_the_answer",
    ],
)
def test_what_is_said_between_two_calls_answers_neither(peer: Peer, play: str) -> None:
    """
    An idle worker answers the next request before it is asked, its last one once more, or says
    something else: nobody gets that for an answer. The worker is ended when it is found out, which
    is when it is to serve next: that event goes to another, unless this one has already read it.
    """
    hostile = peer()
    before = hostile.play(play)
    hostile.wait_until_told()

    found = hostile.ask()

    assert (True, b"well") == (before.ok, before.payload)
    if not found.ok:
        assert isinstance(found.outcome, Crashed)
        assert found.outcome.reason.startswith("broke the protocol: ")
    assert b"forged" not in found.payload
    assert_ended(before)
    assert hostile.pid() not in printed_pids(before.log).values()


def test_a_second_answer_is_nobodys(peer: Peer) -> None:
    """
    A handler that answers in its worker's place has answered; what its worker then says as well
    reaches no other caller.
    """
    hostile = peer()
    before = hostile.play("itself_and_again")
    hostile.wait_until_told()

    found = hostile.ask()

    assert (True, b"forged") == (before.ok, before.payload)
    if not found.ok:
        assert isinstance(found.outcome, Crashed)
        assert "an answer to invocation" in found.outcome.reason
    assert hostile.ask().ok
    assert_ended(before)


def test_the_shared_memory_cannot_be_taken_away(peer: Peer) -> None:
    """
    What a worker shares with the supervisor it can neither shorten nor lengthen nor seal, and what
    it empties reads as zeros: the supervisor never reads where there is nothing, which would end it.
    """
    hostile = peer()

    result = hostile.play("shrinking_the_window")

    assert bytes(MiB) == result.payload
    assert b", ".join([b"Operation not permitted"] * 3) in result.log
    assert hostile.ask().ok


def test_what_changes_while_it_is_read_is_an_answer_all_the_same(peer: Peer) -> None:
    """
    A worker that goes on writing into the shared memory spoils its own answer only: it has the
    length that was told, and the next call is answered well.
    """
    hostile = peer()

    result = hostile.play("scribbling")

    assert (True, 8 * MiB) == (result.ok, len(result.payload))
    assert hostile.ask().ok
