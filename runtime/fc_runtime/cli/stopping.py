"""
Ctrl-C and its relatives: the first one ends what is under way, and none is seen twice.

Not `KeyboardInterrupt`: SIGTERM and SIGHUP are to end the handler's processes just as well, and a
second Ctrl-C must not get between `Runtime.close` and the processes that it ends.
"""

import os
import select
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_arrived: Final[list[int]] = []
_wake_up: Final[list[int]] = []  # the two ends of a pipe that gets a byte for every signal


class Stopped(BaseException):
    """One of `SIGNALS` came."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signal = signum


def install() -> None:
    """From now on the first signal raises `Stopped`, in the main thread; later ones do nothing."""
    sys.unraisablehook = _unraisable
    _wake_up.extend(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
    signal.set_wakeup_fd(_wake_up[1], warn_on_full_buffer=False)
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(signum, _stop)


def wait_readable(fd: int) -> None:
    """
    Until *fd* can be read without blocking. Raises `Stopped`, also for a signal whose exception
    was dropped a moment ago: its byte stays in the wake-up pipe, so nothing sleeps after it.
    """
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    if _wake_up:
        poller.register(_wake_up[0], select.POLLIN)
    while True:
        ready = [number for number, _ in poller.poll()]
        check()
        if fd in ready:
            return


def check() -> None:
    """Raise what came where it could not be raised: Python drops what a ``__del__`` raises."""
    if _arrived:
        raise Stopped(_arrived[0])


def hold() -> None:
    """From now on none of them does anything: what remains to do is short, and has to be done."""
    for signum in SIGNALS:
        if signal.getsignal(signum) is _stop:
            signal.signal(signum, _ignore)


def _stop(signum: int, _frame: FrameType | None) -> None:
    hold()
    _arrived.append(signum)
    raise Stopped(signum)


def _ignore(_signum: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which a process started from here would inherit."""


def _unraisable(told: "UnraisableHookArgs") -> None:
    if not isinstance(told.exc_value, Stopped):  # that one is left to `check`
        sys.__unraisablehook__(told)
