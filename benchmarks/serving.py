"""Servers of a benchmark: processes of their own, on a free port, gone with the block."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from case import UnavailableError, rival_module

PEERS = Path(__file__).resolve().parent / "http_peers"
UP_S = 20.0
GRACE_S = 3.0


@contextlib.contextmanager
def process(argv, **options):
    """A server in a process group of its own, all of which ends with the block."""
    child = subprocess.Popen(
        [sys.executable, *argv],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **options,
    )
    try:
        yield child
    finally:
        end(child)


def end(child):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        os.killpg(child.pid, signal.SIGKILL)  # a call that nobody answers holds a server up
    child.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_until_up(port):
    until = time.monotonic() + UP_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until:
                raise UnavailableError("does not come up") from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def functions_framework(workers):
    """Its own server; yields the URL of a handler that hands the body back."""
    rival_module("functions_framework")
    port = free_port()
    argv = ["-m", "functions_framework", "--source", "framework.py", "--target", "handler"]
    environment = {**os.environ, "WORKERS": str(workers)}
    with process([*argv, "--port", str(port)], cwd=PEERS, env=environment):
        wait_until_up(port)
        yield f"http://127.0.0.1:{port}/"
