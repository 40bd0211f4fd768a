"""What goes wrong before the first event: at import, by the function's environment."""

import os
import signal
import subprocess
import sys
import threading
import time

from door import door

FATE = os.environ.get("TORTURE_IMPORT")

if FATE == "raise":
    raise LookupError("no such luck")
elif FATE == "hang":
    while True:
        time.sleep(1000)
elif FATE == "exit":
    sys.exit(3)
elif FATE == "exit at once":
    os._exit(0)
elif FATE == "crash":
    signal.raise_signal(signal.SIGSEGV)
elif FATE == "hoard":
    HOARD = [b"x" * 2**20 for _ in range(256)]
    time.sleep(1000)
elif FATE == "syntax":
    exec("this is no Python")
elif FATE == "close":
    os.closerange(0, 65536)
    time.sleep(1000)
elif FATE == "thread":
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
elif FATE == "fork":
    CHILD = os.fork()
elif FATE == "daemon":
    subprocess.Popen(["sleep", "999"], start_new_session=True)


def well():
    return "well"


dispatch = door(globals())
