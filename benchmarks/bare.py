"""
The floors: two bare processes and a bare zygote, with nothing of fc-runtime in them.

*Floor f* (`BarePair`) is what no supervisor can go under without tricks: `os.fork`, two pipes, a
4-byte length and msgpack of a realistic invocation (id, event, deadline, three credential
strings), a random id and a context object as every such runtime has to make them, `poll` with a
timeout, `read`. No accounting, no log capture, no lifecycle.

The *bare zygote* (`BareZygote`, its program in `bare_zygote.py`) is a fresh interpreter that has
imported what a worker needs, called `gc.freeze()` and forks on request: a message on an AF_UNIX
socket brings the child's two pipes (SCM_RIGHTS), the child imports the handler and answers frames.

Imported by the bare zygote too, so this file imports little.
"""

import contextlib
import fcntl
import importlib
import os
import select
import socket
import struct
import sys
import time
import uuid
from pathlib import Path

import msgpack

TIMEOUT_S = 60.0
LENGTH = struct.Struct("!I")
FIRST_READ = 1 << 16  # a small frame in one read; below malloc's mmap threshold
PIPE_BYTES = 1 << 20  # what an unprivileged process may ask for
CREDENTIALS = ("A" * 24, "S" * 30, "T" * 64)


class Credentials:
    def __init__(self, access_key_id, access_key_secret, security_token):
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.security_token = security_token


class Context:
    """The least that a handler may expect of its second argument."""

    def __init__(self, request_id, deadline, credentials):
        self.request_id = request_id
        self.deadline = deadline
        self.credentials = credentials


def write_frame(fd, message):
    body = msgpack.packb(message)
    header = LENGTH.pack(len(body))
    if len(body) <= FIRST_READ:
        os.write(fd, header + body)  # blocking, so all of it
        return
    sent = os.writev(fd, (header, body)) - len(header)
    while sent < len(body):
        sent += os.write(fd, memoryview(body)[sent:])


def read_frame(fd):
    """One frame; there is never a second one behind it, as one invocation is in flight."""
    data = os.read(fd, FIRST_READ)
    while len(data) < LENGTH.size:
        more = os.read(fd, FIRST_READ)
        if not more:
            raise EOFError
        data += more
    (size,) = LENGTH.unpack_from(data)
    have = len(data) - LENGTH.size
    if have == size:
        return msgpack.unpackb(memoryview(data)[LENGTH.size :])
    body = memoryview(bytearray(size))
    body[:have] = data[LENGTH.size :]
    while have < size:
        got = os.readv(fd, (body[have:],))
        if not got:
            raise EOFError
        have += got
    return msgpack.unpackb(body)


def serve(request_fd, response_fd, handler):
    """The worker's loop; ends when the caller closes the request pipe."""
    while True:
        try:
            request_id, event, deadline, *credentials = read_frame(request_fd)
        except EOFError:
            return
        context = Context(request_id, deadline, Credentials(*credentials))
        write_frame(response_fd, [request_id, 0, handler(event, context)])


def load_handler(folder):
    sys.path.insert(0, folder)
    return importlib.import_module("index").handler


def wide_pipe():
    read_fd, write_fd = os.pipe()
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return read_fd, write_fd


class Caller:
    """The caller's side of one worker: write, poll, read in its own thread."""

    def __init__(self, request_fd, response_fd):
        self._request_fd = request_fd
        self._response_fd = response_fd
        self._poll = select.poll()
        self._poll.register(response_fd, select.POLLIN)

    def __call__(self, event, timeout_s=TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        write_frame(self._request_fd, [str(uuid.uuid4()), event, deadline, *CREDENTIALS])
        if not self._poll.poll((deadline - time.monotonic()) * 1000):
            raise TimeoutError
        return read_frame(self._response_fd)[2]

    def close(self):
        os.close(self._request_fd)
        os.close(self._response_fd)


def fork_worker(folder):
    """Fork this very process. The child imports the handler and serves. Returns (caller, pid)."""
    child_in, request_fd = wide_pipe()
    response_fd, child_out = wide_pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(request_fd)
            os.close(response_fd)
            serve(child_in, child_out, load_handler(folder))
        finally:
            os._exit(0)
    os.close(child_in)
    os.close(child_out)
    return Caller(request_fd, response_fd), pid


@contextlib.contextmanager
def bare_pair(folder):
    """Floor f: two bare processes. Yields the call."""
    caller, pid = fork_worker(folder)
    try:
        yield caller
    finally:
        caller.close()
        os.waitpid(pid, 0)


class BareZygote:
    """Our end of a bare zygote. `spawn` is the timed part; `reap` is not."""

    def __init__(self, preload=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("bare_zygote.py")
        argv = [sys.executable, str(program), str(theirs.fileno()), *preload]
        theirs.set_inheritable(True)
        self._pid = os.posix_spawn(sys.executable, argv, os.environ)
        theirs.close()
        self._control = ours
        if ours.recv(16) != b"ready":
            raise ChildProcessError("the bare zygote did not start")

    def spawn(self, folder):
        """Ask for a worker. Returns its caller at once; the first call waits for the worker."""
        child_in, request_fd = wide_pipe()
        response_fd, child_out = wide_pipe()
        socket.send_fds(self._control, [msgpack.packb({"fork": folder})], [child_in, child_out])
        os.close(child_in)
        os.close(child_out)
        return Caller(request_fd, response_fd)

    def reap(self, caller):
        """Let the worker of *caller*, the last one spawned and not yet reaped, end."""
        caller.close()
        self._control.send(msgpack.packb({"reap": True}))
        self._control.recv(16)

    def close(self):
        self._control.close()
        os.waitpid(self._pid, 0)
