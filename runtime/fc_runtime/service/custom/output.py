"""
The function's log on standard output, which the platform collects: its own lines between FC's
Start and End lines (spec 6.1, 6.2).

Everything of an invocation is written before its answer goes out: FC freezes the instance then.
One write at a time, so that what two invocations say is never mixed within a line.
"""

import asyncio
import json
import os
import select
import threading
from typing import Final

from fc_runtime.outcome import InitializationFailed, Raised, ResponseRejected, Result, describe

STDOUT: Final = 1
INVOKE: Final = "Invoke"
INITIALIZE: Final = "Initialize"
PRE_STOP: Final = "PreStop"
PRE_FREEZE: Final = "PreFreeze"
CANCELLED: Final = "Invocation canceled by client"


class Output:
    """Writes to a descriptor; a reader who is slow delays the answers, not the event loop."""

    def __init__(self, fd: int = STDOUT) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._writable = select.poll()
        self._writable.register(fd, select.POLLOUT)

    async def start(self, what: str, request_id: str) -> None:
        await self._write(started(what, request_id))

    async def end(self, what: str, request_id: str, log: bytes, error: str = "") -> None:
        """*log*: what the function wrote; *error*: why it failed, empty if it did not."""
        await self._write(lines(log) + ended(what, request_id, error))

    def write(self, text: bytes) -> None:
        """For other threads than the loop's. Blocks until all of it is written."""
        self._write_alone(text)

    async def _write(self, text: bytes) -> None:
        # What poll says of a pipe is true of PIPE_BUF bytes, and of nothing larger.
        if len(text) <= select.PIPE_BUF and self._lock.acquire(blocking=False):
            try:
                if self._writable.poll(0):
                    self._write_all(text)
                    return
            finally:
                self._lock.release()
        # A caller who is cancelled does not leave half a line.
        await asyncio.shield(asyncio.to_thread(self._write_alone, text))

    def _write_alone(self, text: bytes) -> None:
        with self._lock:
            self._write_all(text)

    def _write_all(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody has made the pipe that we share non-blocking
                self._writable.poll()
            except BrokenPipeError:
                return  # nobody collects it any more, and there is nobody else to tell


def started(what: str, request_id: str) -> bytes:
    return f"FC {what} Start RequestId: {request_id}\n".encode()


def ended(what: str, request_id: str, error: str = "") -> bytes:
    suffix = f", Error: {error}" if error else ""
    return f"FC {what} End RequestId: {request_id}{suffix}\n".encode()


def lines(log: bytes) -> bytes:
    """What follows begins on a line of its own."""
    return log if not log or log.endswith(b"\n") else log + b"\n"


def error_suffix(result: Result) -> str:
    """What the End line says of a failure, as FC does (spec 5.B, 6.2); empty if there is none."""
    if result.ok:
        return ""
    outcome = result.outcome
    if isinstance(outcome, InitializationFailed):
        outcome = outcome.cause
    if isinstance(outcome, Raised | ResponseRejected):
        return "Unhandled function error"
    body = json.loads(result.payload)  # made by us, for every outcome
    message = body.get("errorMessage") if isinstance(body, dict) else None
    return " ".join(str(message or describe(outcome)).split())


def with_initialization(result: Result) -> bytes:
    """The log of a cold start, what the initializer wrote between lines of its own."""
    size = result.init_log_bytes
    if not size:
        return result.log
    return b"".join(
        (
            started(INITIALIZE, result.request_id),
            lines(result.log[:size]),
            ended(INITIALIZE, result.request_id),
            result.log[size:],
        )
    )
