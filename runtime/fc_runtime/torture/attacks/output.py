"""Ways to write a log, and to read what is not there."""

import fcntl
import logging
import mmap
import os
import subprocess
import sys
import time

from door import door

BLOCK = b"x" * 65535 + b"\n"


def flooding():
    while True:
        os.write(1, BLOCK)


def flooding_and_returning():
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        os.write(1, BLOCK)
    return "returned"


def flooding_from_a_child():
    subprocess.run("exec yes >&2", shell=True)


def printing_without_end():
    while True:
        print("no newline", end="")


def blowing_up_the_log():
    """A terabyte, of which nothing is there."""
    fd = os.open("/proc/self/fd/1", os.O_WRONLY)
    os.ftruncate(fd, 1 << 40)
    os.close(fd)
    return "blown up"


def sealing_the_log():
    """Nobody shall be able to shorten it any more."""
    try:
        fcntl.fcntl(1, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except OSError:
        return "not sealed"
    return "sealed"


def writing_in_the_middle():
    """Without O_APPEND, at any place, through a mapping: the log is a file."""
    fd = os.open("/proc/self/fd/1", os.O_RDWR)
    fcntl.fcntl(1, fcntl.F_SETFL, 0)
    os.pwrite(fd, b"far out", 100_000)
    area = mmap.mmap(fd, 4096)
    os.ftruncate(fd, 100)
    os.close(fd)
    area.close()
    return "written"


def any_bytes():
    os.write(1, bytes(range(256)))
    os.write(2, b"\xed\xa0\x80\xff\n")
    return "written"


def closing_streams():
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return "silent"


def breaking_logging():
    logging.root.handlers[:] = []
    logging.Handler.handle = None
    logging.Formatter.format = None
    sys.stdout = sys.stderr = None
    raise ValueError("and an error to be logged")


def reading_stdin():
    return {"read": len(sys.stdin.read()), "fd": len(os.read(0, 100))}


def keeping_stdout_open():
    """A child has standard output, and says something when the handler has long returned."""
    subprocess.Popen("sleep 999; echo late", shell=True)
    return "returned"


dispatch = door(globals())
