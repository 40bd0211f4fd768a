"""
The six faults, by name, for any phase and any thread; and how to strike at a moment that is exact.

What leaves the process alive ends in `tell`, so that the test knows that it has been done.
"""

import ctypes
import fcntl
import os
import select
import signal
import stat
import struct
import sys
import termios
import threading
import time

from fc_worker import wire

MiB = 1024 * 1024
HOARD = []


def crash():
    ctypes.string_at(0)


def leave():
    os._exit(3)


def hang():
    """The whole process, whichever thread it is; again if somebody wakes it."""
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def garbage():
    """No frame begins like this."""
    os.write(answer_pipe(), b"\xff" * 4096)


def oversized():
    """4 GiB are announced, ten bytes come."""
    prefix = wire.PREFIX.pack(2**32 - 1, 10, 1, int(wire.Kind.RESULT), wire.VERSION, 0)
    os.write(answer_pipe(), prefix + b"0123456789")


def out_of_memory():
    """64 MiB more than it may have, kept."""
    most = int(os.environ["FC_FUNCTION_MEMORY_SIZE"]) + 64
    HOARD.extend(b"x" * MiB for _ in range(most))


FAULTS = {
    "crash": crash,
    "exit": leave,
    "hang": hang,
    "garbage": garbage,
    "oversized": oversized,
    "out of memory": out_of_memory,
}


def strike(fault):
    """In a phase in which a caller waits: too much memory shall be seen before anything else."""
    FAULTS[fault]()
    if fault == "out of memory":
        hang()


def answer_pipe():
    """The descriptor that answers leave by."""
    return _pipe(os.O_WRONLY)


def request_pipe():
    """The descriptor that events come by."""
    return _pipe(os.O_RDONLY)


def _pipe(mode):
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            is_fifo = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            continue
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if is_fifo and flags & os.O_ACCMODE == mode and not flags & os.O_NONBLOCK:
            return fd


def in_background(work, *arguments):
    threading.Thread(target=work, args=arguments, daemon=True).start()


# -- moments -----------------------------------------------------------------------------------


def when_let(fault, tell, wait):
    """Once the test says so: the instance is idle by then."""
    wait()
    FAULTS[fault]()
    tell()


def while_it_reads(fault):
    """
    When the first bytes of an event are there, and before all of it can be: whoever keeps the GIL
    from then on keeps the main thread from reading on.
    """
    main = threading.main_thread().ident
    pipe = request_pipe()
    sys.setswitchinterval(1000)
    while sys._current_frames()[main].f_code.co_name != "run":
        time.sleep(0.001)  # it is still busy with the answer to the event before
    waiting = struct.pack("ihh", pipe, select.POLLIN, 0)
    ctypes.PyDLL(None).poll(ctypes.create_string_buffer(waiting), 1, -1)  # unlike CDLL
    strike(fault)


def while_it_writes(fault, tell):
    """When the first bytes of the answer are in the pipe, which cannot hold all of them."""
    pipe = answer_pipe()
    while not struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]:
        time.sleep(0)
    tell()
    strike(fault)


class Hook:
    """A value that the runtime has to ask for what it is."""

    def __init__(self, fault, most):
        self.fault = fault
        self.most = most

    def to_json(self):
        if self.fault == "oversized":
            return "x" * self.most
        strike(self.fault)
        return "struck"


class Last(str):
    """A text that strikes when it is forgotten: after the answer, before the next event is read."""

    def __del__(self):
        FAULTS[self.fault]()
