"""
What the strict profile does not let a handler ask of the kernel, and the filter that says so.

The policy below is frozen data: groups of system calls with the reason for each. `compile_filter`
turns it, through libseccomp, into a BPF program that the worker installs before any user code is
there (`fc_worker.seccomp`); children and threads inherit it and nobody can take it off again. A
filter that a handler adds itself can only refuse more: of several answers the kernel takes the
strictest, and an error is stricter than a supervisor's or a tracer's consent.

Everything is allowed but what is listed. A list of what is allowed would be stricter on paper, and
would break handlers with each new libc; what is listed is what no function has a use for and what
kernel bugs have come through, or what reaches past the instance: other processes, mounts, the
clock, the host. The filter is one wall of several: it does not replace namespaces or limits.

What must hold:

- A refused call fails like one the user has no right to, ``EPERM``, so that libraries do what they
  do on any careful host. ``ENOSYS`` where they have a way without it: no io_uring, and no clone3,
  whose flags lie in memory where no filter can read them; libc falls back to clone.
- Arguments are compared in the 32 bits that the kernel looks at. A 64-bit comparison is evaded by
  setting a bit above them, and refuses callers that leave rubbish there.
- A call of another architecture's table (i386 by ``int 0x80``, x32) ends the process: numbers mean
  something else there. All of it, not the thread: the others might wait for its locks forever.
- A call that the installed libseccomp has never heard of is refused by number if Linux gave it one
  number for all architectures (from 5.1 on), and is left out if not: old kernels do not have it
  either.

pyseccomp is an extra and is imported when it is needed, not with this module. Importing it runs
``ldconfig`` once and needs the C library; installing the filter needs neither, so the worker's side
stays free of both.
"""

import errno
import functools
import os
import socket
import termios
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fc_runtime.errors import InternalError

_ALL_32_BITS: Final = 0xFFFFFFFF
_OPTIMIZE_FOR_MANY_CALLS: Final = 2  # a binary tree over the numbers (libseccomp 2.5)
_UNKNOWN_NAME: Final = -1  # __NR_SCMP_ERROR; further below are names of other architectures


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """System calls that are refused whatever their arguments."""

    name: str
    why: str
    calls: tuple[str, ...]
    error: int = errno.EPERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """System calls that are refused when bits of one argument are what they must not be."""

    name: str
    why: str
    calls: tuple[str, ...]
    argument: int  # which one, from 0
    refused: tuple[tuple[int, int], ...]  # (mask, value): any one with argument & mask == value
    error: int = errno.EPERM


def _any_of(flags: Collection[int]) -> tuple[tuple[int, int], ...]:
    return tuple((flag, flag) for flag in flags)


def _exactly(values: Collection[int]) -> tuple[tuple[int, int], ...]:
    return tuple((_ALL_32_BITS, value) for value in values)


def _other_than(small: Collection[int]) -> tuple[tuple[int, int], ...]:
    """All values but *small* ones, each below 32: libseccomp has no "not equal" under a mask."""
    return _exactly([n for n in range(32) if n not in small]) + _any_of(
        [1 << bit for bit in range(5, 32)]
    )


def _neither_zero_nor_all_ones() -> tuple[tuple[int, int], ...]:
    """Only in those two is no set bit followed, around the circle, by one that is not set."""
    pairs = [(1 << bit, 1 << (bit + 1) % 32) for bit in range(32)]
    return tuple((bit | following, bit) for bit, following in pairs)


