"""Ways to use memory, one function each."""

import mmap
import os
import signal
import subprocess
import sys
import time

MiB = 1024 * 1024
HOG = "hoard = []\nwhile True: hoard.append(b'x' * 2**20)"


def say(who, pid=None):
    os.write(1, f"pid {identity(pid or os.getpid())} {who}\n".encode())


def identity(number):
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open(f"/proc/{number}/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{number}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def fill(mebibytes):
    """Resident, and this process's own."""
    return [b"x" * MiB for _ in range(mebibytes)]


def well(event, context):
    return "well"


def grow(event, context):
    say("worker")
    hoard = []
    while True:
        hoard += fill(1)


def grow_slowly(event, context):
    say("worker")
    hoard = []
    while True:
        hoard += fill(1)
        time.sleep(0.002)


def grow_mapped(event, context):
    """Shared anonymous memory, which is no heap."""
    say("worker")
    area = mmap.mmap(-1, 4096 * MiB)
    for at in range(0, 4096 * MiB, 4096):
        area[at] = 1


def one_child(event, context):
    say("worker")
    child = subprocess.Popen([sys.executable, "-c", HOG])
    say("child", child.pid)
    return child.wait()


def grandchild(event, context):
    say("worker")
    child = subprocess.Popen([sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"])
    say("child", child.pid)
    return child.wait()


def many_children(event, context):
    """Ten processes of 20 MiB each: none is too large, their sum is."""
    say("worker")
    for number in range(10):
        if not os.fork():
            hoard = fill(20)
            say(f"child-{number}")
            time.sleep(1000)
    time.sleep(1000)


def sharing_children(event, context):
    """Six processes that share 40 MiB: the sum of what each maps is large, the memory is not."""
    hoard = fill(40)
    r, w = os.pipe()
    for _ in range(6):
        if not os.fork():
            sum(block[0] for block in hoard)
            os.read(r, 1)
            os._exit(0)
    time.sleep(0.5)
    os.write(w, b"x" * 6)
    for _ in range(6):
        os.wait()
    return len(hoard)


def within(event, context):
    hoard = fill(int(event))
    time.sleep(0.1)
    return len(hoard)


def raising(event, context):
    raise MemoryError("of my own")


def too_much_at_once(event, context):
    return len(bytearray(64 * 1024 * MiB))


def killing_itself(event, context):
    hoard = fill(40)
    os.kill(os.getpid(), signal.SIGKILL)


def child_killed(event, context):
    child = subprocess.Popen(["sleep", "1000"])
    child.kill()
    return child.wait()


def dispatch(event, context):
    return globals()[event.decode()](event, context)
