"""Ways to use memory: each stops at four times the limit, which is 64 MiB."""

import fcntl
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

from door import MARK, door, forever, libc

MiB = 1024 * 1024
LIMIT_MB = 64
MOST_MB = 4 * LIMIT_MB
HOG = f"hoard = [b'x' * {MiB} for _ in range({MOST_MB})]\nimport signal\nsignal.pause()"
hoard = []


def fill(mebibytes):
    return [b"x" * MiB for _ in range(mebibytes)]


def growing():
    kept = fill(MOST_MB)
    forever()
    return len(kept)


def growing_slowly():
    kept = []
    for _ in range(MOST_MB):
        kept += fill(1)
        time.sleep(0.001)
    forever()


def growing_mapped():
    area = mmap.mmap(-1, MOST_MB * MiB)
    for at in range(0, len(area), 4096):
        area[at] = 1
    forever()


def darting():
    """Over the limit and back between two looks."""
    area = mmap.mmap(-1, MOST_MB * MiB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
    area.close()
    return "nobody saw it"


def in_a_file():
    """Memory that is mapped nowhere: a file that lives in memory."""
    fd = os.memfd_create("hoard")
    for _ in range(MOST_MB):
        os.write(fd, b"x" * MiB)
    os.close(fd)
    return "nobody saw it"


def in_the_log():
    """The log is a file in memory too."""
    fd = os.open("/proc/self/fd/1", os.O_WRONLY)
    try:
        os.posix_fallocate(fd, 0, MOST_MB * MiB)
    finally:
        os.close(fd)
    time.sleep(0.3)
    return "done"


def growing_unseen():
    """Not dumpable: much of /proc/self is closed to whoever is not root."""
    libc.prctl(4, 0, 0, 0, 0)
    growing()


def child():
    subprocess.Popen([sys.executable, "-c", HOG])
    signal.pause()


def grandchild():
    subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"]
    )
    signal.pause()


def many_children():
    """None is too large, their sum is."""
    for _ in range(10):
        if not os.fork():
            kept = fill(20)
            forever()
    signal.pause()


def sharing_children():
    """Their sizes are over the limit, what they use is not."""
    kept = fill(24)
    children = []
    for _ in range(6):
        pid = os.fork()
        if not pid:
            time.sleep(0.2)
            os._exit(len(kept))
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def leaking():
    hoard.extend(fill(1))
    return "a little"


def asking_for_too_much():
    return len(bytearray(16 * 1024 * MiB))


def without_memory():
    """Nothing can be allocated any more, by the worker's own code neither."""
    size = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    kept = []
    while True:
        kept.append(bytearray(4096))


def recursing():
    return recursing()


def overflowing_the_stack():
    import ctypes

    sys.setrecursionlimit(10**9)
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)

    @callback
    def deeper(depth):
        return deeper(depth + 1)

    return deeper(0)


def filling_the_scratch():
    """16 MiB may be there; 64 are tried, and taken away again."""
    path = f"{tempfile.gettempdir()}/{MARK}-fill"
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written < 64 * MiB:
                written += file.write(b"x" * MiB)
    except OSError as error:
        return {"written": written, "errno": error.errno}
    finally:
        os.unlink(path)
    return {"written": written, "errno": None}


dispatch = door(globals())
