"""Ways to die before the answer."""

import atexit
import ctypes
import os
import resource
import signal
import struct
import sys
import threading
import time

from door import door, libc


class Own(BaseException):
    """An exception of a kind that nobody expects."""


def segv():
    ctypes.string_at(0)


def abort():
    os.abort()


def illegal():
    signal.raise_signal(signal.SIGILL)


def killing_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def killing_its_group():
    """If it is alone in it with its children, and not in the host's."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    return "in somebody else's group"


def exiting_well():
    os._exit(0)


def exiting_badly():
    os._exit(3)


def sys_exit():
    sys.exit(5)


def keyboard_interrupt():
    raise KeyboardInterrupt


def generator_exit():
    raise GeneratorExit


def own_exception():
    raise Own("nobody catches this")


def exiting_with_hooks():
    """What wants to have the last word hangs."""
    atexit.register(time.sleep, 1000)
    threading.Thread(target=time.sleep, args=(1000,)).start()
    sys.exit(6)


def exit_in_encoding():
    class Answer:
        def to_json(self):
            sys.exit(7)

    return Answer()


def becoming_another_program():
    os.execv("/bin/true", ["true"])


def closing_everything():
    os.closerange(0, 65536)
    while True:
        signal.pause()


def out_of_cpu_time():
    resource.setrlimit(resource.RLIMIT_CPU, (0, 1))
    while True:
        pass


def locking_itself_up():
    """Strict seccomp: the next system call but read, write and exit is the last."""
    if libc.prctl(22, 1, 0, 0, 0) != 0:
        return "has a filter already"
    os.getppid()


def changing_its_memory():
    """Overwrites the type that all numbers have."""
    ctypes.memset(id(int) + 16, 0xFF, 256)
    return int("12") + 1


def ending_the_main_thread():
    """The process lives on without the one thread that could answer."""

    threading.Thread(target=time.sleep, args=(1000,)).start()
    libc.syscall(93 if os.uname().machine == "aarch64" else 60, 0)


dispatch = door(globals())
