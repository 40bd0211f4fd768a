"""
The zygote: preload once, fork many.

Exec'd fresh by the supervisor, one per function, single-threaded. It never runs the handler. Its
whole world is one ``poll`` over the control socket, the host's pidfd, and a pidfd for each
instance:

    SPAWN    → fork; the child becomes the worker; FORKED goes back with the pidfd. Where the plan
               has a pid namespace, the child makes it, tells who was born in it, and is gone
    death    → end the rest of the instance: its namespace, and what of its tree fell to us; then
               EXITED. The pid is reaped only at REAP: until then no signal or affinity call of
               the supervisor can hit a stranger
    host gone (socket EOF, or its pidfd: a forked child of the host may hold the socket open)
             → end every tree, then exit

If a preloaded module starts a thread, forking is no longer safe: instances are then exec'd.
"""

import array
import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Never

import msgpack

from fc_worker import birth, kernel, learn, messages as m, pages, rooms, sandbox, traces, tree
from fc_worker.load import own_folders, prepare_sys_path
from fc_worker.readied import Readied
from fc_worker.rooms import Stage

LOOK_FOR_HOST_S: Final = 0.25
ORPHANS_WITHIN_S: Final = 5.0
HOST_WITHIN_MS: Final = 1000  # from the end of its sockets to its own


@dataclass(slots=True)
class Child:
    """An instance from its parent's side."""

    instance: int
    cgroups: list[str]  # its own, and
    scratch: str  # its folder, if it has one: removed by us if the host cannot
    pid: int = 0
    pidfd: int = -1
    init_pid: int = 0  # process 1 of its pid namespace
    init_pidfd: int = -1


