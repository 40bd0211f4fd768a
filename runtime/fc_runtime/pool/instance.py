"""
One instance from the outside: its descriptors, its state, what it has lived through.

Who may touch it: the caller that leases it, while it is leased; otherwise the pool, under the
pool's lock. The pid is safe to use until `dispose`: the zygote reaps only when told.
"""

import fcntl
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m
from fc_worker.lane import Window, make_window_file
from fc_worker.wire import Decoder, Frame

from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.placement import QUICK_US
from fc_runtime.dispatch.watch import LOG_BYTES
from fc_runtime.pool import lifecycle
from fc_runtime.pool.lifecycle import State, Trigger

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool
    from fc_runtime.pool.zygote import Zygote

CUT_MARK: Final = b"\n[fc-runtime: the log was longer than %d KiB, its middle is cut out]\n" % (
    2 * LOG_BYTES // 1024
)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. *code* is as subprocess has it, None if nobody could tell."""

    code: int | None
    swept: int = 0  # orphans of its tree that the zygote ended
    survivors: tuple[int, ...] = ()
    reason: str = ""
    of_zygote: bool = False  # which ended so before it could fork this one


class Instance:
    __slots__ = (
        "born_ns",
        "cell",
        "channel",
        "condemned",
        "decoder",
        "disposed",
        "doomed_ns",
        "errand",
        "exit",
        "exited",
        "guard",
        "held",
        "id",
        "idle_since_ns",
        "init_pid",
        "init_pidfd",
        "invocations",
        "log_fd",
        "may_write_late",
        "name",
        "peak_bytes",
        "pool",
        "room",
        "scratch",
        "stack_fd",
        "state",
        "stop_reason",
        "took_us",
        "window",
        "zygote",
    )

    def __init__(self, number: int, pool: "Pool", zygote: "Zygote", max_body: int) -> None:
        self.id = number
        self.name = f"c-{int(time.time()):08x}-{os.urandom(4).hex()}-{os.urandom(6).hex()}"  # 6.9
        self.pool = pool
        self.zygote = zygote
        self.state = State.STARTING
        self.born_ns = time.monotonic_ns()
        self.idle_since_ns = self.invocations = self.peak_bytes = 0
        self.took_us = QUICK_US  # by the last call's handler, if that was a plain one
        self.errand: object | None = None  # of whoever was given it right from the queue
        self.may_write_late = False
        self.stop_reason = self.scratch = ""
        self.doomed_ns = 0  # the deadline that it did not meet
        self.exit: Exit | None = None
        self.exited = threading.Event()
        self.condemned = self.disposed = False
        self.held = False  # by a hook, though it is STOPPING: not to be buried
        self.guard = threading.Lock()  # held to signal it, and to dispose of what is signalled
        self.decoder = Decoder(max_body)
        self.log_fd = self.stack_fd = self.init_pidfd = -1
        self.init_pid: int | None = None  # process 1 of its pid namespace, if it has one
        self.cell = pool.core.holding.isolation.cell(number, pool.limits)
        opened: list[int] = []
        try:
            if zygote.has_scratch_folders:
                self.scratch = pool.core.holding.scratch_folder(number)
            opened += os.pipe2(os.O_CLOEXEC)
            opened += os.pipe2(os.O_CLOEXEC)
            opened += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            opened.append(_log_memory())
            opened.append(make_window_file())
            self.window = Window(opened[-1])
        except BaseException:  # no descriptors left; Ctrl-C
            for fd in opened:
                os.close(fd)
            self._leave()
            raise
        request_out, request_in, response_out, response_in, *own = opened
        self.stack_fd, stack_in, self.log_fd, window = own
        self.room = [stack_in, window]  # kept for its pidfds, until they have come
        os.set_blocking(request_in, False)
        os.set_blocking(response_out, False)
        self.channel = Channel(request_in, response_out)
        try:
            zygote.spawn(self, (request_out, response_in, self.log_fd, stack_in, window))
        except BaseException:
            self.close()
            self._leave()
            raise
        finally:
            for fd in (request_out, response_in):
                os.close(fd)

    def _leave(self) -> None:
        """It was never begun."""
        self.cell.close()
        if self.scratch:
            Path(self.scratch).rmdir()

    def advance(self, trigger: Trigger) -> None:
        self.state = lifecycle.advance(self.state, trigger)

    def note_peak(self, frame: Frame | None) -> None:
        """The largest its memory has been so far, as a frame of its own tells."""
        if frame is not None:
            self.peak_bytes = max(self.peak_bytes, frame.headers.get(m.PEAK_RSS, 0))

    def take_log(self, *, cut: bool) -> bytes:
        """What was written since the last time; head and tail of it if that was too much."""
        size = os.lseek(self.log_fd, 0, os.SEEK_END)  # a quarter of what fstat costs
        if not size:
            return b""
        log = self._log_of(size, cut=cut)
        os.ftruncate(self.log_fd, 0)
        return log

    def last_log(self, *, cut: bool) -> bytes:
        """As `take_log`, of one that will serve nobody any more."""
        size = os.lseek(self.log_fd, 0, os.SEEK_END)
        return self._log_of(size, cut=cut) if size else b""

    def _log_of(self, size: int, *, cut: bool) -> bytes:
        if size <= 2 * LOG_BYTES:
            log = os.pread(self.log_fd, size, 0)
            return log[:LOG_BYTES] + CUT_MARK + log[LOG_BYTES:] if cut else log
        head = os.pread(self.log_fd, LOG_BYTES, 0)
        return head + CUT_MARK + os.pread(self.log_fd, LOG_BYTES, size - LOG_BYTES)

    def make_room(self) -> None:
        """Its pidfds have come, or will be opened now."""
        with suppress(IndexError):  # whoever disposes of it may be doing the same
            while True:
                os.close(self.room.pop())

    def close(self) -> None:
        self.channel.close()
        self.window.close()
        self.make_room()
        mine = (self.log_fd, self.stack_fd, self.init_pidfd)
        self.log_fd = self.stack_fd = (
            self.init_pidfd
        ) = -1  # first: a fork of the host may come in between
        for fd in mine:
            if fd >= 0:
                os.close(fd)

    def forget(self) -> None:
        """In a forked child of the host."""
        self.close()
        self.cell.forget()


def _log_memory() -> int:
    """A file in memory: nothing blocks when nobody reads, and it outlives its writer (D10)."""
    fd = os.memfd_create("fc-log", os.MFD_CLOEXEC)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def all_pidfds(pids: list[int], pidfds: list[int]) -> list[int] | None:
    """
    The pidfds of a new process, of which the last ones did not come if the host was out of
    descriptors (`Instance.room` was kept for that). Nothing may run that cannot be ended: they are
    opened, or the process is. The pids are safe to use, the zygote reaps only when told.
    """
    try:
        while len(pidfds) < len(pids):
            pidfds.append(os.pidfd_open(pids[len(pidfds)]))
    except OSError:
        for pidfd in pidfds:
            os.close(pidfd)
        with suppress(ProcessLookupError):
            os.kill(pids[-1], signal.SIGKILL)  # process 1 of its namespace, if it has one
        return None
    return pidfds
