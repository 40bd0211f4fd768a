"""
Process trees, by /proc: who descends from whom, and how to end them all.

Every worker is a child subreaper, so whatever its handler starts, double-forked daemons
included, stays below it while it lives, and falls to the zygote when it dies. Shared with the
supervisor, which has to do the same when a zygote is gone.

A tree is ended top down in two passes: stop everybody first, until a walk finds nobody new (a
stopped process cannot fork), then kill. Killing while walking would race with every fork.
"""

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

_PF_EXITING: Final = 0x4
_HAS_CHILDREN_FILES: Final = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def children(pid: int) -> list[int]:
    """Direct children of *pid*, zombies included; empty when it is gone."""
    found: list[int] = []
    if not _HAS_CHILDREN_FILES:
        return _children_by_scan(pid)
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, read_file(f"/proc/{pid}/task/{thread}/children").split())
    return found


def read_file(path: str) -> bytes:
    """A third of the system calls of `open`: a zygote reads one at each end of an instance."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _children_by_scan(pid: int) -> list[int]:
    """The same on a kernel without CONFIG_PROC_CHILDREN: parent pids of everybody."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                # PermissionError: somebody else's, on a /proc mounted with hidepid.
                suppress(FileNotFoundError, ProcessLookupError, PermissionError),
                open(f"/proc/{name}/stat", "rb") as file,
            ):
                if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                    found.append(int(name))
    return found


def descendants(pid: int, spare: Collection[int] = ()) -> list[int]:
    """Everybody below *pid*, without *spare* and whoever is below those."""
    found: list[int] = []
    todo = [pid]
    seen = {pid, *spare}
    while todo:
        for child in children(todo.pop()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                todo.append(child)
    return found


def is_zombie(pid: int) -> bool:
    """Is *pid* dead but not yet waited for, or gone?"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in b"ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _has_no_thread_left(pid: int) -> bool:
    """Unlike a zombie whose other threads go on, nobody can be below it any more."""
    try:
        return is_zombie(pid) and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_exiting(pid: int) -> bool:
    """Is *pid* past the point of no return of exiting, dead, or gone? (PF_EXITING, proc(5))"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return bool(int(file.read().rpartition(b")")[2].split()[6]) & _PF_EXITING)
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False  # out of descriptors: nobody can tell


def kill_descendants(pid: int, within_s: float = 0.25) -> int:
    """
    Stop, then kill, everybody below *pid*; how many processes there were.

    *within_s* bounds the first pass: against a fork loop that outruns it, what has been found by
    then is killed and the caller looks again. *pid* itself should be stopped, or be the caller.
    """
    return _kill(lambda over: descendants(pid, over), within_s)


def _kill_trees(roots: Collection[int], within_s: float = 0.25) -> int:
    """The same for *roots* and everybody below them."""

    def find(over: Collection[int]) -> list[int]:
        found = [root for root in roots if root not in over]
        for root in roots:
            found += descendants(root, over)
        return found

    return _kill(find, within_s)


def _kill(find: Callable[[Collection[int]], list[int]], within_s: float) -> int:
    """*find* tells of everybody there is, as far as not below somebody who is over."""
    stopped: set[int] = set()
    over: set[int] = set()  # a fork loop leaves hundreds of zombies: each look would lose the race
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        fresh = [found for found in find(over) if found not in stopped]
        if not fresh:
            break
        for found in reversed(fresh):  # the youngest first: it is the one that forks next
            _signal(found, signal.SIGSTOP)
        stopped.update(fresh)
        over.update(filter(_has_no_thread_left, fresh))
    alive = 0
    for found in stopped:
        alive += not is_zombie(found)
        _signal(found, signal.SIGKILL)
    return alive


def _signal(pid: int, number: int) -> None:
    # PermissionError: a set-uid program in the tree; it stays, and is counted as a survivor.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def sweep_children(
    known: Callable[[], Collection[int]] = tuple, within_s: float = 2.0
) -> tuple[int, list[int]]:
    """
    End and reap every child of this process that is not *known*; (killed, survivors).

    For zygotes and for workers: as subreapers they inherit whatever their dead left behind.
    *known* is asked after each look at the children: one may have come, and be known, meanwhile.
    """
    killed = 0
    me = os.getpid()
    until = time.monotonic() + within_s
    while True:
        there = children(me)
        spared = known()
        strays = [child for child in there if child not in spared]
        if not strays:
            return killed, []
        if time.monotonic() > until:
            return killed, strays
        killed += _kill_trees(strays)
        _reap(strays, until)


def end_strangers() -> int | None:
    """
    Whoever else is in this process's pid namespace, besides process 1, is killed; how many, None if
    it cannot be told. For a worker with a namespace of its own and without children.
    """
    apart = {1, os.getpid()}
    try:
        others = {int(name) for name in os.listdir("/proc") if name.isdigit()} - apart
    except OSError:
        return None  # the handler has left it no descriptors
    found = [pid for pid in others if not is_zombie(pid)]
    if found:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        wait_for(found, within_s=2.0)
    return len(found)


def wait_for_children(pid: int, within_s: float) -> list[int]:
    """
    Until *pid*, which reaps its own, has no children left; who was there at last if it takes
    longer. They have been told to end.
    """
    until = time.monotonic() + within_s
    while left := children(pid):
        if time.monotonic() > until:
            return left
        _wait(left, until, any_of_them=False)
    return []


def wait_for(pids: Collection[int], within_s: float) -> None:
    """Until all of *pids*, anybody's, have ended."""
    _wait(pids, time.monotonic() + within_s, any_of_them=False)


def _reap(pids: Collection[int], until: float) -> None:
    """
    Wait for killed children, at most *until*, in the order in which they end: process 1 of a pid
    namespace ends only after others have been reaped.
    """
    left = set(pids)
    while True:
        for pid in list(left):
            try:
                if os.waitpid(pid, os.WNOHANG) != (0, 0):
                    left.discard(pid)
            except ChildProcessError:
                left.discard(pid)
        if not left or time.monotonic() > until:
            return
        _wait(left, until, any_of_them=True)


def _wait(pids: Collection[int], until: float, *, any_of_them: bool) -> None:
    """On the pidfds of *pids*, for one of them, or all, at most *until*."""
    import select  # noqa: PLC0415 (a worker that never leaves children never needs it)

    poller = select.poll()
    pidfds = set()
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                pidfds.add(os.pidfd_open(pid))
        for pidfd in pidfds:
            poller.register(pidfd, select.POLLIN)
        waiting = len(pidfds)
        while waiting:
            ended = poller.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ended or any_of_them:
                return
            for pidfd, _ in ended:
                poller.unregister(pidfd)
            waiting -= len(ended)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
