"""
Reads a seccomp program from stdin, installs it on itself, and does what it is told to.

    python program.py TASK [JSON]

Prints one JSON value. With nothing on stdin it does the same without a filter.
"""

import json
import os
import sys

from fc_worker.kernel import forbid_new_privileges
from fc_worker.seccomp import install_seccomp


def attempts(calls):
    """[[number, [argument, ...]], ...] by raw system call; the errno of each, 0 if it went well."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    seen = []
    for number, arguments in calls:
        ctypes.set_errno(0)
        words = [ctypes.c_ulong(value % 2**64) for value in arguments]
        failed = libc.syscall(ctypes.c_long(number), *words) == -1
        seen.append(ctypes.get_errno() if failed else 0)
    return seen


def status(_):
    with open("/proc/self/status") as file:
        return dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)


def twice(program):
    """A second filter on top, which refuses getppid; and the first, whether it still holds."""
    install_seccomp(bytes.fromhex(program))
    return attempts([[110, []], [101, [-1] * 4]])  # getppid, ptrace: x86_64


def int_0x80(_):
    """getpid as i386 programs ask for it."""
    import ctypes
    import mmap

    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53 b8 14000000 cd80 5b c3"))  # push rbx; mov eax, 20; int; pop; ret
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return call() == os.getpid()


def x32_in_a_thread(_):
    """getpid by its x32 number, in a thread; the main one would wait for it forever."""
    import threading

    thread = threading.Thread(target=attempts, args=[[[0x40000000 | 39, []]]])
    thread.start()
    thread.join()
    return "survived"


# Ordinary life: each says what it is expected to.


def list_a_folder(_):
    import subprocess

    return subprocess.check_output(["ls", "-l", "/"], text=True).startswith("total")


def shell(_):
    import subprocess

    said = subprocess.run("echo hello | tr a-z A-Z; exit 7", shell=True, capture_output=True)
    return [said.stdout.decode(), said.returncode, os.system("exit 3") >> 8]


def posix_spawn(_):
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork(_):
    pid = os.fork()
    if pid == 0:
        os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def threads(_):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(abs, range(-100, 0)))


def _pool(method):
    import multiprocessing

    with multiprocessing.get_context(method).Pool(2) as pool:
        squares = pool.map(abs, range(-5, 0))
        pool.close()
        pool.join()
    return squares


def pool_by_fork(_):
    return _pool("fork")


def pool_by_spawn(_):
    return _pool("spawn")


def pool_by_forkserver(_):
    return _pool("forkserver")


def asyncio_subprocess(_):
    import asyncio

    async def run():
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=-1)
        said, _ = await process.communicate()
        await asyncio.sleep(0.001)
        return [said.decode(), process.returncode]

    return asyncio.run(run())


def loopback(_):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"hello")
                return accepted.recv(5).decode()


def unix_sockets(_):
    import socket
    import tempfile

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/s")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"hello")
        return theirs.recv(5).decode()


def netlink(_):
    """What getaddrinfo and if_nameindex use."""
    import socket

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.bind((0, 0))
    return [bool(socket.getaddrinfo("127.0.0.1", 80)), bool(socket.if_nameindex())]


def no_such_family(_):
    """Python says which error it was."""
    import errno
    import socket

    try:
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()
    except OSError as error:
        return errno.errorcode[error.errno]


def web(_):
    import threading
    import urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Hello(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.handle_request).start()
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{server.server_port}/", timeout=10) as answer:
            return answer.read().decode()


def files(_):
    import fcntl
    import mmap
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(f"{folder}/fifo")
        os.symlink("fifo", f"{folder}/link")
        with open(f"{folder}/file", "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(b"hello" * 1000)
            file.flush()
            os.fsync(file.fileno())
            with mmap.mmap(file.fileno(), 5) as mapped:
                mapped.flush()
        shutil.copy(f"{folder}/file", f"{folder}/copy")
        return [os.path.getsize(f"{folder}/copy"), sorted(os.listdir(folder))]


def sleeping(_):
    import time

    before = time.monotonic()
    time.sleep(0.005)
    return time.monotonic() - before >= 0.005


def signals(_):
    import signal
    import time

    seen = []
    signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGALRM, lambda number, _: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while len(seen) < 2:
        time.sleep(0.001)
    return seen


def limits(_):
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    os.nice(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def terminals(_):
    """ioctl, but for the two."""
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    said = [os.isatty(theirs), *os.get_terminal_size(theirs)]
    try:
        fcntl.ioctl(theirs, termios.TIOCSTI, b"x")
    except PermissionError as error:
        said.append(error.errno)
    os.close(ours)
    os.close(theirs)
    return said


def calling_c(_):
    import ctypes

    libc = ctypes.CDLL(None)
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)
    asked = libc.personality(ctypes.c_ulong(0xFFFFFFFF))
    return [libc.abs(-3), callback(1), libc.personality(ctypes.c_ulong(0)) == asked]


def encryption(_):
    import hashlib
    import secrets
    import ssl

    ssl.create_default_context()
    return [len(secrets.token_bytes(16)), hashlib.sha256(b"").hexdigest()[:8]]


def arrays(_):
    import numpy

    return float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum())


if __name__ == "__main__":
    if program := sys.stdin.buffer.read():
        forbid_new_privileges()
        install_seccomp(program)
    task = globals()[sys.argv[1]]
    print(json.dumps(task(json.loads(sys.argv[2]) if len(sys.argv) > 2 else None)))
