"""
What the service manager of the host is told (sd_notify(3)): ready, reloading, stopping.

Nothing is told where nobody asked: ``NOTIFY_SOCKET`` is not set.
"""

import os
import socket
import time
from contextlib import suppress


def ready() -> None:
    """Requests are taken; or a reload has come to its end, well or not."""
    tell("READY=1")


def reloading() -> None:
    """Until `ready` is told again."""
    tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """No more are taken."""
    tell("STOPPING=1")


def tell(state: str) -> None:
    """A manager that is gone, or does not read, changes nothing for those who are served."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name without a file
        address = f"\0{address[1:]}"
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
    ):
        out.setblocking(False)
        out.sendto(state.encode(), address)
