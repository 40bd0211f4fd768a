"""
Who holds tasks: one owner for each engine, with a lease.

A name is never used by another: that of a process which was thought dead, and was only asleep, is
not taken for alive again while others run what it held (see `queue.renew`). On one machine nobody
waits for a lease: whether the process is still there can be seen. ``host`` says for which
processes that is so; two containers of one machine do not see each other's.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """As it is in the table of owners, but for its lease."""

    owner: str
    node: str
    host: str
    pid: int
    pid_started: int  # clock ticks since boot: a number may be given to a process again

    def is_gone(self, seen_from: str) -> bool:
        """Can it be seen from that host that its process is no more?"""
        return self.host == seen_from and _started(self.pid) != self.pid_started


def new_owner(node: str) -> Owner:
    """This process, as an owner of its own."""
    pid = os.getpid()
    return Owner(
        owner=secrets.token_hex(12),
        node=node,
        host=_host(),
        pid=pid,
        pid_started=_started(pid) or 0,
    )


def _host() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 (not a path)


def _started(pid: int) -> int | None:
    """When that process began; None if there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else int(fields[18])
