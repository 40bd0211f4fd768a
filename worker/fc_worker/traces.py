"""
What a process has, before and after an import, that a fork would share, lose, or hand on where
nobody expects it: the zygote imports for all its instances only what leaves no trace of the kind.
"""

import gc
import os
import select
import signal
import sys
from typing import Any, Final

_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_FORKS: Final = 10
HOOKS_WITHIN_MS: Final = 1000


def outlasting_threads() -> bool:
    """
    Has this process a thread that it would still have after a fork, or that its fork would have?

    Libraries that know of forks (OpenBLAS, and numpy with it) end theirs before one and start them
    anew when they are wanted. Others start one in whatever is forked, as the fork returns: it would
    be outside of whatever walls its process then goes behind. That is found out by forking.
    """
    for _ in range(_FORKS):  # it may be over, and the kernel not have quite let go of it
        try:
            if _has_thread_when_forked():
                return True
        except OSError:  # no room for another process: no instance will be forked either
            break
        if _count_threads() == 1:
            return False
    return _count_threads() > 1


def _has_thread_when_forked() -> bool:
    """Also True if its hooks do not come back, or end it. Raises OSError."""
    pid = os.fork()
    if pid == 0:
        os._exit(_count_threads() != 1)
    try:
        pidfd = os.pidfd_open(pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            is_over = bool(poller.poll(HOOKS_WITHIN_MS))
        finally:
            os.close(pidfd)
    except OSError:
        is_over = False
    if not is_over:
        os.kill(pid, signal.SIGKILL)
    return bool(os.waitpid(pid, 0)[1])


class Traces:
    """What of a process a fork would share, lose, or hand on where nobody expects it."""

    def __init__(self) -> None:
        self._seen = _look()

    def difference(self) -> str | None:
        """What has changed since, in words; None for nothing."""
        for what, value in _look().items():
            if value != self._seen[what]:
                return what
        if outlasting_threads():
            return "it starts a thread"
        return None


def _look() -> dict[str, Any]:
    mask = os.umask(0o022)
    os.umask(mask)
    descriptors = set(os.listdir("/proc/self/fd"))
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        shared = sum("w" in line.split(" ", 2)[1] and "s" in line.split(" ", 2)[1] for line in maps)
    return {
        "it opens a descriptor": descriptors,
        "it maps memory that is shared": shared,
        "it starts a process": _has_children(),
        "it changes the environment": dict(os.environ),
        "it changes the working directory": os.getcwd(),
        "it changes the umask": mask,
        "it sets a timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "it handles signals": [signal.getsignal(number) for number in _SIGNALS],
        "it masks signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "it sets up the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "it traces": (sys.gettrace(), sys.getprofile()),
        "it replaces a stream": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
    }


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))
