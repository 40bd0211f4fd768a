"""
Real processes under the filter of the strict profile: what is refused, with which error, and that
ordinary life goes on. A program of its own installs the filter, because it can never be taken off.
"""

import errno
import json
import platform
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from fc_runtime.isolation import seccomp
from support import bpf

pyseccomp = pytest.importorskip(
    "pyseccomp", reason="needs libseccomp", exc_type=(ImportError, RuntimeError)
)
PROGRAM = Path(__file__).parents[1] / "handlers" / "confined" / "program.py"
NAMESPACE_FLAGS = {
    "NEWNS": 0x20000,
    "NEWCGROUP": 0x2000000,
    "NEWUTS": 0x4000000,
    "NEWIPC": 0x8000000,
    "NEWUSER": 0x10000000,
    "NEWPID": 0x20000000,
    "NEWNET": 0x40000000,
}
CLONE_THREAD = 0x10000  # without CLONE_SIGHAND no clone can succeed, filter or none
ABOVE_32_BITS = 1 << 40
only_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86_64 numbers")


def run(task: str, argument: object, program: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, PROGRAM, task, json.dumps(argument)],
        input=program,
        capture_output=True,
        check=False,
        timeout=60,
        start_new_session=True,
    )


def do(task: str, argument: object = None, program: bytes | None = None) -> Any:
    """What *task* says under the filter, or under *program*; it has nothing to complain of."""
    told = run(task, argument, seccomp.compile_filter() if program is None else program)
    assert (0, b"") == (told.returncode, told.stderr)
    return json.loads(told.stdout)


def number_of(call: str) -> int:
    (number,) = seccomp._numbers(pyseccomp, (call,))
    return number


def attempt(calls: dict[Any, tuple[str, tuple[int, ...]]], program: bytes | None = None) -> Any:
    """Each of *calls*, label: (name, arguments), in one process; the errno of each."""
    listed = [[number_of(name), arguments] for name, arguments in calls.values()]
    return dict(zip(calls, do("attempts", listed, program), strict=True))


def test_it_is_on() -> None:
    """The kernel says so itself; no_new_privs as well."""
    status = do("status")

    assert "2" == status["Seccomp"]
    assert "1" == status["NoNewPrivs"]


def test_every_call_of_the_policy_is_refused() -> None:
    """
    By raw system call, each with the error of its group; all arguments are -1, which no such call
    could do anything with. Without the filter the kernel finds other faults with them.
    """
    errors = {
        call: group.error
        for group in seccomp.GROUPS
        for call in group.calls
        if seccomp._numbers(pyseccomp, (call,))
    }
    calls = {call: (call, (-1,) * 6) for call in errors}
    harmless = {call: calls[call] for call in ("ptrace", "process_vm_readv")}

    assert errors == attempt(calls)
    assert len(errors) > 50  # most of the policy exists on this architecture
    assert {"ptrace": errno.ESRCH, "process_vm_readv": errno.EINVAL} == attempt(harmless, b"")


def test_clone_makes_no_namespace() -> None:
    """Each flag alone is refused before the kernel finds fault with anything else."""
    calls = {
        name: ("clone", (flag | CLONE_THREAD, 0, 0, 0, 0)) for name, flag in NAMESPACE_FLAGS.items()
    }
    calls["none"] = ("clone", (CLONE_THREAD, 0, 0, 0, 0))

    assert {**dict.fromkeys(NAMESPACE_FLAGS, errno.EPERM), "none": errno.EINVAL} == attempt(calls)


@pytest.mark.parametrize("noise", [0, ABOVE_32_BITS], ids=["plain", "noise-above"])
def test_socket_families(noise: int) -> None:
    """Four families; bits that the kernel does not look at change nothing, either way."""
    calls = {n: ("socket", (n | noise, socket.SOCK_DGRAM, 0)) for n in range(48)}
    allowed = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    seen = attempt(calls)
    # Not all of them, which would load modules; and this kernel may do without IPv6.
    unfiltered = attempt({n: calls[n] for n in allowed}, b"")

    assert {n for n in calls if seen[n] == errno.EAFNOSUPPORT} >= calls.keys() - allowed
    assert unfiltered == {n: seen[n] for n in allowed}
    assert 0 == seen[socket.AF_UNIX] == seen[socket.AF_INET]


@pytest.mark.parametrize("noise", [0, ABOVE_32_BITS], ids=["plain", "noise-above"])
def test_nobody_types_for_others(noise: int) -> None:
    """Refused before the descriptor is looked at; any other request gets as far as that."""
    calls = {
        "TIOCSTI": ("ioctl", (-1, termios.TIOCSTI | noise, 0)),
        "TIOCLINUX": ("ioctl", (-1, termios.TIOCLINUX | noise, 0)),
        "TIOCGWINSZ": ("ioctl", (-1, termios.TIOCGWINSZ | noise, 0)),
    }

    expected = {"TIOCSTI": errno.EPERM, "TIOCLINUX": errno.EPERM, "TIOCGWINSZ": errno.EBADF}
    assert expected == attempt(calls)


