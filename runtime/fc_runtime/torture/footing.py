"""
What the host stands on, before and after: descriptors, children, zombies, signals, cgroups; and
who on this machine carries a mark.

A mark is looked for in every process's environment (an exec inherits it, also through a cleared
``os.environ``, as /proc shows what there was at the exec), command line and name, which a fork
inherits and everybody may read.
"""

import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil
from fc_worker import tree

POLL_S: Final = 0.02  # where the kernel has no event to offer: a zombie of somebody else's
_TRACES: Final = ("environ", "cmdline", "comm")


@dataclass(frozen=True, slots=True)
class Marked:
    """A process that carries a mark; ``born`` tells it from another of the same pid."""

    pid: int
    parent: int
    born: float
    name: str
    zombie: bool

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]{' (zombie)' if self.zombie else ''}"


def marked(mark: str) -> dict[int, Marked]:
    """Every process of this machine that carries *mark*, except this one."""
    found = {}
    for folder in os.scandir("/proc"):
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            pid = int(folder.name)
            if bears(pid, mark):
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    zombie = process.status() == psutil.STATUS_ZOMBIE
                    found[pid] = Marked(
                        pid, process.ppid(), process.create_time(), process.name(), zombie
                    )
    return found


def bears(pid: int, mark: str) -> bool:
    """Does *mark* stand in its environment, its command line or its name?"""
    return any(mark.encode() in _read(pid, trace) for trace in _TRACES)


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 (a third)
            return file.read()
    except OSError:
        return b""


def is_process_1(pid: int) -> bool:
    """Of a pid namespace."""
    return b"\nNSpid:" in _read(pid, "status") and _own_number(pid) == 1


def _own_number(pid: int) -> int:
    return int(_read(pid, "status").split(b"\nNSpid:")[1].split(b"\n")[0].split()[-1])


def settle(excess: "Callable[[], list[Marked]]", within_s: float) -> list[Marked]:
    """Whom *excess* still finds when there is nobody, or the time is over."""
    until = time.monotonic() + within_s
    while True:
        found = excess()
        left_s = until - time.monotonic()
        if not found or left_s <= 0:
            return found
        wait_for_any({one.pid for one in found}, min(left_s, POLL_S))


def wait_for_any(pids: Iterable[int], within_s: float) -> None:
    """Until one of them has ended, at most *within_s* seconds."""
    pidfds = []
    poller = select.poll()
    try:
        for pid in pids:
            with suppress(OSError):
                pidfds.append(os.pidfd_open(pid))
        for pidfd in pidfds:
            poller.register(pidfd, select.POLLIN)
        poller.poll(within_s * 1000)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def kill(mark: str) -> None:
    """Whoever carries *mark* and is still there: a run leaves nothing, whatever it has shown."""
    for pid in marked(mark):
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if bears(pid, mark):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Footing:
    """What this process stands on at one moment."""

    descriptors: frozenset[tuple[int, str]]
    children: frozenset[int]
    signals: tuple[object, ...]
    cgroups: frozenset[str]

    @classmethod
    def now(cls) -> Self:
        return cls(
            frozenset(_descriptors()),
            frozenset(tree.descendants(os.getpid())),
            tuple(signal.getsignal(number) for number in sorted(signal.valid_signals())),
            frozenset(_cgroups()),
        )

    def grown(self, before: "Footing") -> list[str]:
        """What there is now, and was not *before*: a sentence each."""
        extra = self.descriptors - before.descriptors
        troubles = [f"descriptor {fd} is open: {what}" for fd, what in sorted(extra)]
        troubles += [f"child {pid} is there" for pid in sorted(self.children - before.children)]
        troubles += [f"cgroup {path} is there" for path in sorted(self.cgroups - before.cgroups)]
        if self.signals != before.signals:
            troubles.append("signal handlers of the host are others")
        return troubles


def settled(before: Footing, within_s: float) -> list[str]:
    """As `Footing.grown`, once there is nothing, or the time is over."""
    until = time.monotonic() + within_s
    while True:
        troubles = Footing.now().grown(before)
        if not troubles or time.monotonic() > until:
            return troubles
        wait_for_any((), POLL_S)


def _descriptors() -> list[tuple[int, str]]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them
            found.append((int(path.name), str(path.readlink())))
    return found


def _cgroups() -> list[str]:
    """Folders in the cgroup file systems that are named after this process."""
    ours = re.compile(rf"(?<!\d){os.getpid()}(?!\d)")
    found: list[str] = []
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, kind = line.partition(" - ")
            if kind.split()[0] in ("cgroup", "cgroup2"):
                for folder, names, _ in os.walk(fields.split()[4]):
                    found += [f"{folder}/{name}" for name in names if ours.search(name)]
    return found
