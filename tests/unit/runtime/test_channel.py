"""Two pipes and a pidfd: what is written, what is waited for, what is read, what is closed."""

import errno
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from fc_runtime.dispatch.channel import PIPE_BYTES, READ_BYTES, SMALL_BYTES, Channel
from support.peer import Peer

DEFAULT_PIPE_BYTES = 64 * 1024


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def ended() -> Iterator[int]:
    """The pid of a process that has ended and has not been waited for."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def pipe_bytes(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


@pytest.mark.parametrize(
    "parts",
    [
        [b"head"],
        [b"head", b"event"],
        [b"initialize", b"invoke", b"event"],
        [memoryview(b"xhead")[1:], b"event"],
        [memoryview(b"xevent")[1:]],
    ],
    ids=["one", "two", "cold", "rest of a head", "rest of an event"],
)
def test_parts_arrive_in_order(peer: Peer, parts: list[bytes]) -> None:
    """However many parts a frame has, they go as one stream, and the pipe says how much it took."""
    whole = b"".join(parts)

    assert len(whole) == peer.channel.write(parts)
    assert whole == os.read(peer.request_fd, 1000)


def test_a_full_pipe_takes_nothing_and_blocks_nobody(peer: Peer) -> None:
    """A worker that does not read cannot hold its caller: 0 bytes, at once."""
    channel = peer.channel
    event = bytes(3 * PIPE_BYTES)
    sent = channel.write([b"head", event])

    assert 0 < sent < len(event)
    assert 0 == channel.write([b"head", b"event"])
    assert 0 == channel.write([event])
    assert 0 == channel.write_small(b"frame")
    assert not channel.wait(0, writing=True)

    os.read(peer.request_fd, PIPE_BYTES)
    assert channel.wait(0, writing=True)
    assert 5 == channel.write_small(b"frame")


@pytest.mark.parametrize(
    ("parts", "large"),
    [
        ([b"head", bytes(SMALL_BYTES - 4)], False),
        ([b"head", bytes(SMALL_BYTES)], True),
        ([b"initialize", b"invoke", bytes(SMALL_BYTES)], True),
        ([b"initialize", b"invoke", b"event"], False),
    ],
)
def test_pipes_grow_for_large_events(peer: Peer, parts: list[bytes], large: bool) -> None:
    """A body that is worth it gets larger pipes, both ways, on warm and cold calls alike."""
    peer.channel.write(parts)

    expected = PIPE_BYTES if large else DEFAULT_PIPE_BYTES
    assert [expected] * 2 == [pipe_bytes(peer.request_fd), pipe_bytes(peer.response_fd)]


def test_pipes_grow_for_large_answers(peer: Peer) -> None:
    """A large answer announced: larger pipes, and reads of up to a pipe's size."""
    channel = peer.channel

    assert channel.read(READ_BYTES) is None
    assert DEFAULT_PIPE_BYTES == pipe_bytes(peer.response_fd)
    assert channel.read(READ_BYTES + 1) is None
    assert PIPE_BYTES == pipe_bytes(peer.response_fd)

    peer.write(bytes(PIPE_BYTES))
    assert PIPE_BYTES == len(channel.read(2**40) or b"")


def test_no_right_to_a_larger_pipe(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this user's share of pipe memory is used up it is slower, not wrong; asked once."""
    asked = []

    def refuse(fd: int, *_: int) -> int:
        asked.append(fd)
        raise PermissionError(errno.EPERM, "too much pipe memory")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    event = bytes(DEFAULT_PIPE_BYTES)

    assert peer.channel.write([b"head", event]) > 0
    peer.channel.write([b"head", event])
    assert peer.channel.read(PIPE_BYTES) is None
    assert 1 == len(asked)


def test_reading(peer: Peer) -> None:
    """None while there is nothing, what there is, and b"" at the end, again and again."""
    channel = peer.channel

    assert channel.read(20) is None
    assert channel.read_some(20) is None
    peer.write(b"answer")
    assert b"answer" == channel.read(20)
    peer.write(b"answer")
    assert b"ans" == channel.read_some(3)
    peer.hang_up()
    assert b"wer" == channel.read(20)
    assert [b"", b"", b""] == [channel.read(20), channel.read_some(20), channel.read(2**30)]


def test_a_worker_without_ears(peer: Peer) -> None:
    """It closed the request pipe: BrokenPipeError; the unrolled warm call hears 0 instead."""
    os.close(peer.request_fd)
    peer.request_fd = -1

    for parts in ([b"head"], [b"head", b"event"], [b"a", b"b", b"c"], [b"head", bytes(PIPE_BYTES)]):
        with pytest.raises(BrokenPipeError):
            peer.channel.write(parts)
    assert 0 == peer.channel.write_small(b"frame")
    assert peer.channel.wait(0, writing=True), "the driver must try, and hear it"


@pytest.mark.parametrize(
    "wait",
    [
        lambda channel: channel.wait(0, writing=False),
        lambda channel: channel.wait_readable(0),
    ],
    ids=["wait", "wait_readable"],
)
def test_waiting(peer: Peer, wait: Callable[[Channel], bool]) -> None:
    """Until there is something to read, or the end; room to write is nothing to wait for."""
    channel = peer.channel

    assert not wait(channel)
    peer.write(b"x")
    assert wait(channel)
    channel.read(20)
    assert not wait(channel)
    peer.hang_up()
    assert wait(channel)


def test_waiting_to_write_ends_with_the_wait(peer: Peer) -> None:
    """The request pipe is watched only while there is something to write."""
    channel = peer.channel

    assert channel.wait(0, writing=True)
    assert not channel.wait(0, writing=False)
    assert channel.wait(0, writing=True)


def test_the_end_of_the_process_wakes(peer: Peer, ended: int) -> None:
    """A forgotten child may hold the pipe open: the pidfd tells all the same."""
    channel = peer.channel
    assert not channel.process_ended()
    assert not channel.wait(0, writing=False)

    channel.adopt(ended, os.pidfd_open(ended))

    assert channel.process_ended()
    assert channel.wait(0, writing=False)
    assert channel.wait_readable(0)
    assert channel.read(20) is None


def test_a_living_process_does_not_wake(peer: Peer) -> None:
    """Knowing the process adds nothing to a wait until it ends."""
    channel = peer.channel
    channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))

    assert not channel.process_ended()
    assert not channel.wait(0, writing=False)


def test_hanging_up_ends_the_requests_only(peer: Peer) -> None:
    """An idle worker reads the end of file; what it still says can be read. Twice is once."""
    channel = peer.channel
    channel.hang_up()
    channel.hang_up()

    assert b"" == os.read(peer.request_fd, 1)
    peer.write(b"last words")
    assert b"last words" == channel.read(20)


def test_close_closes_all_of_it_once(peer: Peer) -> None:
    """Pipes and pidfd; a second close must not hit descriptors that others have got since."""
    channel = peer.channel
    channel.adopt(os.getpid(), os.pidfd_open(os.getpid()))
    mine = [channel.request_fd, channel.response_fd, channel.pidfd]
    channel.close()
    for fd in mine:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)

    others = [os.open("/dev/null", os.O_RDONLY) for _ in mine]
    channel.close()
    channel.hang_up()
    for fd in others:
        os.close(fd)
    assert not channel.process_ended()
