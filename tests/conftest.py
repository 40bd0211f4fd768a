"""
What every test gets: handlers by name, and a guard that nothing is left behind.

The guard looks at the processes below this one, its zombies, and its open descriptors, before and
after each test that starts processes. A leak is a failure of the product, whatever the test says.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

HANDLERS = Path(__file__).parent / "handlers"
# A function has a /tmp of its own: what a test and its handlers share has to lie elsewhere.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/var/tmp")
# What a shell puts in the background it starts with SIGINT ignored, nohup with SIGHUP, and exec keeps
# that: programs under test would not take them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
SETTLE_S = 5.0  # what has been told to go may take a moment to be gone


def descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that listed them
    return found


def offspring() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_for_exit(process: psutil.Process, within_s: float) -> None:
    """Until it has ended or become a zombie: on its pidfd, not on a clock."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll(within_s * 1000)
    finally:
        os.close(pidfd)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No child process, no zombie and no descriptor more than before."""
    if "unit" in request.path.parts:
        yield
        return
    before = descriptors()
    known = {process.pid for process in offspring()}
    yield
    until = time.monotonic() + SETTLE_S
    left = [process for process in offspring() if process.pid not in known]
    for process in left:
        wait_for_exit(process, max(0.0, until - time.monotonic()))
    left = [process for process in offspring() if process.pid not in known]
    described = []
    for process in left:
        with process.oneshot():
            try:
                described.append(f"{process.pid} {process.status()} {process.cmdline()}")
            except psutil.Error:
                continue
    assert not described, f"processes left behind: {described}"
    extra = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not extra, f"descriptors left open: {extra}"


@pytest.fixture
def handlers() -> Path:
    """The folder of handler folders."""
    return HANDLERS
