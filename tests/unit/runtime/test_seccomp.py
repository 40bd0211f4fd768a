"""
The policy of the strict profile as data, and the program made of it, asked call by call what it
answers. That real processes fare so is in `isolation/test_seccomp.py`.
"""

import errno
import socket
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator

import pytest
from fc_runtime.errors import InternalError
from fc_runtime.isolation import seccomp
from hypothesis import given, strategies as st
from support import bpf

pyseccomp = pytest.importorskip(
    "pyseccomp", reason="needs libseccomp", exc_type=(ImportError, RuntimeError)
)

ARCH = pyseccomp.system_arch()
EPERM = bpf.refusal(errno.EPERM)
ENOSYS = bpf.refusal(errno.ENOSYS)
EAFNOSUPPORT = bpf.refusal(errno.EAFNOSUPPORT)
BITS_64 = st.integers(0, 2**64 - 1)
# What is close to a rule is likelier to be taken for it than any random number.
NEAR = st.integers(0, 80) | st.integers(0, 63).map(lambda bit: 1 << bit) | BITS_64

IMPORTANT = """
    ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp
    mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr
    unshare setns kexec_load kexec_file_load init_module finit_module delete_module
    bpf perf_event_open userfaultfd keyctl add_key request_key
    clock_settime clock_adjtime settimeofday adjtimex
    reboot swapon swapoff sethostname setdomainname acct quotactl quotactl_fd syslog vhangup
    open_by_handle_at fanotify_init migrate_pages move_pages open_tree_attr
""".split()
NEEDED = """
    read write openat close mmap mprotect munmap brk futex clone fork vfork execve execveat wait4
    waitid exit_group kill tgkill pidfd_open pidfd_send_signal prctl seccomp prlimit64 getrandom
    epoll_wait epoll_pwait socket socketpair connect accept4 sendmsg recvmsg ioctl fcntl personality
    statx openat2 memfd_create sched_setaffinity setpriority timer_create inotify_init1 mknodat
    rt_sigaction rt_sigreturn nanosleep clock_nanosleep clock_gettime name_to_handle_at
    process_madvise get_mempolicy close_range copy_file_range sendfile splice rseq
""".split()


def number_of(call: str) -> int:
    """Fails for a call that does not exist here."""
    (number,) = seccomp._numbers(pyseccomp, (call,))
    return number


def asked(call: str, *arguments: int) -> int:
    return bpf.answer(seccomp.compile_filter(), ARCH, number_of(call), *arguments)


@pytest.fixture
def afresh() -> Iterator[None]:
    """Nothing is remembered, neither from other tests nor for them."""
    seccomp.compile_filter.cache_clear()
    yield
    seccomp.compile_filter.cache_clear()


# The policy


def test_every_entry_has_a_reason() -> None:
    """Whoever finds a call refused can read why, in words of their own for each group."""
    entries = (*seccomp.GROUPS, *seccomp.GUARDS)

    assert all(len(entry.why) > 20 for entry in entries)
    assert len(entries) == len({entry.name for entry in entries})
    assert len(entries) == len({entry.why for entry in entries})
    assert all(entry.calls for entry in entries)


def test_no_call_is_listed_twice() -> None:
    """A call has one reason, and is not both refused altogether and looked at."""
    calls = Counter(call for entry in (*seccomp.GROUPS, *seccomp.GUARDS) for call in entry.calls)

    assert {} == {call: times for call, times in calls.items() if times > 1}


def test_each_group_fails_as_it_should() -> None:
    """Not permitted, unless there is a way without it or the error has a name of its own."""
    errors = {entry.name: entry.error for entry in (*seccomp.GROUPS, *seccomp.GUARDS)}
    told = {name: error for name, error in errors.items() if error != errno.EPERM}

    assert {
        "clone3": errno.ENOSYS,
        "io_uring": errno.ENOSYS,
        "socket families": errno.EAFNOSUPPORT,
    } == told


def test_common_numbers_are_libseccomps() -> None:
    """Where libseccomp knows a call that we number ourselves, it has the same number."""
    known = {
        call: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
        for call in seccomp._COMMON_NUMBERS
    }
    known = {call: number for call, number in known.items() if number >= 0}

    assert known.items() <= seccomp._COMMON_NUMBERS.items()
    assert "clone3" in known


def test_every_common_number_is_of_the_policy() -> None:
    """No number is kept for a call that nobody refuses."""
    refused = {call for group in seccomp.GROUPS for call in group.calls}

    assert seccomp._COMMON_NUMBERS.keys() <= refused


# The program


