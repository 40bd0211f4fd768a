"""
Our end of a zygote: exec it fresh, and speak over its control socket.

How it is started is in `exec_zygote`. Reaped through its own pid only: the host's SIGCHLD and its
other children are not ours (D12).
"""

import array
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgpack
from fc_worker import messages as m

from fc_runtime.errors import OverloadedError
from fc_runtime.pool.exec_zygote import start_process

if TYPE_CHECKING:
    from fc_runtime.pool.instance import Instance

OnUp: TypeAlias = Callable[["Zygote", Mapping[str, Any]], None]
_WORDS_BYTES: Final = 4096
_LAST_MOMENTS_MS: Final = 1000  # between closing its socket and having exited


class Zygote:
    """One zygote process. `spawn` and `reap` may be called from any thread."""

    def __init__(self, config: m.WorkerConfig, on_up: OnUp | None = None) -> None:
        """
        *on_up* is called on the supervisor's thread once it says that it can fork.

        Raises OverloadedError if the host has no room for another process or descriptor.
        """
        self._lock = threading.Lock()
        self.instances: dict[int, Instance] = {}  # that it has been asked for and are not disposed
        self.on_up = on_up
        self.is_up = False
        self._said = ""
        self.gone = False
        self._is_retired = False
        self.ended = threading.Event()
        self.exit_code: int | None = None  # as subprocess has it, once it has gone
        self.preloading: str | None = None  # the module that it has not come back from
        self.thread_source: str | None = None
        self.has_scratch_folders = any(step[0] == "scratch_folder" for step in config.plan)
        packed = msgpack.packb({m.OP: m.CONFIGURE, "config": config.to_map()})
        process, ours, self._words_fd = start_process(config)
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
                self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._said = self._last_words()
            if not isinstance(error, OSError):
                raise
            ended_by_itself = isinstance(error, BrokenPipeError) and self.exit_code is not None
            why = self.why_it_ended() if ended_by_itself else error
            raise OverloadedError(f"cannot start a process: {why}") from error
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

    def came_up(self) -> None:
        """It can fork."""
        self.is_up = True
        self.preloading = None
        self._last_words()

    def why_it_ended(self) -> str:
        """Of one that has never come up, as far as anybody knows."""
        if self._said or self.is_up or not self.exit_code:
            return self._said
        return f"{sys.executable} exited with code {self.exit_code}"

    def _last_words(self) -> str:
        """The last line of what it has written before it ran; asked once, or "" """
        fd, self._words_fd = self._words_fd, -1
        if fd < 0:
            return ""
        try:
            lines = os.pread(fd, _WORDS_BYTES, max(0, os.fstat(fd).st_size - _WORDS_BYTES))
        finally:
            os.close(fd)
        return lines.decode("utf-8", "replace").strip().rpartition("\n")[2]

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
            self._said = self._last_words()
            pidfd, self._pidfd = self._pidfd, -1
            os.close(pidfd)
        self.ended.set()

    def forget(self) -> None:
        """In a forked child of the host: let go of what is the parent's."""
        with suppress(OSError):
            self._last_words()
            self._socket.close()
            pidfd, self._pidfd = self._pidfd, -1
            if pidfd >= 0:
                os.close(pidfd)

    def _send(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        socket.send_fds(self._socket, [msgpack.packb(message)], list(descriptors))
