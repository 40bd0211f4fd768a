"""
The faults, by name, for any phase and any thread; and how to strike at a moment that is exact.

``wait`` is none: it comes to the gate and waits there, for somebody outside to do the harm.
"""

import ctypes
import fcntl
import os
import signal
import stat
import threading
import time

from fc_worker import lane, wire

MiB = 1024 * 1024
HOARD = []
GATE = os.environ.get("GATE", "")  # a folder with the fifos ``entered`` and ``release``


def who_am_i():
    return b"%d:%d" % (os.getpid(), os.stat("/proc/self/ns/pid").st_ino)


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


def tell():
    with open(f"{GATE}/entered", "wb", buffering=0) as entered:
        entered.write(b"- %s\n" % who_am_i())


def wait():
    with open(f"{GATE}/release", "rb", buffering=0) as release:
        release.read(1)


def wait_at_the_gate():
    tell()
    wait()


FAULTS = {
    "wait": wait_at_the_gate,
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
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            is_fifo = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            continue
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if is_fifo and flags & os.O_ACCMODE == os.O_WRONLY and not flags & os.O_NONBLOCK:
            return fd


def in_background(work, *arguments):
    threading.Thread(target=work, args=arguments, daemon=True).start()


# -- moments -----------------------------------------------------------------------------------


def when_let(fault):
    """Once the test says so: the instance is idle by then."""
    wait()
    FAULTS[fault]()
    tell()


def while_it_reads(fault):
    """In the event after this one, which is larger than a window: with its first piece taken."""
    strike_between_pieces(lane.Receiver, "take", fault)


def while_it_writes(fault):
    """When the first piece of the answer, which is larger than a window, has been taken."""
    strike_between_pieces(lane.Sender, "lay", fault)


def strike_between_pieces(side, step, fault):
    do_step = getattr(side, step)
    steps = []

    def step_or_strike(one):
        steps.append(one)
        if len(steps) == 2:
            setattr(side, step, do_step)
            strike(fault)
        do_step(one)

    setattr(side, step, step_or_strike)


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
