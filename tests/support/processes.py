"""What a test asks about processes that a handler started: handlers print ``pid <number> <who>``."""

import re

import psutil


def printed_pids(log: bytes) -> dict[str, int]:
    """Who printed which pid: lines ``pid 123 grandchild`` in a log."""
    return {
        who.decode(): int(pid)
        for pid, who in re.findall(rb"^pid (\d+) ([\w-]+)$", log, re.MULTILINE)
    }


def is_running(pid: int) -> bool:
    """Is there such a process, zombies not counted?"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def still_running(log: bytes) -> dict[str, int]:
    """Those who printed their pid and have not ended."""
    return {who: pid for who, pid in printed_pids(log).items() if is_running(pid)}
