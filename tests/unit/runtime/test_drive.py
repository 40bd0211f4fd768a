"""
Both drivers, held to one specification, over real pipes with the test in the worker's place.

A driver moves bytes, waits until the next look, and reports the end of file; what bytes mean and
what must not last is asked of `Call`.
"""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fc_runtime.dispatch import drive_async, drive_sync
from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.exchange import Exchange
from fc_runtime.dispatch.watch import CLOSE_MS, LOG_BYTES, PERIOD_MS, Ending, Guarded
from fc_runtime.isolation.tiers import Reading
from fc_worker import messages as m, wire
from fc_worker.wire import Decoder, Kind
from support.peer import Peer

INVOCATION = 9
LIMIT = 1000
MOST = 8  # processes
SCRATCH_MB = 512
MiB = 2**20
MS = 1_000_000
FAR_NS = 20_000 * MS


class Tier:
    """A cell that reads one figure for ever."""

    folders = ()

    def __init__(self, tree_bytes: int = 0) -> None:
        self.tree_bytes = tree_bytes
        self.meters = 0

    def meter(self, _pid: int) -> "Tier":
        self.meters += 1
        return self

    def read(self) -> Reading:
        return Reading(self.tree_bytes)

    def close(self) -> None:
        self.meters -= 1

    def kill(self, _pid: int, _pidfd: int, _init_pidfd: int) -> None:
        raise AssertionError("a driver ends nobody")

    def ran_out_of_memory(self) -> bool:
        return False

    def members(self) -> tuple[int, ...]:
        return ()


