"""
The waiting caller is the watchdog (D7): what it looks at, and how often.

The first wait is a millisecond long and looks at nothing: most warm calls end in it. From then
on, and of a start from its beginning, the deadline, the tree's memory and the size of the log are
looked at every 20 ms, more often when memory is getting short.
"""

import ctypes
import os
from enum import Enum, auto
from typing import Final, NamedTuple

from fc_runtime.isolation.tiers import Cell, Meter, Reading

FIRST_MS: Final = 1
PERIOD_MS: Final = 20
CLOSE_MS: Final = 4  # when more than half of the memory is in use, and nobody else sees to it
LOG_BYTES: Final = 1024 * 1024  # head and tail of a log are kept, each of this size
MOST_LOG_BYTES: Final = 32 * LOG_BYTES  # how long its file gets, for the tail's sake

_PUNCH_HOLE_KEEP_SIZE: Final = 0x02 | 0x01
_fallocate: Final = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)


class Ending(Enum):
    """Why a driver came back."""

    ANSWERED = auto()
    GONE = auto()  # the process ended, or closed its pipe
    BROKEN = auto()  # it broke the protocol
    TIMED_OUT = auto()
    OUT_OF_MEMORY = auto()
    TOO_MANY_PROCESSES = auto()  # where we count them, and not the kernel


class Guarded(NamedTuple):
    """What a watch guards."""

    cell: Cell
    limit_bytes: int
    most_processes: int
    log_fd: int
    scratch_mb: int  # how long any file may get


class Watch:
    """The limits of one invocation, from outside."""

    __slots__ = (
        "_cell",
        "_limit_bytes",
        "_log_fd",
        "_meter",
        "_most_log_bytes",
        "_most_processes",
        "cut",
        "peak_bytes",
        "period_ms",
        "reading",
    )

    def __init__(
        self,
        cell: Cell,
        limit_bytes: int,
        most_processes: int,
        log_fd: int,
        scratch_mb: int,
    ) -> None:
        self._cell = cell
        self._limit_bytes = limit_bytes
        self._most_processes = most_processes
        self._log_fd = log_fd
        self._most_log_bytes = min(MOST_LOG_BYTES, scratch_mb * LOG_BYTES // 2)
        self._meter: Meter | None = None
        self.period_ms = PERIOD_MS
        self.peak_bytes = 0
        self.cut = False  # has the log lost its middle?
        self.reading: Reading | None = None

    def look(self, pid: int | None) -> Ending | None:
        """One look; why to end it, or None. *pid* is None until the zygote has told it."""
        if pid is not None:
            if self._meter is None:
                self._meter = self._cell.meter(pid)
            reading = self.reading = self._meter.read()
            used = reading.tree_bytes
            self.peak_bytes = max(self.peak_bytes, used)
            if used > self._limit_bytes or reading.killed_for_memory:
                return Ending.OUT_OF_MEMORY
            if reading.processes > self._most_processes:
                return Ending.TOO_MANY_PROCESSES
            short = 2 * used > self._limit_bytes and not reading.enforced
            self.period_ms = CLOSE_MS if short else PERIOD_MS
        size = os.fstat(self._log_fd).st_size
        if size > 2 * LOG_BYTES:
            self._cut(size)
        return None

    def _cut(self, size: int) -> None:
        """
        Keeps head and tail of a log of *size* bytes; `instance.take_log` marks the cut.

        The middle becomes a hole, as the last line may be there already or be written right now. A
        file has its own limit of size, though, and there a flood begins anew behind the head.
        """
        if size <= self._most_log_bytes:
            middle = size - 2 * LOG_BYTES
            if _fallocate(self._log_fd, _PUNCH_HOLE_KEEP_SIZE, LOG_BYTES, middle) == 0:
                return
        os.ftruncate(self._log_fd, LOG_BYTES)
        self.cut = True

    def close(self) -> None:
        if self._meter is not None:
            self._meter.close()
            self._meter = None
