"""Ways to miss a deadline."""

import asyncio
import ctypes
import fcntl
import faulthandler
import os
import re
import signal
import stat
import tempfile
import threading
import time

from door import door


def busy():
    while True:
        pass


def sleeping():
    time.sleep(1000)


def about_as_long():
    """As long as it may take, to the fraction of a millisecond."""
    time.sleep(0.05)
    return "in time"


def holding_the_gil():
    python = ctypes.PyDLL(None)  # unlike CDLL it keeps the GIL
    while True:
        python.sleep(1000)


def matching():
    return bool(re.match(r"(a+)+$", "a" * 64 + "b"))


def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(1000)


def catching_everything():
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def stopping_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


def deadlocked():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def uninterruptible():
    """
    State D, as behind a stuck mount, but killable: between vfork and exec, whose child waits in
    open(2) for somebody to write to a fifo.
    """
    folder = tempfile.mkdtemp()
    fifo = f"{folder}/fifo"
    os.mkfifo(fifo)
    if not os.fork():  # somebody has to tidy up, and it is not us
        time.sleep(0.2)
        os.unlink(fifo)
        os.rmdir(folder)
        os._exit(0)
    os.posix_spawn("/bin/true", ["true"], dict(os.environ),
                   file_actions=[(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)])


def mute():
    """No stack is to be had from it: the signal that asks for it does something else."""
    for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        faulthandler.unregister(number)
        signal.signal(number, lambda *_: None)
    while True:
        time.sleep(1000)


def babbling():
    """What is to bring its stack brings something else, without end."""
    pipes = []
    for name in os.listdir("/proc/self/fd"):
        try:
            mode = os.fstat(int(name)).st_mode
            flags = fcntl.fcntl(int(name), fcntl.F_GETFL)
        except OSError:
            continue
        if stat.S_ISFIFO(mode) and flags & os.O_ACCMODE == os.O_WRONLY and flags & os.O_NONBLOCK:
            pipes.append(int(name))
    noise = os.urandom(65536)
    while True:
        for fd in pipes:
            try:
                os.write(fd, noise)
            except OSError:
                pass


def alarmed():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.00001, 0.00001)
    while True:
        signal.pause()


async def awaiting():
    await asyncio.sleep(1000)


async def refusing_to_be_cancelled():
    while True:
        try:
            await asyncio.sleep(1000)
        except BaseException:
            pass


class Sticky:
    def __del__(self):
        while True:
            pass


def finalizing():
    Sticky()


def crowded():
    """The main thread waits for twenty that turn."""
    threads = [threading.Thread(target=busy) for _ in range(20)]
    for thread in threads:
        thread.start()
    threads[0].join()


def returning_beside_a_thread():
    """Returns, and leaves a thread that is no daemon and never ends."""
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return "returned"


dispatch = door(globals())