def test_it_is_an_array_of_instructions() -> None:
    """Whole instructions of eight bytes, and no more than the kernel takes."""
    program = seccomp.compile_filter()

    assert isinstance(program, bytes)
    assert 0 == len(program) % 8
    assert 0 < len(program) // 8 <= 4096


@pytest.mark.usefixtures("afresh")
def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time libseccomp is not asked."""
    first = seccomp.compile_filter()
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    assert first is seccomp.compile_filter()


@pytest.mark.usefixtures("afresh")
def test_it_is_the_same_every_time() -> None:
    """Two hosts with the same libseccomp have the same filter: nothing depends on an order."""
    first = seccomp.compile_filter()
    seccomp.compile_filter.cache_clear()

    assert first == seccomp.compile_filter()


@pytest.mark.parametrize("call", IMPORTANT)
def test_important_calls_are_refused(call: str) -> None:
    """Known to libseccomp or not: by name or by number, each of these is refused here."""
    assert EPERM == asked(call)
    assert EPERM == asked(call, *[-1] * 6)


def test_calls_with_a_way_without_them_are_not_there() -> None:
    """libc falls back from clone3 to clone, libraries from io_uring to epoll."""
    for call in ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"):
        assert ENOSYS == asked(call)


@pytest.mark.parametrize("call", NEEDED)
def test_ordinary_calls_are_allowed(call: str) -> None:
    """Nothing that an ordinary program does is in the way of the filter."""
    numbers = seccomp._numbers(pyseccomp, (call,))
    if not numbers:
        pytest.skip("not a call of this architecture")
    arguments = (1,) if call.startswith("socket") else ()

    assert bpf.ALLOW == bpf.answer(seccomp.compile_filter(), ARCH, numbers[0], *arguments)


def test_nothing_else_is_refused() -> None:
    """Of all numbers, those of the policy and no other: also in the branches of the tree."""
    refused = {
        number for group in seccomp.GROUPS for number in seccomp._numbers(pyseccomp, group.calls)
    }
    looked_at = {
        number for guard in seccomp.GUARDS for number in seccomp._numbers(pyseccomp, guard.calls)
    }
    for number in set(range(1024)) - looked_at:
        said = bpf.answer(seccomp.compile_filter(), ARCH, number)
        assert (number in refused) == (said != bpf.ALLOW), number


@given(family=NEAR, noise=st.integers(0, 2**32 - 1), call=st.sampled_from(["socket", "socketpair"]))
def test_socket_families(family: int, noise: int, call: str) -> None:
    """Unix, internet and netlink, whatever stands in the bits that the kernel does not look at."""
    value = (noise << 32) ^ family
    allowed = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    expected = bpf.ALLOW if value % 2**32 in allowed else EAFNOSUPPORT

    assert expected == asked(call, value, socket.SOCK_STREAM)


@pytest.mark.parametrize("family", range(64))
def test_every_family_there_is(family: int) -> None:
    """One by one, and vsock and the kernel's cryptography in particular are out."""
    allowed = {1, 2, 10, 16}

    assert (bpf.ALLOW if family in allowed else EAFNOSUPPORT) == asked("socket", family)


@given(flags=NEAR)
def test_clone_makes_no_namespace(flags: int) -> None:
    """Any one flag of a namespace is enough to be refused; forks and threads are none."""
    namespaces = 0x7E02_0000  # NEWNS, and CGROUP, UTS, IPC, USER, PID, NET
    thread, fork = 0x003D_0F00, 0x0120_0011  # as glibc makes them

    assert (EPERM if flags & namespaces else bpf.ALLOW) == asked("clone", flags)
    assert bpf.ALLOW == asked("clone", thread) == asked("clone", fork)


@given(request=NEAR, noise=st.integers(0, 2**32 - 1))
def test_nobody_types_for_others(request: int, noise: int) -> None:
    """TIOCSTI and TIOCLINUX, also with bits above the 32 that the kernel looks at (CVE-2019-7303)."""
    refused = {termios.TIOCSTI, termios.TIOCLINUX}

    assert (EPERM if request % 2**32 in refused else bpf.ALLOW) == asked("ioctl", 0, request)
    for typing in refused:
        assert EPERM == asked("ioctl", 0, typing | noise << 32)


@given(persona=NEAR, noise=st.integers(0, 2**32 - 1))
def test_personality_is_asked_or_plain(persona: int, noise: int) -> None:
    """All ones asks, nought is plain Linux; each other value changes how programs are laid out."""
    for value in (persona, persona | noise << 32):
        expected = bpf.ALLOW if value % 2**32 in (0, 0xFFFF_FFFF) else EPERM
        assert expected == asked("personality", value)
    assert bpf.ALLOW == asked("personality", -1) == asked("personality", 0)


