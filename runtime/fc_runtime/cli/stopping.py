"""
Ctrl-C and its relatives: the first one ends what is under way, and none is seen twice.

Not `KeyboardInterrupt`: SIGTERM and SIGHUP are to end the handler's processes just as well, and a
second Ctrl-C must not get between `Runtime.close` and the processes that it ends.
"""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_arrived: Final[list[int]] = []


class Stopped(BaseException):
    """One of `SIGNALS` came."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signal = signum


def install() -> None:
    """From now on the first signal raises `Stopped`, in the main thread; later ones do nothing."""
    sys.unraisablehook = _unraisable
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(signum, _stop)


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
