"""
The zygote: preload once, fork many.

Exec'd fresh by the supervisor, one per function, single-threaded. It never runs the handler. Its
whole world is one ``poll`` over the control socket, the host's pidfd, and a pidfd for each
instance:

    SPAWN    → fork; the child becomes the worker; FORKED goes back with the pidfd
    death    → sweep what the dead instance's tree left to us, then EXITED. The pid is reaped only
               at REAP: until then no signal or affinity call of the supervisor can hit a stranger
    host gone (socket EOF, or its pidfd: a forked child of the host may hold the socket open)
             → end every tree, then exit

If a preloaded module starts a thread, forking is no longer safe: instances are then exec'd.
"""

import array
import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final, Never

import msgpack

from fc_worker import capture, kernel, messages as m, serve, tree
from fc_worker.load import prepare_sys_path

MiB: Final = 1024 * 1024
DESCRIPTORS: Final = 4  # request in, response out, log, stacks
EXEC_BOOT: Final = "from fc_worker.zygote import exec_main; exec_main()"
LOOK_FOR_HOST_S: Final = 0.25
_SLACK_BYTES: Final = 1024 * MiB  # RLIMIT_DATA counts address space: a back-stop, not the limit


class Zygote:
    def __init__(self, control: socket.socket, host_pidfd: int) -> None:
        self._control = control
        self._host = host_pidfd
        self._workers: dict[int, tuple[int, int]] = {}  # pidfd → (instance id, pid)
        self._dead: dict[int, tuple[int, int]] = {}  # instance id → (pid, pidfd), not reaped
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(host_pidfd, select.POLLIN)
        self._thread_source: str | None = None
        self._config = m.WorkerConfig.from_map(self._receive()[0]["config"])

    def run(self) -> None:
        """Serve until the host is gone. Returns only in the zygote, never in a worker."""
        self._preload()
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._host:
                    return self._end_everything()
                if fd != self._control.fileno():
                    self._report_exit(fd)
                    continue
                message, descriptors = self._receive()
                match message.get(m.OP):
                    case m.SPAWN:
                        self._spawn(message["id"], descriptors)
                    case m.REAP:
                        self._reap(message["id"])
                    case _:  # EOF, the only other thing there is
                        return self._end_everything()

    # -- life of the instances -----------------------------------------------------------------

    def _spawn(self, instance: int, descriptors: list[int]) -> None:
        try:
            pid = self._exec_worker(descriptors) if self._thread_source else os.fork()
        except OSError as error:
            self._send({m.OP: m.FORK_FAILED, "id": instance, "error": str(error)})
            _close_all(descriptors)
            return
        if pid == 0:
            self._become_worker(descriptors)
        pidfd = os.pidfd_open(pid)
        self._workers[pidfd] = (instance, pid)
        self._poll.register(pidfd, select.POLLIN)
        _close_all(descriptors)
        self._send({m.OP: m.FORKED, "id": instance, "pid": pid}, pidfd)

    def _report_exit(self, pidfd: int) -> None:
        instance, pid = self._workers.pop(pidfd)
        self._poll.unregister(pidfd)
        swept, survivors = tree.sweep_children(known=self._known() | {pid})
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self._dead[instance] = (pid, pidfd)
        code = None if status is None else _exit_code(status.si_code, status.si_status)
        self._send(
            {m.OP: m.EXITED, "id": instance, "code": code, "swept": swept, "left": survivors}
        )

    def _reap(self, instance: int) -> None:
        pid, pidfd = self._dead.pop(instance)
        os.waitpid(pid, 0)
        os.close(pidfd)

    def _known(self) -> set[int]:
        return {pid for _, pid in self._workers.values()} | {pid for pid, _ in self._dead.values()}

    def _end_everything(self) -> None:
        tree.sweep_children(known=(), within_s=10.0)

    # -- becoming a worker ---------------------------------------------------------------------

    def _become_worker(self, descriptors: list[int]) -> Never:
        try:
            self._control.close()
            os.close(self._host)
            _close_all([*self._workers, *(pidfd for _, pidfd in self._dead.values())])
            gc.enable()
            _work(self._config, descriptors)
        finally:
            os._exit(70)  # our bug or a lost supervisor; the handler's errors end in serve

    def _exec_worker(self, descriptors: list[int]) -> int:
        config = os.memfd_create("fc-config", os.MFD_CLOEXEC)
        os.write(config, msgpack.packb(self._config.to_map()))
        first = max(*descriptors, config) + 1  # so that no dup2 hits another's source
        actions = [
            (os.POSIX_SPAWN_DUP2, fd, first + index)
            for index, fd in enumerate([*descriptors, config])
        ]
        try:
            return os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-W", "ignore", "-c", boot_code(EXEC_BOOT), str(first)],
                dict(os.environ),
                file_actions=actions,
            )
        finally:
            os.close(config)

    # -- preload -------------------------------------------------------------------------------

    def _preload(self) -> None:
        failed: dict[str, str] = {}
        _prepare(self._config)
        # A preload may take its time, or hang: then nobody polls, and a dead host goes unnoticed.
        signal.signal(signal.SIGALRM, self._end_without_host)
        signal.setitimer(signal.ITIMER_REAL, LOOK_FOR_HOST_S, LOOK_FOR_HOST_S)
        for name in self._config.preload:
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (the worker meets it again)
                failed[name] = f"{type(error).__name__}: {error}"
            if self._thread_source is None and len(os.listdir("/proc/self/task")) > 1:
                self._thread_source = name
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        gc.collect()
        gc.freeze()
        self._send({m.OP: m.UP, "failed": failed, "threads": self._thread_source})

    def _end_without_host(self, *_: object) -> None:
        if any(fd == self._host for fd, _ in self._poll.poll(0)):
            self._end_everything()
            os._exit(0)

    # -- the socket ----------------------------------------------------------------------------

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        space = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self._control.recvmsg(
            m.MAX_DATAGRAM_BYTES, space, socket.MSG_CMSG_CLOEXEC
        )
        descriptors = array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content)
        return (msgpack.unpackb(data) if data else {}), list(descriptors)

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # then the next poll says EOF
            socket.send_fds(self._control, [msgpack.packb(message)], descriptors)


