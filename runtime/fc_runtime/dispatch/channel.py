"""
The descriptors of one instance, and the four things done with them: write, wait, read, close.

Both pipes are non-blocking on our side only. A wait covers the answer pipe and the pidfd: a
handler's forgotten child may hold the pipe open long after the worker has died.
"""

import array
import fcntl
import os
import select
import termios
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fc_runtime.dispatch.placement import Apart

PIPE_BYTES: Final = 1024 * 1024  # Linux lets anyone go up to here
SMALL_BYTES: Final = 60 * 1024  # fits the 64 KiB that a pipe has anyway
READ_BYTES: Final = 64 * 1024
SELECT_LIMIT: Final = 1024  # FD_SETSIZE
SPIN_S: Final = 0.000_3  # of CPU time, at a deadline only
_READ_EVENTS: Final = select.POLLIN | select.POLLHUP

_closing: Final = threading.Lock()  # who hangs up and who buries may meet
# A fork of the host meanwhile would copy the lock, taken, into a child without its owner.
os.register_at_fork(
    before=_closing.acquire,
    after_in_parent=_closing.release,
    after_in_child=_closing.release,
)


class Channel:
    """Our ends of the two pipes of one instance, and its pidfd once there is one."""

    __slots__ = (
        *("_enlarged", "_poll", "_watched", "apart", "due_ns", "pid", "pidfd", "request_fd"),
        "response_fd",
    )

    def __init__(self, request_fd: int, response_fd: int) -> None:
        self.request_fd = request_fd
        self.response_fd = response_fd
        self.pid: int | None = None
        self.pidfd = -1
        self.apart: Apart | None = None  # where its process was told to wait; see `crowd`
        self.due_ns = 0  # until when a caller on an event loop will have looked; see `back_stop`
        self._enlarged = False
        self._watched = False
        self._poll = select.poll()
        self._poll.register(response_fd, _READ_EVENTS)

    def adopt(self, pid: int, pidfd: int) -> None:
        """
        The process now has a name; takes *pidfd* over. Called by the supervisor's thread: the
        caller, who may be polling right now, adds it to its own set at its next wait.
        """
        self.pidfd = pidfd
        self.pid = pid

    def write(self, parts: Sequence[bytes | memoryview]) -> int:
        """As much as the pipe takes now, in bytes. Raises BrokenPipeError."""
        try:
            if len(parts) == 1:
                return os.write(self.request_fd, parts[0])
            size = len(parts[0]) + len(parts[-1])  # the event, if there is one, is the last
            if size > SMALL_BYTES:
                self._enlarge()
            elif len(parts) == 2:
                return os.write(self.request_fd, b"".join(parts))
            return os.writev(self.request_fd, parts)
        except BlockingIOError:
            return 0

    def write_small(self, frame: bytes) -> int:
        """A whole frame at once, if the pipe is empty as it should be; how much went, in bytes."""
        try:
            return os.write(self.request_fd, frame)
        except (BlockingIOError, BrokenPipeError):
            return 0

    def wait_readable(self, timeout_ms: int) -> bool:
        """As `wait`, when nothing is left to write and the process is known."""
        return bool(self._poll.poll(timeout_ms))

    def readable_within(self, time_ns: int) -> bool:
        """As `wait_readable`, without going to sleep: for a few microseconds only."""
        poll, clock = self._poll.poll, time.monotonic_ns
        until_ns = clock() + time_ns
        while not poll(0):
            if clock() > until_ns:
                return False
        return True

    def read_some(self, most: int) -> bytes | None:
        """What is there; None if nothing is, b"" at the end."""
        try:
            return os.read(self.response_fd, most)
        except BlockingIOError:
            return None

    def wait(self, timeout_ms: float, *, writing: bool) -> bool:
        """Until there is something to read or write, or the process ended; False at the timeout."""
        if not self._watched and self.pid is not None:
            self._watched = True
            self._poll.register(self.pidfd, select.POLLIN)
        if 0 < timeout_ms < 1:
            return self._wait_exactly(timeout_ms, writing=writing)
        # Whole milliseconds only: rather too early, and the rest of one next time, than too late.
        timeout_ms = int(timeout_ms)
        if not writing:
            return bool(self._poll.poll(timeout_ms))
        self._poll.register(self.request_fd, select.POLLOUT)
        try:
            return bool(self._poll.poll(timeout_ms))
        finally:
            self._poll.unregister(self.request_fd)

    def _wait_exactly(self, timeout_ms: float, *, writing: bool) -> bool:
        """The last moments before a deadline: poll counts milliseconds, select microseconds."""
        reading = [self.response_fd, self.pidfd] if self._watched else [self.response_fd]
        ready_to_write = [self.request_fd] if writing else []
        if max((*reading, *ready_to_write)) >= SELECT_LIMIT:
            return bool(self._poll.poll(1))
        until_ns = time.monotonic_ns() + int(timeout_ms * 1e6)
        if any(select.select(reading, ready_to_write, [], max(0.0, timeout_ms / 1000 - SPIN_S))):
            return True
        while time.monotonic_ns() < until_ns:  # waking up from a sleep would take longer
            if self._poll.poll(0):
                return True
        return False

    def read(self, wanted: int) -> bytes | None:
        """What is there, about *wanted* bytes; None if nothing is, b"" at the end."""
        if wanted > READ_BYTES:
            self._enlarge()
            wanted = min(wanted, PIPE_BYTES)
        else:
            wanted = READ_BYTES
        try:
            return os.read(self.response_fd, wanted)
        except BlockingIOError:
            return None

    def unread(self) -> int:
        """Bytes that were written and that nobody has taken out of the pipe, dead or alive."""
        if self.request_fd < 0:
            return 0
        counted = array.array("i", [0])
        fcntl.ioctl(self.request_fd, termios.FIONREAD, counted)
        return counted[0]

    def has_said_something(self) -> bool:
        """As ``wait_readable(0)``, for others than its caller; False for one that is closed."""
        if self.response_fd < 0:
            return False
        poller = select.poll()
        poller.register(self.response_fd, _READ_EVENTS)
        return bool(poller.poll(0))

    def process_ended(self) -> bool:
        """Has the process exited (reaped or not)? Unknown, so False, before there is a pidfd."""
        if self.pidfd < 0:
            return False
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def hang_up(self) -> None:
        """No more requests: an idle worker ends at this."""
        with _closing:
            fd, self.request_fd = self.request_fd, -1  # first: Ctrl-C may come in between
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        with _closing:
            mine = (self.request_fd, self.response_fd, self.pidfd)
            self.request_fd = self.response_fd = self.pidfd = -1
            for fd in mine:
                if fd >= 0:
                    os.close(fd)

    def _enlarge(self) -> None:
        """Bigger pipes for bodies that are worth it: 1.6 to 2 times quicker at 64 KiB."""
        if not self._enlarged:
            self._enlarged = True
            for fd in (self.request_fd, self.response_fd):
                try:
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
                except PermissionError:
                    return  # this user's share of pipe memory is used up: slower, not wrong
