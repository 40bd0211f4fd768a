"""Instances that spoil themselves, a little or at once."""

import ctypes
import json
import os
import signal
import time

MiB = 1024 * 1024
libc = ctypes.CDLL(None, use_errno=True)
KEPT = []


def who():
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open("/proc/self/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def grow(event, context):
    """Keep that many MiB more, and say what this instance holds by now."""
    KEPT.append(bytes(b"x" * MiB) * int(event))
    return json.dumps([os.environ["FC_INSTANCE_ID"], sum(map(len, KEPT)) // MiB])


def well(event, context):
    return os.environ["FC_INSTANCE_ID"]


def leave_behind(event, context):
    """
    A daemon that is nobody's below here: while it is orphaned this process is no subreaper. It
    has told who it is by the time this returns.
    """
    libc.prctl(36, 0, 0, 0, 0)
    ready_out, ready_in = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(1, f"pid {who()} stranger\n".encode())
            os.write(ready_in, b".")
            os.close(ready_in)
            time.sleep(1000)
        os._exit(0)
    os.wait()
    os.read(ready_out, 1)
    os.close(ready_in)
    os.close(ready_out)
    return os.environ["FC_INSTANCE_ID"]


def leave_a_sibling(event, context):
    """CLONE_PARENT: whoever is a child of this process's parent. It is not waited for."""
    number = 220 if os.uname().machine == "aarch64" else 56
    if libc.syscall(number, 0x8000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        while True:
            libc.pause()
    return os.environ["FC_INSTANCE_ID"]


def close_request_pipe(event, context):
    """Every pipe that this process reads from: the one that its next event would come by is one."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2 and os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                with open(f"/proc/self/fdinfo/{name}") as file:
                    if int(file.read().split("flags:")[1].split()[0], 8) & os.O_ACCMODE == 0:
                        os.close(fd)
        except OSError:
            continue
    return os.environ["FC_INSTANCE_ID"]
