"""
Work in a child that is thrown away: for what may hang, crash, or leave something behind that no
instance should be forked with. Used by the zygote, which has one thread.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Never

from fc_worker import kernel

_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """What the child wrote; was there time for all of it; how it ended, as subprocess has it."""

    data: bytes
    in_time: bool
    exit_code: int


def tell(work: Callable[[int], None], private: Sequence[int], until: float) -> Told:
    """
    Call *work* in a child, with a descriptor to write to. Processes that it starts are left to the
    caller. Raises OSError: no room for a child.

    Args:
        private: descriptors that the child has no business with.
        until: when it is ended, on `time.monotonic`.
    """
    told_out, told_in = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _be_the_child(work, private, parent, told_in)
    except OSError:
        os.close(told_out)
        raise
    finally:
        os.close(told_in)
    data, in_time = _read_all(told_out, until)
    os.close(told_out)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Told(data, in_time, exit_code)


def _be_the_child(
    work: Callable[[int], None], private: Sequence[int], parent: int, told_fd: int
) -> Never:
    try:
        for fd in private:
            os.close(fd)
        kernel.die_with_parent(parent)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        work(told_fd)
    finally:
        os._exit(0)


def _read_all(fd: int, until: float) -> tuple[bytes, bool]:
    """What is written to it until it is closed, or time is up; was there time enough?"""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    told = bytearray()
    while (left_s := until - time.monotonic()) > 0:
        if poller.poll(left_s * 1000):
            data = os.read(fd, _READ_BYTES)
            if not data:
                return bytes(told), True
            told += data
    return bytes(told), False