def test_personality() -> None:
    """Asking and plain Linux; turning off address randomization is refused."""
    calls = {
        "ask": ("personality", (0xFFFFFFFF,)),
        "plain": ("personality", (0,)),
        "no randomization": ("personality", (0x0040000,)),
        "noise above": ("personality", (0x0040000 | ABOVE_32_BITS,)),
    }
    refused = dict.fromkeys(("no randomization", "noise above"), errno.EPERM)

    assert {"ask": 0, "plain": 0, **refused} == attempt(calls)


@only_x86_64
def test_calls_of_i386_end_the_process() -> None:
    """By ``int 0x80``, whose numbers the filter does not know, on kernels that still answer it."""
    if run("int_0x80", None, b"").stdout != b"true\n":
        pytest.skip("this kernel has no i386 calls")

    assert -signal.SIGSYS == run("int_0x80", None, seccomp.compile_filter()).returncode


@only_x86_64
def test_calls_of_x32_end_all_threads() -> None:
    """A thread that dies alone may hold the lock that all others wait for."""
    assert b'"survived"\n' == run("x32_in_a_thread", None, b"").stdout
    assert -signal.SIGSYS == run("x32_in_a_thread", None, seccomp.compile_filter()).returncode


@only_x86_64
def test_a_second_filter_only_refuses_more() -> None:
    """A handler may confine itself further; what was refused stays refused."""
    # if the number is getppid's (110): ENXIO; if not: allow
    more = "2000000000000000 150000016e000000 0600000006000500 060000000000ff7f"
    forgiving = "060000000000ff7f"

    assert [errno.ENXIO, errno.EPERM] == do("twice", more)
    assert [0, errno.EPERM] == do("twice", forgiving)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("list_a_folder", True),
        ("shell", ["HELLO\n", 7, 3]),
        ("posix_spawn", 5),
        ("fork", 4),
        ("threads", 5050),
        ("pool_by_fork", [5, 4, 3, 2, 1]),
        ("pool_by_spawn", [5, 4, 3, 2, 1]),
        ("pool_by_forkserver", [5, 4, 3, 2, 1]),
        ("asyncio_subprocess", ["hello\n", 0]),
        ("loopback", "hello"),
        ("unix_sockets", "hello"),
        ("netlink", [True, True]),
        ("no_such_family", "EAFNOSUPPORT"),
        ("web", "hello"),
        ("files", [5000, ["copy", "fifo", "file", "link"]]),
        ("sleeping", True),
        ("signals", [signal.SIGUSR1, signal.SIGALRM]),
        ("limits", 0),
        ("terminals", [True, 80, 24, errno.EPERM]),
        ("calling_c", [3, 2, True]),
        ("encryption", [16, "e3b0c442"]),
    ],
)
def test_ordinary_life(task: str, expected: object) -> None:
    """Processes, threads, pools, sockets, files, signals, limits: as without the filter."""
    assert expected == do(task)


def test_numpy() -> None:
    """With its threads and its allocator."""
    pytest.importorskip("numpy")

    assert 300.0**3 == do("arrays")


# Installing it


def test_the_kernel_checks_the_program() -> None:
    """What is no program by its rules is refused as a whole, and the error says what went wrong."""
    loops = bytes.fromhex("0500000000000000")  # jumps past its own end
    told = run("status", None, loops)

    assert 1 == told.returncode
    assert b"OSError: [Errno 22] the seccomp filter was not installed" in told.stderr


def test_new_privileges_have_to_be_given_up_first() -> None:
    """
    Otherwise a set-uid program could be run under a filter that lies to it. The kernel lets pass
    only who may administer the system anyway, so this one first becomes somebody else.
    """
    code = (
        "import contextlib, os, sys\n"
        "from fc_worker.seccomp import install_seccomp\n"
        "with contextlib.suppress(PermissionError): os.setresuid(65534, 65534, 65534)\n"
        "try: install_seccomp(sys.stdin.buffer.read())\n"
        "except OSError as error: print(error.errno, error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        input=seccomp.compile_filter(),
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert (0, b"") == (told.returncode, told.stderr)
    assert told.stdout.startswith(b"%d " % errno.EACCES)
    assert b"no_new_privs is not set" in told.stdout


def test_what_the_kernel_answers_is_what_we_compute() -> None:
    """The interpreter of the unit tests and the kernel agree, call by call."""
    arguments = {
        "socket": [(n, socket.SOCK_DGRAM, 0) for n in (1, 2, 3, 38, 40, 1 << 20)],
        "ptrace": [(-1, -1, -1, -1)],
        "getppid": [()],
    }
    for call, many in arguments.items():
        for words in many:
            computed = bpf.answer(
                seccomp.compile_filter(), pyseccomp.system_arch(), number_of(call), *words
            )
            (seen,) = attempt({call: (call, words)}).values()
            assert (0 if computed == bpf.ALLOW else computed & 0xFFFF) == seen, (call, words)
