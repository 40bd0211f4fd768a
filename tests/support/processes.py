"""
What a test asks about processes that a handler started: handlers print ``pid <identity> <who>``.

The identity is ``<number>:<inode of its pid namespace>:<start>``: the number alone, which is the one
that a process knows itself by, is 2 for the worker of every instance that has a namespace of its
own; and the next namespace may get the inode of one that is gone, so what has ended is known by its
start, in clock ticks since boot. Of a process that is there number and namespace are enough.
"""

import os
import re
import select
import time
from contextlib import suppress
from pathlib import Path

import psutil

GONE_WITHIN_S = 2.0  # a tree that has been killed is gone in milliseconds, but not at once


def printed_pids(log: bytes) -> dict[str, str]:
    """Who printed which identity: lines ``pid 123:4026531836:7654 grandchild`` in a log."""
    found = re.findall(rb"^pid (\d+:\d+:\d+) ([\w-]+)$", log, re.MULTILINE)
    return {who.decode(): identity.decode() for identity, who in found}


def still_running(log: bytes, within_s: float = GONE_WITHIN_S) -> dict[str, str]:
    """Those who printed who they are and have not ended within that time."""
    until = time.monotonic() + within_s
    left = {}
    for who, identity in printed_pids(log).items():
        for pid in _known_as(identity):
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                poller = select.poll()
                poller.register(pidfd, select.POLLIN)
                if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
                    left[who] = identity
                os.close(pidfd)
    return left


def pid_of(identity: str) -> int:
    """By what number we know somebody who says who he is; he is there, or in our own namespace."""
    number, namespace, *_ = identity.split(":")
    if int(namespace) == Path("/proc/self/ns/pid").stat().st_ino:
        return int(number)
    found = _known_as(identity)
    assert len(found) == 1, f"{identity} is known as {found}"
    return found[0]


def statuses_of(identity: str) -> list[str]:
    """In psutil's words; none if he is gone."""
    found = []
    for pid in _known_as(identity):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid).status())
    return found


def workers(zygote: int) -> list[int]:
    """Its instances, as we number them. One in a namespace of its own is process 2 there."""
    children = [child.pid for child in psutil.Process(zygote).children()]
    return [pid for pid in children if _number_of_itself(pid) in {str(pid), "2"}]


def _known_as(identity: str) -> list[int]:
    """By what numbers we know them."""
    found = []
    for pid in psutil.pids():
        with suppress(OSError):
            namespace = Path(f"/proc/{pid}/ns/pid").stat().st_ino
            known = f"{_number_of_itself(pid)}:{namespace}:{_started(pid)}:"
            if known.startswith(f"{identity}:"):
                found.append(pid)
    return found


def _number_of_itself(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.split("NSpid:")[1].split("\n")[0].split()[-1]


def _started(pid: int) -> str:
    """In clock ticks since boot, as the kernel prints it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
