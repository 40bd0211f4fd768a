"""
Starts a child and a daemon, and hangs beside them; `b"ping"` is answered at once.

Any other event is a whole number: for so many seconds both of them sleep, so it also is the mark
by which they are found.
"""

import os
import shutil
import subprocess
import time

SLEEP = shutil.which("sleep") or "/bin/sleep"
FOR_EVER_S = 1e6


def handler(event, context):  # noqa: ARG001 (the signature is Function Compute's)
    if event == b"ping":
        return b"pong"
    seconds = event.decode()
    child = subprocess.Popen([SLEEP, seconds])
    start_daemon([SLEEP, seconds])
    time.sleep(FOR_EVER_S)
    return str(child.pid).encode()


def start_daemon(argv):
    """As daemons are started: forked twice, in a session of its own, nobody's child."""
    between = os.fork()
    if between == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                os.execv(argv[0], argv)
        finally:
            os._exit(0)
    os.waitpid(between, 0)
