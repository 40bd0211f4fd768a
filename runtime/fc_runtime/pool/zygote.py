"""
Our end of a zygote: exec it fresh, and speak over its control socket.

Started with ``subprocess`` (vfork and exec, so the host's threads and locks do not matter), in a
session of its own, with no descriptor of the host but the socket and a pidfd of the host itself.
Reaped through its own pid only: the host's SIGCHLD and its other children are not ours (D12).
"""

import array
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import fc_worker
import msgpack
from fc_worker import messages as m

from fc_runtime.errors import InternalError, OverloadedError

if TYPE_CHECKING:
    from fc_runtime.pool.instance import Instance

OnUp: TypeAlias = Callable[["Zygote", Mapping[str, Any]], None]
_HOME: Final = str(Path(fc_worker.__file__).parent.parent)
_BOOT: Final = (
    f"import sys; path = {_HOME!r}; fresh = path not in sys.path; "
    "fresh and sys.path.insert(0, path); "
    "from fc_worker import fork_hooks; fork_hooks.hold_back(); import fc_worker.zygote; "
    "fresh and sys.path.remove(path); fc_worker.zygote.main()"
)
_LAST_MOMENTS_MS: Final = 1000  # between closing its socket and having exited


class Zygote:
    """One zygote process. `spawn` and `reap` may be called from any thread."""

    def __init__(self, config: m.WorkerConfig, on_up: OnUp | None = None) -> None:
        """
        *on_up* is called on the supervisor's thread once it says that it can fork.

        Raises OverloadedError if the host has no room for another process or descriptor.
        """
        if not sys.executable:
            raise InternalError("sys.executable is empty: there is no interpreter to start")
        self._lock = threading.Lock()
        self.instances: dict[int, Instance] = {}  # that it has been asked for and are not disposed
        self.on_up = on_up
        self.gone = False
        self._is_retired = False
        self.ended = threading.Event()
        self.exit_code: int | None = None  # as subprocess has it, once it has gone
        self.preloading: str | None = None  # the module that it has not come back from
        self.thread_source: str | None = None
        self.has_scratch_folders = any(step[0] == "scratch_folder" for step in config.plan)
        packed = msgpack.packb({m.OP: m.CONFIGURE, "config": config.to_map()})
        with _starting:
            process, ours = _start(config)
        self.pid = process.pid
        process.returncode = 0  # reaped here, by its pid: Popen shall neither do it nor complain
        self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(self.pid)
            ours.send(packed)
        except BaseException as error:  # Ctrl-C, too
            ours.close()
            if self._pidfd >= 0:
                os.close(self._pidfd)
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            if not isinstance(error, OSError):
                raise
            raise OverloadedError(f"cannot start a process: {error}") from error
        self._socket = ours
        ours.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def spawn(self, instance: "Instance", descriptors: Sequence[int]) -> None:
        """Ask for an instance. Raises OSError if the zygote cannot be asked."""
        with self._lock:
            if self.gone:
                raise ConnectionResetError("the zygote is gone")
            self.instances[instance.id] = instance
            try:
                message = {
                    m.OP: m.SPAWN,
                    "id": instance.id,
                    "join": list(instance.cell.folders),
                    "scratch": instance.scratch,
                }
                self._send(message, descriptors)
                self.wake()
            except BaseException:  # at Ctrl-C it may have been sent: it ends at its first read
                del self.instances[instance.id]
                with suppress(OSError):  # what was raised first says more
                    self._leave_if_done()
                raise

    def reap(self, instance: "Instance") -> None:
        """Its pid means nothing to us any more."""
        with self._lock:
            self.instances.pop(instance.id, None)
            if self.gone:
                return
            was_forked = instance.channel.pid is not None or (
                instance.exit is not None and instance.exit.code is not None
            )
            with suppress(OSError):  # then it is going, and so is the zombie
                if instance.exit is not None and was_forked:
                    self._send({m.OP: m.REAP, "id": instance.id}, ())
                self._leave_if_done()

    def retire(self) -> None:
        """Another has its place: it goes when its last instance has gone."""
        with self._lock, suppress(OSError):
            self._is_retired = True
            self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._is_retired and not self.gone and not self.instances:
            self._socket.shutdown(socket.SHUT_WR)

    def sweep(self) -> None:
        """End and reap whoever is its child without being an instance."""
        with self._lock, suppress(OSError):
            if not self.gone:
                self._send({m.OP: m.SWEEP}, ())

    def messages(self) -> list[tuple[dict[str, Any], list[int]]] | None:
        """What it has said, with descriptors; None once it is gone. Asked by one thread only."""
        heard: list[tuple[dict[str, Any], list[int]]] = []
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    m.MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(2 * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return heard
            except ConnectionResetError:
                continue  # told once, before what it had said: it left something of ours unread
            if not data:
                return heard or None  # what was said before the end is heard first
            descriptors = array.array("i")
            for _, kind, content in ancillary:
                if kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(content)
            heard.append((msgpack.unpackb(data), list(descriptors)))

    def hang_up(self) -> None:
        """It ends every tree of its own, then itself."""
        with self._lock, suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """For a zygote that does not answer. Its instances live on until told otherwise."""
        with suppress(OSError):  # it has ended, or been reaped and its pidfd closed
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wake(self) -> None:
        """It may have been stopped, by a handler that runs as the same user."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)

    def wait(self, within_s: float) -> None:
        """Until it has exited, at most *within_s* seconds."""
        with self._lock:
            if self.gone:
                return
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
        poller.poll(max(0.0, within_s) * 1000)

    def close(self) -> None:
        """After it said it is gone: reap it."""
        with self._lock:
            if self.gone:
                return
            self.gone = True
            self._socket.close()
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if not poller.poll(_LAST_MOMENTS_MS):
                self.kill()
            with suppress(ChildProcessError):  # a host that ignores SIGCHLD, or waits for anybody
                self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            pidfd, self._pidfd = self._pidfd, -1
            os.close(pidfd)
        self.ended.set()

    def forget(self) -> None:
        """In a forked child of the host: let go of what is the parent's."""
        with suppress(OSError):
            self._socket.close()
            pidfd, self._pidfd = self._pidfd, -1
            if pidfd >= 0:
                os.close(pidfd)

    def _send(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        socket.send_fds(self._socket, [msgpack.packb(message)], list(descriptors))


_starting: Final = threading.RLock()
# A fork of the host in the middle of a start would leave its child with the pipe on which Popen
# waits for the exec, and with the zygote's end of the socket: it has to wait for those few ms.
os.register_at_fork(
    before=_starting.acquire,
    after_in_parent=_starting.release,
    after_in_child=_starting.release,
)


def _start(config: m.WorkerConfig) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """The process, and our end of its control socket. Raises OverloadedError."""
    host_pidfd = -1
    ours, theirs = _socket_pair()
    try:
        host_pidfd = _above_standard(os.pidfd_open(os.getpid()))
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-W", "ignore", "-c", _BOOT),
                *(str(theirs.fileno()), str(host_pidfd)),
                config.function,  # read by nobody but people, in a list of processes
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if not _debug() else None,
            cwd="/",
            env=_environment(config),
            pass_fds=(theirs.fileno(), host_pidfd),
            start_new_session=True,
        )
    except BaseException as error:  # Ctrl-C, too: its end of the socket tells it, if it is there
        ours.close()
        if not isinstance(error, OSError):
            raise
        raise OverloadedError(f"cannot start a process: {error}") from error
    finally:
        theirs.close()
        if host_pidfd >= 0:
            os.close(host_pidfd)
    return process, ours


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
