"""Bodies through a window: the same bytes, however many pieces, and a file that nobody shortens."""

import fcntl
import os
from collections.abc import Iterator

import pytest
from fc_worker.lane import PIECE_BYTES, Receiver, Sender, Window, make_window_file


@pytest.fixture
def file() -> Iterator[int]:
    fd = make_window_file()
    yield fd
    os.close(fd)


@pytest.fixture
def sides(file: int) -> Iterator[tuple[Window, Window]]:
    """Two mappings of one file, as the two processes have them."""
    pair = Window(file), Window(file)
    yield pair
    for window in pair:
        window.close()


def carried(sender: Sender, receiver: Receiver) -> bytes:
    """One piece after the other, as the frames in the pipes have it."""
    while receiver.left:
        sender.lay()
        receiver.take()
    assert not sender.left
    return receiver.body()


@pytest.mark.parametrize(
    "size",
    [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 5 * PIECE_BYTES + 7],
)
def test_what_is_laid_is_received(sides: tuple[Window, Window], size: int) -> None:
    """Events one way and results the other, of any number of pieces, as bytes."""
    ours, theirs = sides
    event, result = os.urandom(size), os.urandom(size)

    for _ in range(2):
        got = carried(ours.send_event(event), theirs.receive_event(size))
        assert (bytes, event) == (type(got), got)
        got = carried(theirs.send_result(result), ours.receive_result(size))
        assert (bytes, result) == (type(got), got)


def test_the_two_ways_do_not_meet(sides: tuple[Window, Window]) -> None:
    """An event and a result may stand in it at the same time, whole pieces of both."""
    ours, theirs = sides
    event, result = os.urandom(PIECE_BYTES), os.urandom(PIECE_BYTES)
    going, coming = ours.send_event(event), theirs.send_result(result)

    assert event == carried(going, theirs.receive_event(PIECE_BYTES))
    assert result == carried(coming, ours.receive_result(PIECE_BYTES))


@pytest.mark.parametrize("size", [0, 1, 2**30])
def test_its_size_is_fixed(file: int, size: int) -> None:
    """Neither shorter, which would end whoever reads it, nor longer."""
    with pytest.raises(PermissionError):
        os.ftruncate(file, size)


def test_it_takes_no_more_seals(file: int) -> None:
    """Else a worker could keep the supervisor from writing."""
    with pytest.raises(PermissionError):
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_a_mapping_outlives_the_descriptor() -> None:
    """Both sides let go of the file once they have mapped it."""
    fd = make_window_file()
    ours, theirs = Window(fd), Window(fd)
    os.close(fd)

    assert b"event" == carried(ours.send_event(b"event"), theirs.receive_event(5))
    ours.close()
    theirs.close()


def test_a_closed_window_is_an_error_not_a_crash(sides: tuple[Window, Window]) -> None:
    """Who is in the middle of a body when it is closed hears of it; closing twice is fine."""
    ours, _ = sides
    sender = ours.send_event(bytes(2 * PIECE_BYTES))
    ours.close()
    ours.close()

    with pytest.raises(ValueError, match="closed"):
        sender.lay()
