"""
What holds a worker from the inside: an ordered plan of the supervisor's, carried out here in the
fresh process, before any code of the function's is loaded.

A plan is a list of steps, ``[name, *arguments]``, plain values that travel in one message. It is
decided elsewhere (`fc_runtime.isolation.profiles`); here is how each step is done, and a step that
is not known, or fails, is the end of the process: nothing runs half sandboxed.

The step ``pid_namespace`` forks. Only its child, process 2 of the namespace, returns from `enter`
and becomes the worker. Process 1 does nothing but inherit orphans, until the worker ends: when it
dies, the kernel kills everybody in the namespace, so whoever holds its pidfd holds them all. Both
are left to the zygote, as the nearest subreaper, by a parent that tells their pids and exits.
"""

import errno
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Never

from fc_worker import kernel, rooms, seccomp
from fc_worker.messages import Step
from fc_worker.rooms import Stage

BIRTHS: Final = struct.Struct("=ii")  # pids of process 1 and of the worker, as the zygote sees them
WORKER: Final = 2  # its number in a pid namespace of its own
FAILED_EXIT_CODE: Final = 71
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1


class SandboxError(Exception):
    """A step could not be done. Says which, and why; ``transient``: for want of room."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


_NO_ROOM: Final = frozenset(
    {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EUSERS}
)


def has_pid_namespace(plan: Sequence[Step]) -> bool:
    """Will `enter` fork? Then it has to be called in a process that may go."""
    return any(step[0] == "pid_namespace" for step in plan)


def enter(plan: Sequence[Step], stage: Stage) -> None:
    """Carry out *plan*, in order. Raises SandboxError; then the process must end."""
    for name, *arguments in plan:
        do = _STEPS.get(name)
        if do is None:
            raise SandboxError(f"unknown step {name!r}")
        try:
            do(stage, *arguments)
        except OSError as error:
            raise SandboxError(
                f"{name}: {error.strerror or error}", transient=error.errno in _NO_ROOM
            ) from error


# -- who holds it ------------------------------------------------------------------------------


def _join_cgroups(stage: Stage) -> None:
    """
    There is one thread here. Of version 1 that one joins, and with it whoever it will start: a
    whole process would have to wait until the kernel is sure of all its threads (ADR 17).
    """
    for folder in stage.join:
        try:
            members = os.open(f"{folder}/tasks", os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # version 2
            members = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(members, b"0")
        finally:
            os.close(members)


def _user_namespace(_stage: Stage, shown_as: int) -> None:
    """One in which this user is *shown_as*, and nobody else exists."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare("user")
    kernel.show_own_proc()
    rooms.write("/proc/self/setgroups", "deny")
    rooms.write("/proc/self/uid_map", f"{shown_as} {user} 1")
    rooms.write("/proc/self/gid_map", f"{shown_as} {group} 1")


def _namespaces(_stage: Stage, names: Sequence[str]) -> None:
    kernel.unshare(*names)


def _pid_namespace(stage: Stage, identity: int | None) -> None:
    kernel.unshare("pid")
    going_out, going_in = os.pipe()
    first = os.fork()
    if first == 0:
        _be_process_1(identity, going_out)
    try:
        worker = os.fork()
    except OSError:  # no room: nobody else knows of process 1
        os.kill(first, signal.SIGKILL)
        raise
    if worker:
        os.write(going_in, b".")
        os.write(stage.births_fd, BIRTHS.pack(first, worker))
        os._exit(0)
    for fd in (going_out, going_in, stage.births_fd):
        os.close(fd)
    stage.births_fd = -1


def _be_process_1(identity: int | None, going_fd: int) -> Never:
    """
    Hold nothing, inherit orphans, and last as long as the worker: whoever is left then goes too,
    also where no zygote is left to see to it.
    """
    try:
        os.dup2(going_fd, 3)
        os.closerange(4, 2**31 - 1)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
        if identity is not None:
            _identity(Stage(), identity)
        with suppress(OSError):
            kernel.drop_capabilities()
        if os.read(3, 1):
            worker = select.poll()
            worker.register(os.pidfd_open(WORKER), select.POLLIN)
            while not worker.poll():
                pass
    finally:
        os._exit(0)


def _hostname(_stage: Stage, name: str) -> None:
    kernel.set_hostname(name)


def _loopback(_stage: Stage) -> None:
    """A network of its own starts with lo down; handlers talk to themselves over it."""
    import fcntl  # noqa: PLC0415 (only here)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


# -- what it may -------------------------------------------------------------------------------


def _limits(_stage: Stage, limits: dict[str, int]) -> None:
    for name, value in limits.items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)  # noqa: PLW2901 (the host's own limit is the stricter one)
        resource.setrlimit(which, (value, value))


def _process_numbers(_stage: Stage, most: int) -> None:
    """
    How many a pid namespace may hold, where it has a limit of its own (Linux 6.14).

    Written with root's rights but not as root: where there is only the one of the whole host,
    those do not suffice, and the host keeps it.
    """
    with kernel.rights_of_root_as(_NOBODY), suppress(OSError):
        rooms.write("/proc/sys/kernel/pid_max", str(max(most, _LEAST_PID_MAX)))


_NOBODY: Final = 65534
_LEAST_PID_MAX: Final = 301  # the kernel takes no less


def _identity(_stage: Stage, number: int) -> None:
    """User and group *number*, which nobody else on the host has, in the place of root."""
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def _no_capabilities(_stage: Stage) -> None:
    kernel.drop_capabilities()
    kernel.show_own_proc()


def _no_new_privileges(_stage: Stage) -> None:
    kernel.forbid_new_privileges()


def _system_calls(_stage: Stage, program: bytes) -> None:
    seccomp.install_seccomp(program)


_STEPS: Final[dict[str, Callable[..., None]]] = {
    "join_cgroups": _join_cgroups,
    "user_namespace": _user_namespace,
    "namespaces": _namespaces,
    "pid_namespace": _pid_namespace,
    "hostname": _hostname,
    "loopback": _loopback,
    "private_mounts": rooms.private_mounts,
    "scratch": rooms.scratch,
    "scratch_folder": rooms.scratch_folder,
    "root": rooms.root,
    "proc": rooms.proc,
    "forget_host": rooms.forget_host,
    "work_in": rooms.work_in,
    "limits": _limits,
    "process_numbers": _process_numbers,
    "identity": _identity,
    "no_capabilities": _no_capabilities,
    "no_new_privileges": _no_new_privileges,
    "system_calls": _system_calls,
}
