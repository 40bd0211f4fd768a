"""Returns, and something goes wrong when nobody is asking."""

import os
import signal
import threading
import time

from door import door

LATER_S = 0.05


def later(work, *arguments):
    def run():
        time.sleep(LATER_S)
        work(*arguments)

    threading.Thread(target=run, daemon=True).start()
    return "well so far"


def exiting():
    return later(os._exit, 0)


def crashing():
    return later(os.kill, os.getpid(), signal.SIGSEGV)


def closing():
    return later(os.closerange, 0, 65536)


def noise():
    def write():
        for name in os.listdir("/proc/self/fd"):
            try:
                os.set_blocking(int(name), False)
                os.write(int(name), b"noise" * 1000)
            except OSError:
                pass

    return later(write)


def hoarding():
    return later(lambda: hoard.extend(b"x" * 2**20 for _ in range(256)))


def forking():
    """A child that nobody waits for, born between two invocations."""

    def fork():
        if not os.fork():
            while True:
                signal.pause()

    return later(fork)


hoard = []
dispatch = door(globals())
