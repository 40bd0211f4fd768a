"""
Large bodies beside the pipes: memory that the two sides of one instance share.

Most of what a megabyte costs in a pipe are the pages that the kernel finds for it and gives back
again. A *window* is a memfd that both sides have mapped from the start, half of it for events and
half for results, and its pages stay. The frame in the pipe says only how large the body is
(`wire.ASIDE`), and what fits half a window is there when the frame comes. A larger body goes
through it as a ship through a lock, a piece at a time: who receives says that a piece has been
taken (`Kind.TOOK`), who sends that the next one is there (`Kind.PIECE`). So nobody ever waits for
anything but his pipe, and a body of any size needs no memory of its own on the way.

The file is sealed: nobody can make it shorter, so reading it never faults. What stands in it may
change at any time, as a worker is not trusted: the supervisor takes one copy and looks at that.
No policy and no waiting here.
"""

import fcntl
import io
import mmap
import os
from contextlib import suppress
from typing import Final

PIECE_BYTES: Final = 1024 * 1024
_WINDOW_BYTES: Final = 2 * PIECE_BYTES
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def make_window_file() -> int:
    """A descriptor of its memory, to be given to `Window` on both sides. Raises OSError."""
    fd = os.memfd_create("fc-window", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, _WINDOW_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


class Window:
    """One side's view of the file *fd*, which may be closed afterwards. Raises OSError."""

    __slots__ = ("_map",)

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _WINDOW_BYTES)

    def close(self) -> None:
        """Safe to call twice. Whoever is in the middle of a body gets a ValueError."""
        with suppress(BufferError):  # in a fork, whose other threads are in the middle of a body
            self._map.close()

    def send_event(self, body: bytes) -> "Sender":
        return Sender(self._map, 0, body)

    def receive_event(self, size: int) -> "Receiver":
        return Receiver(self._map, 0, size)

    def send_result(self, body: bytes) -> "Sender":
        return Sender(self._map, PIECE_BYTES, body)

    def receive_result(self, size: int) -> "Receiver":
        return Receiver(self._map, PIECE_BYTES, size)


class Sender:
    """Lays *body* into a window; its first piece is there at once."""

    __slots__ = ("_at", "_body", "_map", "_sent")

    def __init__(self, window: mmap.mmap, at: int, body: bytes) -> None:
        self._map = window
        self._at = at
        self._body = memoryview(body)
        self._sent = 0
        self.lay()

    @property
    def left(self) -> int:
        """Bytes that have not been laid yet."""
        return len(self._body) - self._sent

    def lay(self) -> None:
        """The next piece, where the last one has been taken."""
        piece = self._body[self._sent : self._sent + PIECE_BYTES]
        self._map[self._at : self._at + len(piece)] = piece
        self._sent += len(piece)


class Receiver:
    """Takes a body of *size* bytes out of a window; its first piece is taken at once."""

    __slots__ = ("_at", "_body", "_map", "left")

    def __init__(self, window: mmap.mmap, at: int, size: int) -> None:
        self._map = window
        self._at = at
        self.left = size
        self._body: io.BytesIO | bytes = b""
        if size > PIECE_BYTES:
            # As large as it gets from the start: one that grows is moved, and malloc gives its
            # pages back to the kernel and asks for new ones, over and over.
            self._body = io.BytesIO()
            self._body.seek(size - 1)
            self._body.write(b"\0")
            self._body.seek(0)
            self.take()
        else:
            self._body = window[at : at + size]
            self.left = 0

    def take(self) -> None:
        """The next piece, where the sender has said that it is there."""
        if isinstance(self._body, bytes):
            raise TypeError("it is whole")
        size = min(self.left, PIECE_BYTES)
        with memoryview(self._map) as whole:
            self._body.write(whole[self._at : self._at + size])
        self.left -= size

    def body(self) -> bytes:
        """All of it, once nothing is left."""
        return self._body if isinstance(self._body, bytes) else self._body.getvalue()
