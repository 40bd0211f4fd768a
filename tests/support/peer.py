"""One instance's pipes with no process behind them: the test plays the worker."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fc_runtime.dispatch.channel import Channel
from fc_worker import messages as m, wire
from fc_worker.wire import Decoder, Frame, Kind


class Peer:
    """Both ends of both pipes; ours in `channel`, the worker's here."""

    def __init__(self) -> None:
        self.request_fd, request_in = os.pipe2(os.O_CLOEXEC)
        response_out, self.response_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(request_in, False)
        os.set_blocking(response_out, False)
        self.channel = Channel(request_in, response_out)
        self._decoder = Decoder(2**32 - 1)
        self._frames: list[Frame] = []
        self._threads: list[threading.Thread] = []

    def read_frame(self, at_a_time: int = 65_536) -> Frame:
        """The next request, read in small bites; blocks."""
        while not self._frames:
            data = os.read(self.request_fd, at_a_time)
            assert data, "the request pipe was closed"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def answer(
        self,
        kind: Kind = Kind.RESULT,
        body: bytes = b"",
        *,
        invocation: int,
        headers: dict[str, Any] | None = None,
    ) -> bytes:
        """The bytes of an answer."""
        told = {m.STATUS: m.STATUS_RETURNED} if headers is None else headers
        return wire.encode(kind, invocation, told, len(body)) + body

    def write(self, data: bytes, at_a_time: int = 2**30) -> None:
        """All of *data*; blocks."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.response_fd, view[:at_a_time]) :]

    def play(self, part: Callable[[], None]) -> None:
        """Run *part* in a thread; `close` joins it. It ends quietly when our ends close."""

        def run() -> None:
            with suppress(OSError):
                part()

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def hang_up(self) -> None:
        """The worker's ends close, as they do when its process ends."""
        for name in ("request_fd", "response_fd"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def close(self) -> None:
        self.channel.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self.hang_up()