class Stage:
    """A peer, and the call that is made to it."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.log_fd = os.memfd_create("log")
        self.tier = Tier()

    def call(
        self,
        event: bytes = b"event",
        *,
        cold: bool = False,
        left_ns: int = FAR_NS,
        timeout_ns: int = FAR_NS,
        channel: Channel | None = None,
        placement: Any = None,
    ) -> Call:
        exchange = Exchange(Decoder(32 * MiB), INVOCATION)
        if cold:
            exchange.ask_to_initialize({m.REQUEST_ID: "r"})
        exchange.ask_to_invoke({m.REQUEST_ID: "r"}, event)
        now = time.monotonic_ns()
        return Call(
            channel or self.peer.channel,
            exchange,
            Guarded(self.tier, LIMIT, MOST, self.log_fd, SCRATCH_MB),
            started_ns=now,
            deadline_ns=now + left_ns,
            timeout_ns=timeout_ns,
            placement=placement,
        )

    def answer(self, body: bytes = b"", kind: Kind = Kind.RESULT) -> bytes:
        return self.peer.answer(kind, body, invocation=INVOCATION)

    def close(self) -> None:
        self.peer.close()
        os.close(self.log_fd)


def by_asyncio(call: Call) -> Ending:
    return asyncio.run(drive_async.drive(call))


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(params=[drive_sync.drive, by_asyncio], ids=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Callable[[Call], Ending]:
    driver: Callable[[Call], Ending] = request.param
    return driver


Drive = Callable[[Call], Ending]


def test_a_warm_call(stage: Stage, drive: Drive) -> None:
    """Event out, answer in."""
    peer = stage.peer
    seen = []

    def worker() -> None:
        seen.append(peer.read_frame())
        peer.write(stage.answer(b"value"))

    peer.play(worker)
    call = stage.call()

    assert Ending.ANSWERED is drive(call)
    assert [b"event"] == [frame.body for frame in seen]
    assert call.exchange.reply is not None
    assert b"value" == call.exchange.reply.body
    assert call.started_ns == call.began_ns <= call.ended_ns
    assert {m.STATUS: 0} == call.headers()
    assert call.init_ns() is None
    call.let_go()  # nobody had to look: nothing to let go of


def test_a_cold_call(stage: Stage, drive: Drive) -> None:
    """INITIALIZE and INVOKE go out together; the handler's time counts from READY."""
    peer = stage.peer

    def worker() -> None:
        assert Kind.INITIALIZE == peer.read_frame().kind
        told = {m.STATUS: 0, m.INIT_NS: 77}
        peer.write(peer.answer(Kind.READY, invocation=INVOCATION, headers=told))
        assert Kind.INVOKE == peer.read_frame().kind
        peer.write(stage.answer(b"value"))

    peer.play(worker)
    call = stage.call(cold=True, timeout_ns=FAR_NS // 2)

    assert Ending.ANSWERED is drive(call)
    assert call.started_ns < call.began_ns <= call.ended_ns
    assert call.began_ns + FAR_NS // 2 == call.deadline_ns
    assert 77 == call.init_ns()


def test_a_large_event_to_a_slow_reader(stage: Stage, drive: Drive) -> None:
    """Many partial writes, while the worker takes small bites: every byte arrives, in order."""
    peer = stage.peer
    event = os.urandom(1024) * 2048
    seen = []

    def worker() -> None:
        seen.append(peer.read_frame(at_a_time=10_000))
        peer.write(stage.answer())

    peer.play(worker)

    assert Ending.ANSWERED is drive(stage.call(event))
    assert event == seen[0].body


def test_a_large_answer_in_pieces(stage: Stage, drive: Drive) -> None:
    """Many partial reads, with an answer larger than any pipe."""
    peer = stage.peer
    body = os.urandom(1024) * 3072

    def worker() -> None:
        peer.read_frame()
        peer.write(stage.answer(body), at_a_time=100_001)

    peer.play(worker)
    call = stage.call()

    assert Ending.ANSWERED is drive(call)
    assert call.exchange.reply is not None
    assert body == call.exchange.reply.body


@pytest.mark.parametrize("said", [0, 10, 21], ids=["nothing", "half a prefix", "half a frame"])
def test_the_end_of_the_file(stage: Stage, drive: Drive, said: int) -> None:
    """The worker's end is closed before the answer is whole: GONE, at once."""
    stage.peer.write(stage.answer(b"value")[:said])
    stage.peer.hang_up()

    assert Ending.GONE is drive(stage.call())


def test_an_answer_from_a_worker_without_ears(stage: Stage, drive: Drive) -> None:
    """It closed its request pipe, but what it had answered before counts."""
    peer = stage.peer
    os.close(peer.request_fd)
    peer.request_fd = -1
    peer.write(stage.answer(b"value"))

    assert Ending.ANSWERED is drive(stage.call())


def test_an_answer_before_the_event_was_read(stage: Stage, drive: Drive) -> None:
    """Nobody can have handled an event that is still on its way: a forgery."""
    stage.peer.write(stage.answer(b"value"))
    call = stage.call(bytes(4 * MiB))

    assert Ending.BROKEN is drive(call)
    assert "an answer before the event was read" == call.breach


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"\xff" * 100, "frame of kind 255"),
        (wire.PREFIX.pack(2**32 - 1, 0, INVOCATION, Kind.RESULT, 1, 0), "body of 4294967295 bytes"),
        (wire.encode(Kind.RESULT, INVOCATION + 1, {m.STATUS: 0}, 0), "invocation 10, not 9"),
    ],
    ids=["garbage", "4 GiB", "forged"],
)
def test_a_breach_of_protocol(stage: Stage, drive: Drive, sent: bytes, says: str) -> None:
    """BROKEN, with what was wrong, and nothing is kept of it."""
    stage.peer.write(sent)
    call = stage.call()

    assert Ending.BROKEN is drive(call)
    assert says in call.breach
    assert {} == call.headers()


def test_no_answer_by_the_deadline(stage: Stage, drive: Drive) -> None:
    """TIMED_OUT: never before the deadline, and soon after it."""
    call = stage.call(left_ns=25 * MS)

    assert Ending.TIMED_OUT is drive(call)
    assert call.deadline_ns <= call.ended_ns < call.deadline_ns + 1000 * MS


def test_the_handlers_deadline_counts_from_ready(stage: Stage, drive: Drive) -> None:
    """Within the initialization's limit, but over the invocation's: the shorter one is in force."""
    stage.peer.write(stage.answer(kind=Kind.READY))
    call = stage.call(cold=True, timeout_ns=25 * MS)

    assert Ending.TIMED_OUT is drive(call)
    assert call.began_ns + 25 * MS <= call.ended_ns < call.began_ns + 1000 * MS


def test_an_event_that_nobody_reads(stage: Stage, drive: Drive) -> None:
    """A worker that does not read its request pipe cannot keep its caller beyond the deadline."""
    call = stage.call(bytes(4 * MiB), left_ns=25 * MS)

    assert Ending.TIMED_OUT is drive(call)
    assert call.exchange.unsent


