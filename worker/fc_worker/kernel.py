"""
The system calls that CPython does not offer, each as one function, and nothing else of libc.

All raise OSError with the kernel's own number. Policy is elsewhere: what is called, in which
order and with which arguments is a plan of the supervisor's (`sandbox`).
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_SECUREBITS: Final = 27
_PR_SET_SECUREBITS: Final = 28
_SECBIT_NO_SETUID_FIXUP: Final = 0x4

CLONE_NEW: Final = {
    "mount": 0x0002_0000,
    "cgroup": 0x0200_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "net": 0x4000_0000,
}

MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x4_0000
MNT_DETACH: Final = 0x2

READ_ONLY: Final = 0x1  # MOUNT_ATTR_*, of mount_setattr(2)
NO_SUID: Final = 0x2
NO_DEVICES: Final = 0x4
NO_EXEC: Final = 0x8
_IDMAP: Final = 0x0010_0000

# Numbers are the same on every architecture: all came after the tables were unified.
_SYS_OPEN_TREE: Final = 428
_SYS_MOVE_MOUNT: Final = 429
_SYS_MOUNT_SETATTR: Final = 442
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 0x1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_LAST_CAPABILITY: Final = 63

_libc: Final = ctypes.CDLL(None, use_errno=True)
# Looked up in the zygote, and not by each worker: ctypes makes much of the first use of a name.
for _name in "capset mount pivot_root prctl sethostname syscall umount2 unshare".split():
    getattr(_libc, _name, None)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace_fd", ctypes.c_uint64),
    )


def _done(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    _done(_libc.prctl(option, value, 0, 0, 0), f"prctl({option}, {value})")


def _syscall(number: int, what: str, *arguments: Any) -> int:
    return _done(_libc.syscall(ctypes.c_long(number), *arguments), what)


def become_subreaper() -> None:
    """Orphans below this process become its children (Linux 3.4). Not inherited by fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """SIGKILL when *parent*, a single-threaded process, ends; or now, if it has. Not inherited."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def forbid_new_privileges() -> None:
    """No set-uid program gains anything below this process (Linux 3.5). Inherited, for good."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def show_own_proc() -> None:
    """After a change of identity: /proc/self belongs to the new one (and no longer to root)."""
    _prctl(_PR_SET_DUMPABLE, 1)


@contextmanager
def rights_of_root_as(user: int) -> Iterator[None]:
    """For root: the effective user is *user* meanwhile, with all of root's capabilities."""
    if os.geteuid() != 0:
        yield
        return
    before = _done(_libc.prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0), "prctl(PR_GET_SECUREBITS)")
    _prctl(_PR_SET_SECUREBITS, before | _SECBIT_NO_SETUID_FIXUP)
    os.setresuid(-1, user, -1)
    try:
        yield
    finally:
        os.setresuid(-1, 0, -1)
        _prctl(_PR_SET_SECUREBITS, before)


def unshare(*namespaces: str) -> None:
    """Namespaces of its own for this process, by the names of `CLONE_NEW`."""
    flags = 0
    for name in namespaces:
        flags |= CLONE_NEW[name]
    _done(_libc.unshare(flags), f"unshare({', '.join(namespaces)})")


def set_hostname(name: str) -> None:
    data = name.encode()
    _done(_libc.sethostname(data, len(data)), f"sethostname({name})")


def drop_capabilities() -> None:
    """All of them, of this process and of whatever it will exec."""
    for number in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            break  # the last one that this kernel knows, or nothing to drop with
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _done(_libc.capset(header, nothing), "capset")


# -- mounts ------------------------------------------------------------------------------------


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    _done(
        _libc.mount(
            os.fsencode(source), os.fsencode(target), kind.encode(), flags, data.encode() or None
        ),
        f"mount {kind or source} on {target}",
    )


def detach_mount(target: str) -> None:
    """Gone at once from the tree; whoever uses it keeps it until then."""
    _done(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    _done(
        _libc.pivot_root(os.fsencode(new_root), os.fsencode(put_old)), f"pivot_root to {new_root}"
    )


def clone_mount(path: str) -> int:
    """
    A descriptor of *path* and all mounted below it, as a tree of its own that is mounted nowhere
    yet (open_tree(2), Linux 5.2).
    """
    return _syscall(
        _SYS_OPEN_TREE,
        f"open_tree {path}",
        _AT_FDCWD,
        os.fsencode(path),
        ctypes.c_uint(_OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC),
    )


def place_mount(tree_fd: int, target: str) -> None:
    """Mount on *target* what `clone_mount` has made (move_mount(2), Linux 5.2)."""
    _syscall(
        _SYS_MOVE_MOUNT,
        f"move_mount to {target}",
        tree_fd,
        b"",
        _AT_FDCWD,
        os.fsencode(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def restrict_mount(tree_fd: int, attributes: int, *, whole_tree: bool = True) -> None:
    """Add `READ_ONLY` and the like to a tree (mount_setattr(2), Linux 5.12); never takes away."""
    _set_attributes(tree_fd, _MountAttributes(set=attributes), whole_tree=whole_tree)


def map_owners(tree_fd: int, user_namespace_fd: int) -> None:
    """Show the files of a tree as owned by whom the namespace maps their owners to."""
    _set_attributes(
        tree_fd,
        _MountAttributes(set=_IDMAP, user_namespace_fd=user_namespace_fd),
        whole_tree=True,
    )


def _set_attributes(tree_fd: int, attributes: _MountAttributes, *, whole_tree: bool) -> None:
    _syscall(
        _SYS_MOUNT_SETATTR,
        f"mount_setattr {attributes.set:#x}",
        tree_fd,
        b"",
        ctypes.c_uint(_AT_EMPTY_PATH | (_AT_RECURSIVE if whole_tree else 0)),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
