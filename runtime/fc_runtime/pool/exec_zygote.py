"""
How a zygote's process is started: exec'd fresh with ``subprocess`` (vfork and exec, so the host's
threads and locks do not matter), in a session of its own, with no descriptor of the host but the
socket and a pidfd of the host itself.
"""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import fc_worker
import msgpack
from fc_worker import messages as m

from fc_runtime.errors import OverloadedError

# Where it finds what it is made of, if not by itself: the host may, by a path of its own.
_HOMES: Final = [str(Path(str(module.__file__)).parent.parent) for module in (fc_worker, msgpack)]
_BOOT: Final = (
    f"import sys; fresh = [path for path in {_HOMES!r} if path not in sys.path]; "
    "sys.path[:0] = fresh; "
    "from fc_worker import fork_hooks; fork_hooks.hold_back(); import fc_worker.zygote; "
    "sys.path[:] = sys.path[len(fresh):]; "
)
_RUN: Final = "fc_worker.zygote.main()"
_RUN_QUIETLY: Final = f"import os; os.dup2(1, 2); {_RUN}"  # what it said so far is read if it ends

_starting: Final = threading.RLock()
# A fork of the host in the middle of a start would leave its child with the pipe on which Popen
# waits for the exec, and with the zygote's end of the socket: it has to wait for those few ms.
os.register_at_fork(
    before=_starting.acquire,
    after_in_parent=_starting.release,
    after_in_child=_starting.release,
)


def start_process(config: m.WorkerConfig) -> "tuple[subprocess.Popen[bytes], socket.socket, int]":
    """
    The process, our end of its control socket, and the file of what it says before it runs; -1 if
    everybody shall read that. Raises OverloadedError.
    """
    with _starting:
        return _start(config)


def _start(config: m.WorkerConfig) -> "tuple[subprocess.Popen[bytes], socket.socket, int]":
    host_pidfd = words_fd = -1
    ours, theirs = _socket_pair()
    try:
        host_pidfd = _above_standard(os.pidfd_open(os.getpid()))
        if not _debug():
            words_fd = os.memfd_create("fc-words", os.MFD_CLOEXEC)
        run = _RUN if _debug() else _RUN_QUIETLY
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-W", "ignore", "-c", _BOOT + run),
                *(str(theirs.fileno()), str(host_pidfd)),
                config.function,  # read by nobody but people, in a list of processes
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if _debug() else words_fd,
            cwd="/",
            env=_environment(config),
            pass_fds=(theirs.fileno(), host_pidfd),
            start_new_session=True,
        )
    except BaseException as error:  # Ctrl-C, too: its end of the socket tells it, if it is there
        ours.close()
        if words_fd >= 0:
            os.close(words_fd)
        if not isinstance(error, OSError):
            raise
        raise OverloadedError(f"cannot start a process: {error}") from error
    finally:
        theirs.close()
        if host_pidfd >= 0:
            os.close(host_pidfd)
    return process, ours, words_fd


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return ours, socket.socket(fileno=_above_standard(theirs.detach()))
    except OSError as error:
        raise OverloadedError(f"cannot start a process: {error}") from error


def _above_standard(fd: int) -> int:
    """*fd*, moved if its number is one of stdin, stdout, stderr: those are others in the zygote."""
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def _environment(config: m.WorkerConfig) -> dict[str, str]:
    """
    Nothing of the host's. The dynamic loader reads its path only at exec, so that has to be right
    here (spec 9.B); everything else is set in the worker. A sealed zygote loads nothing of the
    function's: it is not in the sandbox itself.
    """
    loader = {
        "LD_LIBRARY_PATH": config.library_path(),
        **{key: value for key, value in config.environment.items() if key.startswith("LD_")},
    }
    return {
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONIOENCODING": "utf-8:surrogateescape",
        **({} if config.sealed else loader),
    }


def _debug() -> bool:
    return bool(os.environ.get("FC_RUNTIME_DEBUG"))
