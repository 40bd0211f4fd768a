"""Ways to miss a deadline, one function each."""

import ctypes
import fcntl
import os
import re
import signal
import stat
import subprocess
import threading
import time

from fc_worker import wire

MiB = 1024 * 1024


def say(who, pid=None):
    """Write, unbuffered and at once, who has which pid."""
    os.write(1, f"pid {identity(pid or os.getpid())} {who}\n".encode())


def identity(number):
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open(f"/proc/{number}/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{number}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def well(event, context):
    return "well"


def dispatch(event, context):
    return globals()[event.decode()](event, context)


def policies(event, context):
    """How it is scheduled, in a tenth of a second and after it has slept so many."""
    time.sleep(0.1)  # who has just been made ready may be so for a last moment yet
    before = os.sched_getscheduler(0)
    time.sleep(float(event))
    return [before, os.sched_getscheduler(0)]


def slow_start(context):
    """An initializer: how it is scheduled after half a second."""
    time.sleep(0.5)
    print("initialized as", os.sched_getscheduler(0))


def busy(event, context):
    say("worker")
    while True:
        pass


def sleeping(event, context):
    say("worker")
    time.sleep(1000)


def holding_the_gil(event, context):
    say("worker")
    libc = ctypes.PyDLL(None)  # unlike CDLL it keeps the GIL
    while True:
        libc.sleep(1000)


def matching(event, context):
    say("worker")
    return bool(re.match(r"(a+)+$", "a" * 64 + "b"))


def ignoring_signals(event, context):
    say("worker")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def blocking_signals(event, context):
    say("worker")
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(1000)


def catching_everything(event, context):
    say("worker")
    while True:
        try:
            time.sleep(1000)
        finally:
            continue


def stopping_itself(event, context):
    say("worker")
    os.kill(os.getpid(), signal.SIGSTOP)
    return "woken"


def deadlocked(event, context):
    say("worker")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def waiting_for_a_child(event, context):
    say("worker")
    child = subprocess.Popen(["sleep", "1000"])
    say("child", child.pid)
    child.wait()


# -- trees -------------------------------------------------------------------------------------


def daemonize(who):
    """A process in a session of its own, by a double fork, with all its descriptors closed."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    say(who)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.chdir("/")
    os.closerange(0, 65536)
    while True:
        time.sleep(1000)


def tree(event, context):
    """Child, grandchild, a daemon, a stopped one; all of them say who they are."""
    say("worker")
    if not os.fork():
        say("child")
        if not os.fork():
            say("grandchild")
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while True:
                time.sleep(1000)
        time.sleep(1000)
    daemonize("daemon")
    if not os.fork():
        os.setsid()
        say("stopped")
        os.kill(os.getpid(), signal.SIGSTOP)
    say("shell", subprocess.Popen("sleep 1000 & exec sleep 1000", shell=True).pid)
    time.sleep(1000)


def tree_of_the_dead(event, context):
    """The worker itself dies at once; what it started goes on."""
    r, w = os.pipe()
    if not os.fork():
        daemonize("daemon")
        say("child")
        os.write(w, b"x")
        time.sleep(1000)
    os.read(r, 1)
    while b"daemon" not in os.pread(fd_of_the_log(), 1000, 0):
        time.sleep(0.001)
    if event == b"exit":
        os._exit(3)
    os.kill(os.getpid(), int(event))


def fd_of_the_log():
    return os.open("/proc/self/fd/1", os.O_RDONLY)


def fork_loop(event, context):
    """Parents that exit as soon as they have forked: nobody stands still."""
    say("worker")
    if not os.fork():
        while True:
            if os.fork():
                os._exit(0)
            time.sleep(0.001)
    time.sleep(1000)


# -- the answer --------------------------------------------------------------------------------


def answer_pipe():
    """The descriptor that answers leave by: the pipe which this process may only write to."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            is_fifo = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            continue
        mode = fcntl.fcntl(fd, fcntl.F_GETFL)
        if is_fifo and mode & os.O_ACCMODE == os.O_WRONLY and not mode & os.O_NONBLOCK:
            yield fd


def blocked_while_writing(event, context):
    """Its answer of 32 MiB goes to a pipe that nobody reads; the real one stays open."""
    say("worker")
    _, w = os.pipe()
    for fd in list(answer_pipe()):
        os.dup(fd)
        os.dup2(w, fd)
    return b"x" * (32 * MiB)


def stopped_while_writing(event, context):
    """Stops itself once the first piece of the 32 MiB has left."""
    say("worker")
    encode_signal = wire.encode_signal

    def stop_in_the_middle(*told):
        os.kill(os.getpid(), signal.SIGSTOP)
        return encode_signal(*told)

    wire.encode_signal = stop_in_the_middle
    return b"x" * (32 * MiB)


def dripping(event, context):
    """Announces an answer of 32 MiB in a frame of its own making, and sends it byte by byte."""
    say("worker")
    (fd,) = answer_pipe()
    os.write(fd, wire.PREFIX.pack(32 * MiB, 100, 1, int(wire.Kind.RESULT), wire.VERSION, 0))
    while True:
        os.write(fd, b"x")