def test_calls_of_another_architecture_end_the_process() -> None:
    """The same number is another call there: i386, and x32, which shares the architecture's name."""
    program = seccomp.compile_filter()
    other = bpf.AARCH64 if ARCH == bpf.X86_64 else bpf.X86_64

    assert bpf.KILL_PROCESS == bpf.answer(program, other, 0)
    assert bpf.KILL_PROCESS == bpf.answer(program, bpf.I386, 20)
    if ARCH == bpf.X86_64:
        assert bpf.KILL_PROCESS == bpf.answer(program, ARCH, 0x4000_0000 | 39)


# An older libseccomp


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """libseccomp as it was before Linux 5.1, without the attributes that came later."""
    resolve = pyseccomp.resolve_syscall

    def forgetful(arch: int, name: str) -> int:
        number = int(resolve(arch, name))
        return number if number < 424 else seccomp._UNKNOWN_NAME

    def unknown(self: object, attribute: int, value: int) -> None:
        raise OSError(errno.EINVAL, "no such attribute")

    monkeypatch.setattr(pyseccomp, "resolve_syscall", forgetful)
    monkeypatch.setattr(pyseccomp.SyscallFilter, "set_attr", unknown)
    return monkeypatch


@pytest.mark.usefixtures("afresh", "older")
def test_an_older_libseccomp_refuses_the_same() -> None:
    """Names it never heard of are refused by number; without a tree the answers are the same."""
    numbers = {call: number_of(call) for call in ("clone3", "mount_setattr", "open_tree_attr")}
    program = seccomp.compile_filter()

    assert {"clone3": 435, "mount_setattr": 442, "open_tree_attr": 467} == numbers
    assert ENOSYS == bpf.answer(program, ARCH, 435)
    assert EPERM == bpf.answer(program, ARCH, 442)
    assert EPERM == bpf.answer(program, ARCH, number_of("mount"))
    assert bpf.ALLOW == bpf.answer(program, ARCH, 434)
    assert EAFNOSUPPORT == bpf.answer(program, ARCH, number_of("socket"), socket.AF_VSOCK)
    assert bpf.answer(program, bpf.I386, 20) in (0, bpf.KILL_PROCESS)  # nought: ends the thread


@pytest.mark.usefixtures("afresh")
def test_names_that_nobody_knows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of another architecture, or of none, does not keep the others from being refused."""
    before = seccomp.compile_filter()
    seccomp.compile_filter.cache_clear()
    strange = seccomp.Group(
        name="strange", why="from elsewhere", calls=("arm_sync_file_range", "x")
    )
    monkeypatch.setattr(seccomp, "GROUPS", (*seccomp.GROUPS, strange))

    assert before == seccomp.compile_filter()


# What is not installed


def test_here_it_is_available() -> None:
    """What this file needs to run is what the product needs."""
    assert seccomp.why_unavailable() is None


def test_without_pyseccomp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra, by name."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    said = seccomp.why_unavailable()

    assert said is not None
    assert "pip install 'fc-runtime[strict]'" in said


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyseccomp is there but finds no libseccomp: a package of the system."""
    monkeypatch.delitem(sys.modules, "pyseccomp")
    monkeypatch.setattr(
        "ctypes.util.find_library", lambda name: None if name == "seccomp" else name
    )
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: _AnyLibrary())
    said = seccomp.why_unavailable()

    assert said is not None
    assert "apt install libseccomp2" in said


class _AnyLibrary:
    """Answers to any name, as the C library would to those that it has."""

    def __getattr__(self, name: str) -> "_AnyLibrary":
        return self


def test_on_another_architecture_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, an argument may stand elsewhere, and a rule would look at the wrong one."""
    monkeypatch.setattr(pyseccomp, "system_arch", lambda: pyseccomp.Arch.S390X)

    assert "is written for x86_64 and aarch64" in str(seccomp.why_unavailable())


@pytest.mark.usefixtures("afresh")
def test_compiling_what_is_unavailable_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a weaker filter, never none: whoever did not ask is told."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    with pytest.raises(InternalError, match="pip install"):
        seccomp.compile_filter()


def test_importing_asks_for_nothing() -> None:
    """The module can be read by a host that has neither library."""
    program = "import sys, fc_runtime.isolation.seccomp; print('pyseccomp' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=30
    )

    assert "False" == told.stdout.strip()
