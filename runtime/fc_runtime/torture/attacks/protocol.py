"""Talking nonsense to the supervisor, over the pipes that are the worker's."""

import fcntl
import os
import signal
import stat
import struct
import time

from door import door
from fc_worker import messages, wire


def pipes(direction):
    """Blocking fifos that are open for *direction*: the request's, or the answer's."""
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        fd = int(name)
        try:
            is_fifo = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            continue
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if is_fifo and flags & os.O_ACCMODE == direction and not flags & os.O_NONBLOCK:
            found.append(fd)
    return found


def answer_pipe():
    return pipes(os.O_WRONLY)[0]


def request_pipe():
    return pipes(os.O_RDONLY)[0]


def hang():
    while True:
        signal.pause()


def noise():
    data = os.urandom(65536)
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_blocking(int(name), False)
            os.write(int(name), data)
        except OSError:
            pass
    hang()


def forging():
    """Right in every way but for whom it is."""
    os.write(answer_pipe(), wire.encode(int(wire.Kind.RESULT), 999_999, {"s": 0}, 4) + b"mine")
    hang()


def announcing_too_much():
    prefix = wire.PREFIX.pack(2**32 - 1, 10, 1, int(wire.Kind.RESULT), wire.VERSION, 0)
    os.write(answer_pipe(), prefix + b"0123456789")
    hang()


def send_headers(headers):
    data = wire.PREFIX.pack(0, len(headers), 2, int(wire.Kind.RESULT), wire.VERSION, 0) + headers
    while data:
        data = data[os.write(answer_pipe(), data) :]
    hang()


def deep():
    send_headers(b"\x91" * 100_000)


def wide():
    send_headers(b"\xdf\xff\xff\xff\xff" + b"\x01" * 1000)


def long_text():
    send_headers(b"\x81\xa1s\xdb\xff\xff\xff\xff")


def wrong_types():
    send_headers(b"\x81\xa1s\xa5hello")


def another_version():
    os.write(answer_pipe(), wire.PREFIX.pack(0, 0, 2, int(wire.Kind.RESULT), 99, 0))
    hang()


def another_kind():
    """As if it had just been initialised."""
    os.write(answer_pipe(), wire.encode(int(wire.Kind.READY), 0, {"s": 0, "ns": 1}, 0))
    hang()


def half_a_frame():
    os.write(answer_pipe(), b"\x01\x02\x03")
    hang()


def half_a_frame_and_exit():
    os.write(answer_pipe(), b"\x01\x02\x03")
    os._exit(0)


def dripping():
    """A frame that is announced, and comes a byte at a time."""
    os.write(answer_pipe(), wire.PREFIX.pack(10**6, 0, 2, int(wire.Kind.RESULT), wire.VERSION, 1))
    while True:
        os.write(answer_pipe(), b"x")
        time.sleep(0.01)


def answering_twice():
    os.write(answer_pipe(), wire.encode(int(wire.Kind.RESULT), 0, {"s": 0}, 3) + b"one")
    return "two"


def answering_ahead():
    """The answer to the next event is in the pipe before there is a next event."""
    r, w = os.pipe()
    if not os.fork():  # a child keeps no pipes; a thread of the child's would not either
        os._exit(0)
    os.wait()
    import threading

    pipe = answer_pipe()

    def later():
        time.sleep(0.05)
        for number in range(100):
            os.write(pipe, wire.encode_plain(number, b"forged", 1))

    threading.Thread(target=later, daemon=True).start()
    return "an answer"


def closing_the_request_pipe():
    os.close(request_pipe())
    return "deaf from now on"


def blocking_no_more():
    """Both pipes are the worker's: its next read finds nothing, instead of waiting."""
    for fd in (*pipes(os.O_RDONLY), *pipes(os.O_WRONLY)):
        os.set_blocking(fd, False)
    return "restless"


def reading_nothing():
    os.dup2(os.open(os.devnull, os.O_RDONLY), request_pipe())
    return "deaf from now on"


def answering_nobody():
    os.dup2(os.open(os.devnull, os.O_WRONLY), answer_pipe())
    return "nobody hears this"


def giving_the_pipe_away():
    """A child keeps the answer's pipe open after the worker has died."""
    pipe = os.dup(answer_pipe())
    if not os.fork():
        while True:
            signal.pause()
    os.close(pipe)
    os._exit(4)


dispatch = door(globals())