class Trickle(Channel):
    """A channel on which there is always one more byte of a body that never ends."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(os.dup(peer.channel.request_fd), os.dup(peer.channel.response_fd))
        peer.write(b"there is always something to read")
        self._head = wire.PREFIX.pack(32 * MiB, 0, INVOCATION, Kind.RESULT, 1, 0)

    def read(self, _wanted: int) -> bytes:
        head, self._head = self._head, b""
        return head or b"x"


class Nothing(Channel):
    """A channel that wakes its caller again and again for nothing."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(os.dup(peer.channel.request_fd), os.dup(peer.channel.response_fd))
        peer.write(b"there is always something to read")

    def read(self, _wanted: int) -> None:
        return None


@pytest.mark.parametrize("kind", [Trickle, Nothing])
def test_a_trickle_does_not_put_the_deadline_off(
    stage: Stage, drive: Drive, kind: Callable[[Peer], Channel]
) -> None:
    """However busy the pipe is kept, the deadline is looked at."""
    channel = kind(stage.peer)
    call = stage.call(left_ns=30 * MS, channel=channel)

    assert Ending.TIMED_OUT is drive(call)
    assert call.deadline_ns <= call.ended_ns < call.deadline_ns + 1000 * MS
    channel.close()


@pytest.mark.parametrize("kind", [Trickle, Nothing])
def test_a_trickle_does_not_hide_the_memory(
    stage: Stage, drive: Drive, kind: Callable[[Peer], Channel]
) -> None:
    """Nor does it keep the watchdog from the memory."""
    stage.tier = Tier(LIMIT + 1)
    channel = kind(stage.peer)
    channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))
    call = stage.call(channel=channel)

    assert Ending.OUT_OF_MEMORY is drive(call)
    assert LIMIT + 1 == call.peak_bytes
    channel.close()


def test_memory_is_watched_while_waiting(stage: Stage, drive: Drive) -> None:
    """Over the limit while the handler runs: OUT_OF_MEMORY, with the figure, long before the deadline."""
    stage.tier = Tier(LIMIT + 1)
    stage.peer.channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))
    call = stage.call()

    assert Ending.OUT_OF_MEMORY is drive(call)
    assert LIMIT + 1 == call.peak_bytes
    assert 0 < call.ended_ns < call.deadline_ns
    assert 1 == stage.tier.meters
    call.let_go()
    assert 0 == stage.tier.meters


@pytest.mark.parametrize("said", [b"", b"value"], ids=["without", "with"])
def test_a_dead_worker_whose_child_holds_the_pipe(stage: Stage, drive: Drive, said: bytes) -> None:
    """No end of file comes; the pidfd says it. An answer that it gave before it died counts."""
    channel = stage.peer.channel
    with subprocess.Popen(["true"]) as process:
        channel.adopt(process.pid, os.pidfd_open(process.pid))
        if said:
            stage.peer.write(stage.answer(said))
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert (Ending.ANSWERED if said else Ending.GONE) is drive(stage.call())


def test_the_log_is_cut_while_waiting(stage: Stage, drive: Drive) -> None:
    """A handler that floods its log loses the middle of it while it runs, not the memory of the host."""
    os.write(stage.log_fd, bytes(9 * LOG_BYTES))
    call = stage.call(left_ns=40 * MS)

    assert Ending.TIMED_OUT is drive(call)
    seen = os.fstat(stage.log_fd)
    assert (9 * LOG_BYTES, 2 * LOG_BYTES) == (seen.st_size, 512 * seen.st_blocks)


def test_a_placement_is_let_go_after_the_first_wait(stage: Stage, drive: Drive) -> None:
    """What was borrowed is given back while waiting, once."""

    class Borrowed:
        times = 0

        def let_go(self) -> None:
            self.times += 1

    borrowed = Borrowed()

    assert Ending.TIMED_OUT is drive(stage.call(left_ns=50 * MS, placement=borrowed))
    assert 1 == borrowed.times


def test_a_process_that_is_told_of_while_waiting(stage: Stage, drive: Drive) -> None:
    """The supervisor may adopt it while the caller waits already: from then on its end is seen."""
    peer = stage.peer
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:

        def supervisor() -> None:
            peer.read_frame()
            peer.channel.adopt(process.pid, os.pidfd_open(process.pid))
            process.terminate()

        peer.play(supervisor)

        assert Ending.GONE is drive(stage.call())


