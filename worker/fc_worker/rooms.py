"""
What a sandboxed worker sees of the file system: the steps of a plan that mount (`sandbox`).

Trees are cloned while the host's mounts are still there, and placed, read-only, once what they
are to be seen in covers the host's. Nothing here reaches another process: the first step cuts
the mount namespace off.
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from stat import S_ISDIR
from typing import Any, Final

from fc_worker import kernel

HOST_ROOT: Final = "/.host"  # where the old root is until /proc has been mounted


@dataclass(slots=True)
class Stage:
    """What a plan needs besides: what differs from instance to instance, and how to tell births."""

    join: Sequence[str] = ()  # cgroup folders of this instance
    scratch: str = ""  # a folder of the host's for it, where it has no /tmp of its own
    births_fd: int = -1  # where to tell the pids of a new pid namespace
    owners_fd: int = -1  # a user namespace that maps the owner of the code to the identity


def private_mounts(_stage: Stage) -> None:
    """Nothing mounted from here on reaches the host, nor the other way round."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)


def scratch(_stage: Stage, folder: str, size_mb: int, keep: Sequence[str]) -> None:
    """
    An empty *folder* of its own, in memory. *keep*: what lies below it and is needed (code, or an
    interpreter, in /tmp) is shown in it, read-only.
    """
    wanted = [path for path in (*keep, *interpreter_folders()) if _is_below(path, folder)]
    trees = [(path, kernel.clone_mount(path)) for path in _topmost(wanted)]
    _mount_memory(folder, size_mb)
    for path, tree in trees:
        kernel.restrict_mount(tree, kernel.READ_ONLY)
        _place(tree, path)


def scratch_folder(stage: Stage) -> None:
    """All that is left where there is no mount namespace: who asks for a folder gets its own."""
    os.environ["TMPDIR"] = stage.scratch


def root(stage: Stage, spec: dict[str, Any]) -> None:
    """
    A root of its own that holds what *spec* names and the interpreter, all read-only, and empty
    folders to write to. The host's stays at `HOST_ROOT` until ``forget_host``.
    """
    shown = [path for path in spec["show"] if os.path.lexists(path)]
    folders = [path for path in (*shown, *interpreter_folders()) if not os.path.islink(path)]
    links = {path: os.readlink(path) for path in shown if os.path.islink(path)}
    trees = [(path, kernel.clone_mount(path)) for path in _topmost(folders)]
    # A link such as /etc/resolv.conf leads out of what is shown: show what it leads to.
    for path in [
        path for path, leads_to in links.items() if not _is_shown(path, leads_to, folders)
    ]:
        del links[path]
        with suppress(FileNotFoundError):
            trees.append((path, kernel.clone_mount(path)))
    own = [(path, kernel.clone_mount(path)) for path in spec["own"]]
    devices = [(path, kernel.clone_mount(path)) for path in spec["devices"]]

    top = "/tmp"  # noqa: S108 (any folder that exists everywhere: it is covered, not written to)
    kernel.mount("fc-root", top, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=1m")
    for path, target in links.items():
        _make_parents(top + path)
        os.symlink(target, top + path)
    for path, text in spec["files"].items():
        _make_parents(top + path)
        write(top + path, text, create=True)
    # An interpreter may lie in a folder to write to: then it is shown in that, and not below it.
    late = [path for path, _ in trees if any(_is_below(path, one) for one in spec["writable"])]
    for path, tree in trees:
        kernel.restrict_mount(tree, kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEVICES)
        if path not in late:
            _place(tree, top + path)
    for path in spec["writable"]:
        os.makedirs(top + path, exist_ok=True)
        _mount_memory(top + path, spec["scratch_mb"])
    for path, tree in trees:
        if path in late:
            _place(tree, top + path)
    for path, tree in own:  # after the folders to write to: code may lie in one of them
        if stage.owners_fd >= 0:
            with suppress(OSError):  # not on this file system: then as it is, or `work_in` says no
                kernel.map_owners(tree, stage.owners_fd)
        kernel.restrict_mount(tree, kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEVICES)
        _place(tree, top + path)
    for path, tree in devices:
        kernel.restrict_mount(tree, kernel.NO_SUID | kernel.NO_EXEC)
        _place(tree, top + path)
    for path, target in spec["links"].items():
        if not os.path.lexists(top + path):  # code may lie below /var/tmp: then it is a folder
            _make_parents(top + path)
            os.symlink(target, top + path)
    os.mkdir(f"{top}/proc")
    os.mkdir(top + HOST_ROOT)
    kernel.pivot_root(top, top + HOST_ROOT)
    os.chdir("/")


def proc(_stage: Stage) -> None:
    """Of the pid namespace that this process is in."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", flags)


def forget_host(_stage: Stage) -> None:
    kernel.detach_mount(HOST_ROOT)
    os.rmdir(HOST_ROOT)
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kernel.restrict_mount(top, kernel.READ_ONLY, whole_tree=False)
    finally:
        os.close(top)


def work_in(_stage: Stage, folder: str) -> None:
    try:
        os.chdir(folder)
        os.listdir(folder)
    except PermissionError:
        raise OSError(
            errno.EACCES,
            f"{folder} cannot be read by the sandbox's user, and its file system cannot show it "
            "as that user's; make it readable for all: chmod -R o+rX",
        ) from None


# -- for the steps ------------------------------------------------------------------------------


@cache
def interpreter_folders() -> tuple[str, ...]:
    """
    Whatever this interpreter may still import from, and what a child of it needs to start. As it
    was when first asked: a zygote asks, so that its workers need not look again.
    """
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(sys.executable)]
    named += [path for path in sys.path if os.path.isabs(path)]
    both = [*named, *map(os.path.realpath, named)]
    return tuple(path for path in dict.fromkeys(both) if path != "/" and os.path.exists(path))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _topmost(paths: Sequence[str]) -> list[str]:
    """Without those that lie in another of them."""
    found: list[str] = []
    for path in sorted(set(paths), key=len):
        if not any(path == above or _is_below(path, above) for above in found):
            found.append(path)
    return found


def _is_shown(path: str, leads_to: str, folders: Sequence[str]) -> bool:
    target = os.path.normpath(os.path.join(os.path.dirname(path), leads_to))
    return any(target == folder or _is_below(target, folder) for folder in folders)


def _mount_memory(folder: str, size_mb: int) -> None:
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("fc-scratch", folder, "tmpfs", flags, f"mode=1777,size={size_mb}m")


def _place(tree: int, target: str) -> None:
    """Mount *tree*, a folder or a file, on *target*, which is made first."""
    try:
        if S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            _make_parents(target)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
        kernel.place_mount(tree, target)
    finally:
        os.close(tree)


def _make_parents(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def write(path: str, text: str, *, create: bool = False) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def make_owners_namespace(owner: os.stat_result, identity: int) -> int:
    """
    A user namespace that shows the files of *owner* as those of *identity*, for `Stage`; needs
    root. A process is needed to make one; it is gone when this returns.
    """
    ready_out, ready_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.unshare("user")
            os.write(ready_in, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready_in)
    try:
        if not os.read(ready_out, 1):
            raise OSError("no user namespace")
        write(f"/proc/{pid}/uid_map", f"{owner.st_uid} {identity} 1")
        write(f"/proc/{pid}/gid_map", f"{owner.st_gid} {identity} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_out)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
