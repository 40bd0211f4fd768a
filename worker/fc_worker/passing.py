"""
Large bodies on the worker's side: in with an event, out with a result, through the window.

The supervisor's side of the same conversation is `fc_runtime.dispatch.exchange`. Here it blocks:
a worker has nothing else to do, and one whose supervisor is gone has nothing to do at all.
"""

import os
from collections.abc import Callable
from typing import Any, Final

from fc_worker import wire
from fc_worker.lane import Window
from fc_worker.wire import Frame, Kind

READ_BYTES: Final = 64 * 1024


class Passage:
    """
    Args:
        request_fd: where the supervisor speaks; what it says is decoded here, and by `feed`.
        write: takes all of what is to be said.
    """

    def __init__(self, window: Window, request_fd: int, write: Callable[[bytes], None]) -> None:
        self._window = window
        self._in = request_fd
        self._write = write
        # The supervisor is trusted, and what is larger than anything comes through the window.
        self.feed = wire.Decoder(max_body_bytes=2**32 - 1).feed

    def close(self) -> None:
        """In a copy of the process, whose window it is not."""
        self._window.close()

    def whole(self, frame: Frame) -> Frame:
        """*frame* with the body that has been laid aside."""
        receiver = self._window.receive_event(frame.aside)
        while receiver.left:
            self._write(wire.encode_signal(Kind.TOOK, frame.invocation))
            self._wait_for(Kind.PIECE)
            receiver.take()
        return frame._replace(body=receiver.body(), aside=0)

    def send_result(self, invocation: int, headers: dict[str, Any], body: bytes) -> None:
        """A RESULT whose body does not go through the pipe."""
        sender = self._window.send_result(body)
        self._write(wire.encode(Kind.RESULT, invocation, headers, len(body), wire.ASIDE))
        while sender.left:
            self._wait_for(Kind.TOOK)
            sender.lay()
            self._write(wire.encode_signal(Kind.PIECE, invocation))

    def send_plain_result(self, invocation: int, body: bytes, microseconds: int) -> None:
        """As `wire.encode_plain`, for a body of at most `lane.PIECE_BYTES`."""
        self._window.send_result(body)
        self._write(wire.encode_plain_aside(invocation, len(body), microseconds))

    def _wait_for(self, kind: Kind) -> None:
        """The one thing that the supervisor has to say now. Raises WireError."""
        frames: list[Frame] = []
        while not frames:
            data = os.read(self._in, READ_BYTES)
            if not data:
                os._exit(0)
            frames = self.feed(data)
        if [kind] != [frame.kind for frame in frames]:
            raise wire.WireError(f"a frame of kind {frames[0].kind}, where {kind} was due")
