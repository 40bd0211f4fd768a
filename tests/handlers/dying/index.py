"""Ways to die, or to talk nonsense to the supervisor, one function each."""

import ctypes
import fcntl
import os
import signal
import stat

from fc_worker import wire

MiB = 1024 * 1024


def well(event, context):
    return "well"


def answer_pipe():
    """The descriptor that answers leave by."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            is_fifo = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            continue
        mode = fcntl.fcntl(fd, fcntl.F_GETFL)
        if is_fifo and mode & os.O_ACCMODE == os.O_WRONLY and not mode & os.O_NONBLOCK:
            return fd


def segv(event, context):
    ctypes.string_at(0)


def abort(event, context):
    os.abort()


def killed(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def terminated(event, context):
    os.kill(os.getpid(), signal.SIGTERM)


def alarmed(event, context):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()


def replaced(event, context):
    """Becomes another program, which ends well."""
    os.execv("/bin/true", ["true"])


def killed_by_a_child(event, context):
    parent = os.getpid()
    if not os.fork():
        os.kill(parent, signal.SIGKILL)
        os._exit(0)
    while True:
        signal.pause()


def closing_everything(event, context):
    os.closerange(0, 65536)
    while True:
        signal.pause()


def closing_and_returning(event, context):
    os.closerange(3, 65536)
    return "nobody hears this"


def writing_noise(event, context):
    """Random bytes to everything that can be written to."""
    noise = os.urandom(65536)
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_blocking(int(name), False)
            os.write(int(name), noise)
        except OSError:
            pass
    while True:
        signal.pause()


def forging_an_answer(event, context):
    """A frame that is right in every way but for whom it is."""
    os.write(answer_pipe(), wire.encode(int(wire.Kind.RESULT), 999_999, {"s": 0}, 4) + b"mine")
    while True:
        signal.pause()


def announcing_too_much(event, context):
    """4 GiB are announced, ten bytes come."""
    prefix = wire.PREFIX.pack(2**32 - 1, 10, 1, int(wire.Kind.RESULT), wire.VERSION, 0)
    os.write(answer_pipe(), prefix + b"0123456789")
    while True:
        signal.pause()


def msgpack_bomb(event, context):
    """Headers that nest deeper than any parser should follow."""
    headers = b"\x91" * 100_000
    prefix = wire.PREFIX.pack(0, len(headers), 1, int(wire.Kind.RESULT), wire.VERSION, 0)
    data = prefix + headers
    while data:
        data = data[os.write(answer_pipe(), data) :]
    while True:
        signal.pause()


def answering_twice(event, context):
    """Copies its own answer, as it was sent for the last event, into the pipe once more."""
    os.write(answer_pipe(), wire.encode(int(wire.Kind.RESULT), 0, {"s": 0}, 3) + b"one")
    return "two"


def dispatch(event, context):
    return globals()[event.decode()](event, context)