GROUPS: Final = (
    Group(
        name="debugging",
        why="reads, writes or steers other processes, or takes their descriptors",
        calls=("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    ),
    Group(
        name="mounts",
        why="changes what files there are; what is mounted is also what hides the host's",
        calls=(
            *("mount", "umount", "umount2", "pivot_root", "chroot"),
            *("move_mount", "open_tree", "open_tree_attr", "mount_setattr"),
            *("fsopen", "fsconfig", "fsmount", "fspick"),
        ),
    ),
    Group(
        name="namespaces",
        why="a fresh user namespace is root over kernel code that expects root to mean well",
        calls=("unshare", "setns"),
    ),
    Group(
        name="clone3",
        why="makes namespaces too, and its flags cannot be looked at; libc falls back to clone",
        calls=("clone3",),
        error=errno.ENOSYS,
    ),
    Group(
        name="kernel code",
        why="loads code into the kernel, or another kernel",
        calls=(
            *("init_module", "finit_module", "delete_module", "create_module"),
            *("kexec_load", "kexec_file_load"),
        ),
    ),
    Group(
        name="programs for the kernel",
        why="hands the kernel programs to run or faults to wait for: large, young, often attacked",
        calls=("bpf", "perf_event_open", "userfaultfd"),
    ),
    Group(
        name="io_uring",
        why="does by message what this filter refuses by call; libraries fall back to epoll",
        calls=("io_uring_setup", "io_uring_enter", "io_uring_register"),
        error=errno.ENOSYS,
    ),
    Group(
        name="keyrings",
        why="keys of the host's user and session: no namespace keeps them apart",
        calls=("keyctl", "add_key", "request_key"),
    ),
    Group(
        name="clocks",
        why="there is one wall clock for everybody",
        calls=(
            *("clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64"),
            *("settimeofday", "stime", "adjtimex"),
        ),
    ),
    Group(
        name="system administration",
        why="acts on the whole machine: its power, swap, names, ports, accounts, log",
        calls=(
            *("reboot", "swapon", "swapoff", "sethostname", "setdomainname"),
            *("iopl", "ioperm", "acct", "quotactl", "quotactl_fd", "syslog", "vhangup"),
        ),
    ),
    Group(
        name="files past their names",
        why="opens a file by its inode, around every directory and mount; watches all of a mount",
        calls=("open_by_handle_at", "fanotify_init", "fanotify_mark"),
    ),
    Group(
        name="memory placement",
        why="moves pages of other processes, and of its own into a quarrel with its limits",
        calls=("migrate_pages", "move_pages"),
    ),
    Group(
        name="relics",
        why="of no use to a program of this century, and as little looked after",
        calls=(
            *("modify_ldt", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl"),
            *("nfsservctl", "lookup_dcookie"),
        ),
    ),
)

GUARDS: Final = (
    Guard(
        name="namespaces by clone",
        why="the same as unshare; every other clone is an ordinary fork or thread",
        calls=("clone",),
        argument=0,  # on all of `_ARCHITECTURES`
        refused=_any_of(
            (
                *(0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000),  # NEW: NS, CGROUP, UTS, IPC
                *(0x1000_0000, 0x2000_0000, 0x4000_0000),  # NEW: USER, PID, NET
            )
        ),
    ),
    Guard(
        name="socket families",
        why="vsock reaches the hypervisor whatever the network namespace; others load modules",
        calls=("socket", "socketpair"),
        argument=0,
        refused=_other_than(
            (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK),
        ),
        error=errno.EAFNOSUPPORT,
    ),
    Guard(
        name="typing for others",
        why="puts input into a terminal as if somebody had typed it, for the shell that has it",
        calls=("ioctl",),
        argument=1,
        refused=_exactly((termios.TIOCSTI, termios.TIOCLINUX)),
    ),
    Guard(
        name="personality",
        why="turns off address randomization and more; asking, or plain Linux, is all that is left",
        calls=("personality",),
        argument=0,
        refused=_neither_zero_nor_all_ones(),
    ),
)

# The same on every architecture (Linux, scripts/syscall.tbl), for a libseccomp that is older.
_COMMON_NUMBERS: Final = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}

_ARCHITECTURES: Final = ("X86_64", "AARCH64")  # names in pyseccomp.Arch


def why_unavailable() -> str | None:
    """
    What to install before there can be a filter, or None if there can be one.

    Of the kernel nothing is asked: one without seccomp says so when the filter is installed.
    """
    try:
        import pyseccomp  # noqa: PLC0415 (an extra; see above)
    except ImportError:
        return "needs pyseccomp; install it with: pip install 'fc-runtime[strict]'"
    except (RuntimeError, OSError, AttributeError):  # not found, cannot be loaded, is too old
        return (
            "needs libseccomp.so.2; install it with: apt install libseccomp2, "
            "or as the distribution's libseccomp"
        )
    if pyseccomp.system_arch() not in {getattr(pyseccomp.Arch, name) for name in _ARCHITECTURES}:
        return f"is written for x86_64 and aarch64, not for {os.uname().machine}"
    return None


@functools.cache
def compile_filter() -> bytes:
    """
    The policy as an array of ``struct sock_filter``, for this machine: 8 bytes an instruction.

    Made once for each process; the same bytes every time. Ask `why_unavailable` first.
    """
    if reason := why_unavailable():
        raise InternalError(f"no filter without asking first: it {reason}")
    import pyseccomp  # noqa: PLC0415 (an extra; see above)

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    with suppress(OSError):  # Linux before 4.14 can only end the thread
        rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    with suppress(
        OSError
    ):  # libseccomp before 2.5: one comparison after the other, a little slower
        rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _OPTIMIZE_FOR_MANY_CALLS)
    for group in GROUPS:
        for number in _numbers(pyseccomp, group.calls):
            rules.add_rule(pyseccomp.ERRNO(group.error), number)
    for guard in GUARDS:
        for number in _numbers(pyseccomp, guard.calls):
            for mask, value in guard.refused:
                found = pyseccomp.Arg(guard.argument, pyseccomp.MASKED_EQ, mask, value)
                rules.add_rule(pyseccomp.ERRNO(guard.error), number, found)
    with os.fdopen(os.memfd_create("seccomp"), "rb") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _numbers(pyseccomp: Any, calls: tuple[str, ...]) -> list[int]:
    """Those of *calls* that this architecture has, as far as anybody here knows."""
    numbers = []
    for call in calls:
        number = int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call))
        if number == _UNKNOWN_NAME:
            number = _COMMON_NUMBERS.get(call, _UNKNOWN_NAME)
        if number >= 0:
            numbers.append(number)
    return numbers