class Zygote:
    def __init__(self, control: socket.socket, host_pidfd: int) -> None:
        self._control = control
        self._host = host_pidfd
        self._workers: dict[int, Child] = {}  # by pidfd
        self._unborn: dict[int, Child] = {}  # by births_fd: its pid is its parent's, yet
        self._dead: dict[int, Child] = {}  # by instance, not reaped
        self._inits: dict[int, int] = {}  # pidfd → pid, of their namespaces; reaped once they end
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(host_pidfd, select.POLLIN)
        self._thread_source: str | None = None
        self._config = m.WorkerConfig.from_map(self._receive()[0]["config"])
        self._readied: Readied
        self._closed: set[int] = set()  # descriptors, since the last poll
        self._is_over = False
        self._is_born_twice = sandbox.has_pid_namespace(self._config.plan)
        self._owners_fd = -1

    def run(self) -> None:
        """Serve until the host is gone. Returns only in the zygote, never in a worker."""
        self._preload()
        while not self._is_over:
            # Who has ended first: somebody waits for that, while a start is in nobody's time.
            self._closed.clear()
            for fd, _ in sorted(self._poll.poll(), key=self._is_later):
                if fd not in self._closed:  # else the number may be somebody else's by now
                    self._attend(fd)
        tree.sweep_children(within_s=10.0)
        left = (*self._workers.values(), *self._dead.values(), *self._unborn.values())
        if left and _is_readable(self._host, HOST_WITHIN_MS):  # else it sees to them itself
            for child in left:
                _remove(child)

    def _attend(self, fd: int) -> None:
        if fd in self._workers:
            self._report_exit(fd)
        elif fd in self._inits:
            self._reap_init(fd)
        elif fd in self._unborn:
            self._hear_of_births(fd)
        elif fd == self._host:
            self._is_over = True
        elif fd == self._control.fileno():  # else it has been attended to meanwhile
            message, descriptors = self._receive()
            match message.get(m.OP):
                case m.SPAWN:
                    self._spawn(message, descriptors)
                case m.REAP:
                    self._reap(message["id"])
                case m.SWEEP:
                    tree.sweep_children(self._known)
                case _:  # EOF, the only other thing there is
                    self._is_over = True

    def _is_later(self, event: tuple[int, int]) -> bool:
        return event[0] not in self._workers

    # -- life of the instances -----------------------------------------------------------------

    def _spawn(self, message: dict[str, Any], descriptors: list[int]) -> None:
        stage = Stage(message["join"], message["scratch"], owners_fd=self._owners_fd)
        child = Child(message["id"], list(stage.join), stage.scratch)
        births_fd = -1
        try:
            if self._is_born_twice:
                births_fd, stage.births_fd = os.pipe()
            if self._thread_source:
                child.pid = birth.by_exec(self._config, descriptors, stage)
            else:
                child.pid = os.fork()
            if child.pid == 0:
                self._become_worker(descriptors, stage)
            if births_fd < 0:
                child.pidfd = os.pidfd_open(child.pid)
        except OSError as error:
            self._give_up(child, error)
            if births_fd >= 0:
                os.close(births_fd)
        else:
            if births_fd < 0:
                self._announce(child)
            else:
                self._unborn[births_fd] = child
                self._poll.register(births_fd, select.POLLIN)
        finally:
            if stage.births_fd >= 0:
                os.close(stage.births_fd)
            _close_all(descriptors)

    def _hear_of_births(self, births_fd: int) -> None:
        """The process that was forked has gone into a namespace, and says who was born in it."""
        child = self._unborn.pop(births_fd)
        self._poll.unregister(births_fd)
        told = os.read(births_fd, birth.MOST_WORDS)
        os.close(births_fd)
        self._closed.add(births_fd)
        os.waitpid(child.pid, 0)
        child.pid = 0
        try:
            child.init_pid, child.pid = birth.whom(told)
            child.init_pidfd = os.pidfd_open(child.init_pid)
            self._inits[child.init_pidfd] = child.init_pid
            child.pidfd = os.pidfd_open(child.pid)
        except OSError as error:
            self._give_up(child, error)
        else:
            self._announce(child)

    def _announce(self, child: Child) -> None:
        self._workers[child.pidfd] = child
        self._poll.register(child.pidfd, select.POLLIN)
        pidfds = [child.pidfd] if child.init_pidfd < 0 else [child.pidfd, child.init_pidfd]
        told = {m.OP: m.FORKED, "id": child.instance, "pid": child.pid, "init": child.init_pid}
        self._send(told, *pidfds)

    def _give_up(self, child: Child, error: OSError) -> None:
        """Out of descriptors or processes, or the sandbox cannot be entered."""
        if child.pid:  # nothing may run that cannot be ended
            os.kill(child.pid, signal.SIGKILL)
        self._send({m.OP: m.FORK_FAILED, "id": child.instance, "error": str(error)})

    def _report_exit(self, pidfd: int) -> None:
        child = self._workers.pop(pidfd)
        self._poll.unregister(pidfd)
        orphans: list[int] = []
        if child.init_pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.init_pidfd, signal.SIGKILL)
            # It cannot end before the worker is reaped, so what is waited for is all the others.
            orphans = tree.wait_for_children(child.init_pid, ORPHANS_WITHIN_S)
        swept, survivors = tree.sweep_children(lambda: self._known() | {child.pid})
        status = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self._dead[child.instance] = child
        code = None if status is None else _exit_code(status.si_code, status.si_status)
        left = [*survivors, *orphans]
        self._send(
            {m.OP: m.EXITED, "id": child.instance, "code": code, "swept": swept, "left": left}
        )

    def _reap(self, instance: int) -> None:
        child = self._dead.pop(instance)
        os.waitpid(child.pid, 0)
        os.close(child.pidfd)
        self._closed.add(child.pidfd)
        if child.init_pidfd >= 0:
            self._poll.register(child.init_pidfd, select.POLLIN)

    def _reap_init(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        with suppress(ChildProcessError):
            os.waitpid(self._inits.pop(pidfd), 0)
        os.close(pidfd)
        self._closed.add(pidfd)

    def _known(self) -> set[int]:
        """Of our children those that are, or hold, an instance."""
        for births_fd in list(self._unborn):  # told before its parent leaves it to us
            if _is_readable(births_fd):
                self._hear_of_births(births_fd)
        children = (*self._workers.values(), *self._dead.values(), *self._unborn.values())
        return {child.pid for child in children} | set(self._inits.values())

    # -- becoming a worker ---------------------------------------------------------------------

    def _become_worker(self, descriptors: list[int], stage: Stage) -> Never:
        try:
            self._control.close()
            os.close(self._host)
            for pidfds in (self._workers, self._inits, self._unborn):
                _close_all(pidfds)
            for child in self._dead.values():
                os.close(child.pidfd)
            gc.enable()
            birth.work(self._readied, descriptors, stage)
        finally:
            os._exit(70)  # our bug or a lost supervisor; the handler's errors end in serve

    # -- preload -------------------------------------------------------------------------------

    def _preload(self) -> None:
        failed: dict[str, str] = {}
        config = self._config
        self._readied = birth.prepare(config)
        if config.identity is not None:
            with suppress(OSError):  # then the code is shown as it is, and has to be readable
                owner = os.stat(config.code)
                self._owners_fd = rooms.make_owners_namespace(owner, config.identity)
        if not config.sealed:
            prepare_sys_path(config.code, config.layers)
        # A preload may take its time, or hang: then nobody polls, and a dead host goes unnoticed.
        signal.signal(signal.SIGALRM, self._end_without_host)
        signal.setitimer(signal.ITIMER_REAL, LOOK_FOR_HOST_S, LOOK_FOR_HOST_S)
        for name in config.preload:
            self._say_preloading(name)
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (the worker meets it again)
                failed[name] = f"{type(error).__name__}: {error}"
            if self._thread_source is None and traces.outlasting_threads():
                self._thread_source = name
        learned = self._learn()
        birth.take_back_keys(config)
        if not self._thread_source:
            self._readied.look_ahead(self._private())
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if config.sealed:
            prepare_sys_path(config.code, config.layers)
        rooms.interpreter_folders()
        gc.collect()
        pages.fill_gaps()
        pages.forget_lookups()
        gc.freeze()
        self._send(
            {
                m.OP: m.UP,
                "failed": failed,
                "threads": self._thread_source,
                "learned": learned.names,
                "refused": learned.refused,
                "spoilt": learned.spoilt,
            }
        )

    def _learn(self) -> learn.Learned:
        """Import what earlier instances imported, if it can be imported before a fork."""
        config = self._config
        if not config.learned or self._thread_source:
            return learn.Learned()
        own = own_folders(config.code, config.layers)
        tried = learn.Learned(list(config.learned))
        if not config.tried:
            tried = learn.try_out(config.learned, config.denied, own, self._private())
        done = learn.import_learned(tried.names, own, self._say_preloading)
        done.refused |= tried.refused
        self._thread_source = done.spoilt
        return done

    def _private(self) -> list[int]:
        """Descriptors that are the zygote's alone."""
        return [self._control.fileno(), self._host]

    def _say_preloading(self, name: str) -> None:
        self._send({m.OP: m.PRELOADING, "module": name})

    def _end_without_host(self, *_: object) -> None:
        over = select.poll()
        over.register(self._host, select.POLLIN)
        over.register(self._control, select.POLLRDHUP)  # nobody wants it any more
        if over.poll(0):
            tree.sweep_children(within_s=10.0)
            os._exit(0)

    # -- the socket ----------------------------------------------------------------------------

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        space = socket.CMSG_SPACE(birth.DESCRIPTORS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._control.recvmsg(
                m.MAX_DATAGRAM_BYTES, space, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:  # the host is gone, and had not read all that we said
            return {}, []
        descriptors = array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content)
        return (msgpack.unpackb(data) if data else {}), list(descriptors)

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # then the next poll says EOF
            socket.send_fds(self._control, [msgpack.packb(message)], descriptors)


def _exit_code(si_code: int, si_status: int) -> int:
    """As subprocess has it: the exit status, or minus the signal."""
    return si_status if si_code == os.CLD_EXITED else -si_status


def _is_readable(fd: int, within_ms: int = 0) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(within_ms))


def _remove(child: Child) -> None:
    """Its folders, and the ones above them if it was the last in them. Nobody is left in it."""
    if child.scratch:
        import shutil  # noqa: PLC0415 (needed only when the host has been killed)

        shutil.rmtree(child.scratch, ignore_errors=True)
    for folder in (*child.cgroups, *filter(None, [child.scratch])):
        above, ahead = os.path.dirname(folder), []  # and who was to be the next instance's
        with suppress(OSError):
            ahead = [f"{above}/{name}" for name in os.listdir(above) if name.startswith("spare-")]
        for path in (folder, *ahead, above):
            with suppress(OSError):
                os.rmdir(path)


def _close_all(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def main() -> None:
    """``python -c … CONTROL_FD HOST_PIDFD FUNCTION``"""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    host_pidfd = int(sys.argv[2])
    os.set_inheritable(host_pidfd, False)
    sys.argv[1:] = []
    birth.fresh_signals()
    sys.dont_write_bytecode = True  # a function's code folder is not ours to write to
    kernel.become_subreaper()
    gc.disable()
    Zygote(control, host_pidfd).run()
