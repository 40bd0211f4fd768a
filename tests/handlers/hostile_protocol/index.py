"""
A handler that plays the worker: it finds the answer pipe and the invocation's id in the frames
that called it, and says there what it likes. One function for each way to be hostile.

The event is JSON: ``{"play": "name", "tell": "/path/of/a/fifo"}``; who speaks only after it has
answered opens the fifo and closes it again when it has.
"""

import fcntl
import json
import mmap
import os
import signal
import sys
import termios
import threading
import time

from fc_worker import messages as m, wire

RESULT = int(wire.Kind.RESULT)
FORGED = b"forged"
write = os.write  # before anything is replaced
worker = None  # the one that called us
invocation = 0  # the id of its request


def who_am_i():
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open("/proc/self/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def handler(event, context):
    global worker, invocation
    frame = sys._getframe()
    while frame.f_code.co_name != "_invoke":
        frame = frame.f_back
    worker, invocation = frame.f_locals["self"], frame.f_locals["frame"].invocation
    asked = json.loads(event)
    if "play" not in asked:
        return {"pid": who_am_i(), "nonce": asked["nonce"]}
    print("pid", who_am_i(), "worker", flush=True)
    return globals()[asked["play"]](asked)


# -- what they say it with -------------------------------------------------------------------------


def say(data):
    """All of *data*."""
    view = memoryview(data)
    while view:
        view = view[write(worker._out, view) :]


def framed(invocation, body=FORGED, headers=None):
    """A whole result, right in every way but for what the caller makes wrong."""
    told = {m.STATUS: m.STATUS_RETURNED} if headers is None else headers
    return wire.encode(RESULT, invocation, told, len(body)) + body


def raw(packed, body=b"", *, body_size=None):
    """A result to this invocation, whose headers are any bytes and whose sizes may lie."""
    size = len(body) if body_size is None else body_size
    prefix = wire.PREFIX.pack(size, len(packed), invocation, RESULT, wire.VERSION, 0)
    return prefix + packed + body


def silence():
    while True:
        signal.pause()


def tell(asked):
    """Whoever reads the fifo goes on now."""
    with open(asked["tell"], "wb"):
        pass


def wait_until_idle():
    """For a thread: until the main thread has answered and waits for the next request."""
    main = threading.main_thread().ident
    while sys._current_frames()[main].f_code.co_name != "run":
        time.sleep(0.001)
    wait_until_read()


def wait_until_read():
    """Until the supervisor has taken everything out of the answer pipe."""
    unread = bytearray(4)
    while fcntl.ioctl(worker._out, termios.FIONREAD, unread) or any(unread):
        time.sleep(0.001)


# -- instead of an answer --------------------------------------------------------------------------


def noise_everywhere(asked):
    noise = os.urandom(65536)
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_blocking(int(name), False)
            write(int(name), noise)
        except OSError:
            pass
    silence()


def forged_for_another(asked):
    say(framed(invocation ^ 1))
    silence()


def forged_for_none(asked):
    say(framed(0))
    silence()


def plain_for_another(asked):
    say(wire.encode_plain(invocation ^ 1, FORGED, 1))
    silence()


def huge_length(asked):
    say(raw(b"", body_size=2**32 - 1) + b"0123456789")
    silence()


def huge_length_then_a_flood(asked):
    """Goes on sending what it has announced, for as long as anybody reads."""
    say(raw(b"", body_size=2**32 - 1))
    while True:
        say(bytes(65536))


def huge_headers(asked):
    say(wire.PREFIX.pack(0, 2**32 - 1, invocation, RESULT, wire.VERSION, 0) + b"\x80")
    silence()


def deep_headers(asked):
    say(raw(b"\x81\xa1s" + b"\x91" * 100_000 + b"\xc0"))
    silence()


def wide_map(asked):
    say(raw(b"\xdf\xff\xff\xff\xff"))
    silence()


def wide_text(asked):
    say(raw(b"\x81\xa1s\xdb\xff\xff\xff\xff"))
    silence()


def unknown_field(asked):
    say(framed(invocation, headers={m.STATUS: 0, "zz": 1}))
    silence()


def plain_ready(asked):
    """The kind that nobody is owed any more."""
    say(wire.encode(int(wire.Kind.READY), invocation, {m.STATUS: 0}, 0))
    silence()


def twice_at_once(asked):
    say(framed(invocation) * 2)
    silence()


def text_on_the_pipe(asked):
    say(b"Traceback (most recent call last):\n")
    silence()


def half_a_frame(asked):
    whole = framed(invocation, bytes(1000))
    say(whole[: len(whole) // 2])
    silence()


def half_a_frame_and_exit(asked):
    whole = framed(invocation, bytes(1000))
    say(whole[: len(whole) // 2])
    os._exit(0)


def nothing(asked):
    silence()


def closing_everything(asked):
    os.closerange(0, 65536)
    silence()


def dribbling(asked):
    """What would be an answer, one byte at a time, of which the last never comes."""
    for byte in raw(b"\x81\xa1s\x00", body_size=2**20):
        say(bytes([byte]))
    while True:
        say(b"x")
        time.sleep(0.001)


# -- beside the pipe -------------------------------------------------------------------------------


def aside(size):
    """The frame of a result of which *size* bytes are in the window, or so it says."""
    return wire.encode(RESULT, invocation, {m.STATUS: m.STATUS_RETURNED}, size, wire.ASIDE)


def signalled(kind):
    return wire.encode_signal(kind, invocation)


def window():
    """The memory that is shared with the supervisor."""
    return worker._passage._window._map


def huge_aside(asked):
    say(aside(2**32 - 1))
    silence()


def taken_without_a_piece(asked):
    say(signalled(wire.Kind.TOOK))
    silence()


def piece_without_a_body(asked):
    say(signalled(wire.Kind.PIECE))
    silence()


def piece_of_another(asked):
    say(aside(3 * 2**20) + wire.encode_signal(wire.Kind.PIECE, invocation ^ 1))
    silence()


def piece_with_a_body(asked):
    body = bytes(1000)
    say(aside(3 * 2**20))
    say(wire.encode(wire.Kind.PIECE, invocation, {}, len(body)) + body)
    silence()


def answer_within_an_answer(asked):
    say(aside(3 * 2**20) + framed(invocation))
    silence()


def plain_aside(size, whose=None):
    return wire.encode_plain_aside(invocation if whose is None else whose, size, 7)


def huge_plain_aside(asked):
    say(plain_aside(2**32 - 1))
    silence()


def plain_aside_of_another(asked):
    say(plain_aside(2**20, invocation ^ 1))
    silence()


def plain_aside_with_a_body(asked):
    say(plain_aside(1000) + bytes(1000))
    silence()


def plain_aside_twice(asked):
    say(plain_aside(2**20) * 2)
    silence()


def plain_aside_first_piece_only(asked):
    say(plain_aside(3 * 2**20))
    silence()


def ready_aside(asked):
    say(wire.encode(wire.Kind.READY, invocation, {m.STATUS: 0}, 2**20, wire.ASIDE))
    silence()


def first_piece_only(asked):
    say(aside(3 * 2**20))
    silence()


def first_piece_and_exit(asked):
    say(aside(3 * 2**20))
    os._exit(0)


def shrinking_the_window(asked):
    """Whatever might make the supervisor read where there is nothing: what each of it came to."""
    told = []
    shared = window()
    for name in os.listdir("/proc/self/fd"):
        try:
            if "fc-window" in os.readlink(f"/proc/self/fd/{name}"):
                for change in (
                    lambda fd: os.ftruncate(fd, 0),
                    lambda fd: os.ftruncate(fd, 2**22),
                    lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
                ):
                    try:
                        change(int(name))
                        told.append("done")
                    except OSError as error:
                        told.append(error.strerror)
        except FileNotFoundError:
            pass  # the one that listed them
    shared.madvise(mmap.MADV_REMOVE)
    print(*told, sep=", ")
    say(aside(2**20))
    wait_until_read()
    os._exit(0)


def scribbling(asked):
    """A whole answer, while a thread of it goes on changing what stands in the window."""

    def scribble():
        shared, noise = window(), os.urandom(2**20)
        while True:
            shared[2**20 :] = noise
            shared[2**20 :] = bytes(2**20)

    threading.Thread(target=scribble, daemon=True).start()
    return b"x" * (8 * 2**20)


# -- between two invocations -----------------------------------------------------------------------


def speaking_from_a_thread(asked, data, *, mute=False):
    def speak():
        wait_until_idle()
        say(data)
        if mute:
            os.write = swallow
        tell(asked)

    threading.Thread(target=speak, daemon=True).start()
    return "well"


def speaking_after_the_answer(asked, data, *, mute=False):
    """Without any thread: the worker's own write, replaced, sends the answer and then *data*."""

    def writing(fd, answer):
        os.write = swallow if mute else write
        done = write(fd, answer)
        wait_until_read()
        say(data)
        tell(asked)
        return done

    os.write = writing
    return "well"


def swallow(fd, data):
    """Mute: the answer that was sent ahead is to be the only one."""
    silence()


def ahead_from_a_thread(asked):
    return speaking_from_a_thread(asked, framed(invocation + 1), mute=True)


def ahead_after_the_answer(asked):
    return speaking_after_the_answer(asked, framed(invocation + 1), mute=True)


def plain_ahead_after_the_answer(asked):
    plain = wire.encode_plain(invocation + 1, FORGED, 1)
    return speaking_after_the_answer(asked, plain, mute=True)


def again_after_the_answer(asked):
    return speaking_after_the_answer(asked, framed(invocation))


def noise_from_a_thread(asked):
    return speaking_from_a_thread(asked, os.urandom(4096))


def noise_after_the_answer(asked):
    return speaking_after_the_answer(asked, os.urandom(4096))


def half_a_frame_after_the_answer(asked):
    """A prefix, for whose body the next answer would be taken."""
    prefix = wire.PREFIX.pack(20, 0, invocation + 1, RESULT, wire.VERSION, wire.PLAIN)
    return speaking_after_the_answer(asked, prefix)


def itself_and_again(asked):
    """Answers by itself; once that is read, it returns, and its worker answers a second time."""
    say(framed(invocation))
    wait_until_read()

    def telling(fd, answer):
        os.write = write
        done = write(fd, answer)
        tell(asked)
        return done

    os.write = telling
    return "the second answer"