def test_going_on_where_another_has_begun(stage: Stage, drive: Drive) -> None:
    """Bytes that are out are not sent again, bytes that are in are not waited for."""
    answer = stage.answer(b"value")
    call = stage.call()
    whole = b"".join(call.exchange.unsent)
    earlier_ns = call.started_ns - 5 * MS
    deadline_ns = call.deadline_ns
    call.resume(earlier_ns, None, len(whole) - 3, answer[:7])
    seen = []

    def worker() -> None:
        seen.append(os.read(stage.peer.request_fd, 100))
        stage.peer.write(answer[7:])

    stage.peer.play(worker)
    assert call.has_early
    assert earlier_ns == call.started_ns == call.began_ns
    assert deadline_ns - 5 * MS == call.deadline_ns

    assert Ending.ANSWERED is drive(call)
    assert [whole[-3:]] == seen
    assert not call.has_early


@pytest.mark.parametrize(
    ("left_ns", "wait_ms"),
    [
        (-FAR_NS, 0),
        (-1, 0),
        (0, 0),
        (MS // 2, 0.5),
        (MS, 1),
        (MS + MS // 4, 1.25),
        (PERIOD_MS * MS + 1, PERIOD_MS),
        (FAR_NS, PERIOD_MS),
    ],
)
def test_waits_end_at_the_deadline(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, left_ns: int, wait_ms: float
) -> None:
    """Milliseconds, and parts of one: until the deadline or the next look, never below zero."""
    call = stage.call()
    now = call.deadline_ns - left_ns
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)

    assert wait_ms == call.wait_ms()


def test_waits_get_shorter_when_memory_is_short(stage: Stage) -> None:
    """The watch says when to look again."""
    stage.tier = Tier(LIMIT)
    stage.peer.channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))
    call = stage.call()
    assert call.look() is None

    assert CLOSE_MS == call.wait_ms()
    call.let_go()


@pytest.mark.parametrize(("timeout_ns", "roomy"), [(2 * MS, False), (2 * MS + 1, True)])
def test_roomy(stage: Stage, timeout_ns: int, roomy: bool) -> None:
    """Only a deadline within the first wait has to be asked before it."""
    assert roomy is stage.call(timeout_ns=timeout_ns).roomy


def test_a_start_is_not_looked_at_in_its_first_millisecond(stage: Stage) -> None:
    """It takes longer than that anyway, and a look at a tree takes two files."""
    call = stage.call(cold=True)
    assert not call.roomy
    assert call.wait_ms() == PERIOD_MS


def test_cancelling_leaves_nothing_in_the_loop(stage: Stage) -> None:
    """A cancelled task takes its readers, writers and timers with it; the pipes stay the call's."""
    peer = stage.peer
    peer.channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))

    async def cancel_half_way() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(drive_async.drive(stage.call(bytes(4 * MiB))))
        arrived = asyncio.Event()
        loop.add_reader(peer.request_fd, arrived.set)
        await arrived.wait()
        loop.remove_reader(peer.request_fd)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        channel = peer.channel
        for fd in (channel.response_fd, channel.pidfd):
            assert not loop.remove_reader(fd)
        assert not loop.remove_writer(channel.request_fd)

    asyncio.run(cancel_half_way())
    os.fstat(peer.channel.request_fd)


def test_an_interrupt_comes_through(stage: Stage, drive: Drive) -> None:
    """What a look raises is the caller's to see, and nothing stays registered behind it."""

    class Interrupted(Tier):
        def read(self) -> Reading:
            raise KeyboardInterrupt

    stage.tier = Interrupted()
    stage.peer.channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))

    with pytest.raises(KeyboardInterrupt):
        drive(stage.call())
    assert not stage.peer.channel.wait(0, writing=False)


def test_many_calls_on_one_channel(stage: Stage, drive: Drive) -> None:
    """A driver leaves the channel as it found it: the next call is served the same way."""
    peer = stage.peer
    rounds = 20
    done = threading.Event()

    def worker() -> None:
        for _ in range(rounds):
            event = peer.read_frame().body
            peer.write(stage.answer(event[::-1]))
        done.set()

    peer.play(worker)
    for number in range(rounds):
        call = stage.call(b"event %d" % number)
        assert Ending.ANSWERED is drive(call)
        assert call.exchange.reply is not None
        assert b"event %d" % number == call.exchange.reply.body[::-1]
    assert done.wait(10)