def _prepare(config: m.WorkerConfig) -> None:
    """
    All that a fork inherits, done once in the zygote and not in the time of every cold start:
    limits, environment, folder, streams (objects over descriptors 0 to 2, whatever those are).
    """
    with suppress(OSError):
        # The kernel's own OOM killer shall take a worker before anything else on the host.
        oom = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(oom, b"700")
        os.close(oom)
    if config.sandbox != "none":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        data = config.memory_mb * MiB + _SLACK_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
        kernel.forbid_new_privileges()
    environment = environment_of(config)
    os.environ.clear()
    os.environ.update(environment)
    if "TZ" in environment:
        time.tzset()
    os.chdir(config.code)
    # Also: nothing printed by a preload may wait in a buffer for the first worker.
    capture.install()
    serve.watch_crashes()
    prepare_sys_path(config.code, config.layers)


def _work(config: m.WorkerConfig, descriptors: list[int]) -> Never:
    """Turn this fresh process, in which all is prepared, into a worker."""
    request_fd, response_fd, log_fd, stack_fd = descriptors
    os.setsid()
    kernel.become_subreaper()
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    os.environ["FC_INSTANCE_ID"] = (
        f"c-{int(time.time()):08x}-{os.urandom(4).hex()}-{os.urandom(6).hex()}"
    )
    serve.watch_deadlines(stack_fd)
    serve.Worker(config, request_fd, response_fd).run()


def environment_of(config: m.WorkerConfig) -> dict[str, str]:
    """What a function's process starts with (spec 9.B): FC's names win over the function's."""
    layers = [f"{layer}/bin" for layer in config.layers]
    return {
        "PATH": ":".join([*layers, "/opt/bin", "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 (FC's only writable folder)
        "PYTHONIOENCODING": "utf-8:surrogateescape",
        # As the zygote was exec'd with it: the dynamic loader reads it only then.
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
        **config.environment,
        "FC_FUNC_CODE_PATH": config.code,
        "FC_FUNCTION_NAME": config.function,
        "FC_FUNCTION_HANDLER": config.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "FC_ACCOUNT_ID": config.account_id,
        "FC_REGION": config.region,
        "FC_SERVICE_NAME": config.service,
        "FC_QUALIFIER": config.qualifier,
        "FC_VER_ID": config.version_id,
        "FC_RUNTIME_VERSION": f"python{sys.version_info.major}.{sys.version_info.minor}",
    }


def boot_code(statement: str) -> str:
    """``python -c`` text that finds this package wherever it is, and leaves sys.path as it was."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (
        f"import sys; path = {home!r}; fresh = path not in sys.path; "
        f"fresh and sys.path.insert(0, path); import fc_worker.zygote; "
        f"fresh and sys.path.remove(path); {statement}"
    )


def _exit_code(si_code: int, si_status: int) -> int:
    """As subprocess has it: the exit status, or minus the signal."""
    return si_status if si_code == os.CLD_EXITED else -si_status


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _fresh_signals() -> None:
    """Nothing of the host's signal set-up reaches a handler."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """``python -c … CONTROL_FD HOST_PIDFD``"""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    host_pidfd = int(sys.argv[2])
    os.set_inheritable(host_pidfd, False)
    sys.argv[1:] = []
    _fresh_signals()
    sys.dont_write_bytecode = True  # a function's code folder is not ours to write to
    kernel.become_subreaper()
    gc.disable()
    Zygote(control, host_pidfd).run()


def exec_main() -> None:
    """``python -c … FIRST_FD``: a worker that could not be forked."""
    first = int(sys.argv[1])
    *descriptors, config_fd = range(first, first + DESCRIPTORS + 1)
    sys.argv[1:] = []
    sys.dont_write_bytecode = True
    for fd in (*descriptors, config_fd):
        os.set_inheritable(fd, False)
    _fresh_signals()
    size = os.fstat(config_fd).st_size
    config = m.WorkerConfig.from_map(msgpack.unpackb(os.pread(config_fd, size, 0)))
    os.close(config_fd)
    _prepare(config)
    for name in config.preload:
        with suppress(Exception, SystemExit):  # the handler's own import tells what is wrong
            importlib.import_module(name)
    try:
        _work(config, descriptors)
    finally:
        os._exit(70)
