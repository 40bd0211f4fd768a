"""What goes wrong before the first event, at import or in the initializer: the environment says what."""

import os
import signal
import subprocess
import sys
import threading
import time

from door import door

def meet(fate):
    """What happens; None: nothing."""
    if fate == "raise":
        raise LookupError("no such luck")
    if fate == "hang":
        time.sleep(1000)
    if fate == "exit":
        sys.exit(3)
    if fate == "exit at once":
        os._exit(0)
    if fate == "crash":
        signal.raise_signal(signal.SIGSEGV)
    if fate == "hoard":
        hoard = [b"x" * 2**20 for _ in range(256)]
        time.sleep(len(hoard))
    if fate == "syntax":
        exec("this is no Python")
    if fate == "close":
        os.closerange(0, 65536)
        time.sleep(1000)
    if fate == "noise":
        for name in os.listdir("/proc/self/fd"):
            try:
                os.write(int(name), os.urandom(4096))
            except OSError:
                pass
        time.sleep(1000)
    if fate == "thread":
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    if fate == "fork":
        os.fork()
    if fate == "daemon":
        subprocess.Popen(["sleep", "999"], start_new_session=True)


meet(os.environ.get("TORTURE_IMPORT"))


def initialize(context):
    meet(os.environ.get("TORTURE_INITIALIZER"))


def well():
    return "well"


dispatch = door(globals())
