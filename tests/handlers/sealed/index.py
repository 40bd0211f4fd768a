"""Ordinary life, to be led in a strict sandbox: one function each, called by name."""

import asyncio
import errno
import json
import multiprocessing
import os
import pwd
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

MiB = 1024 * 1024


def do(event, context):
    order = json.loads(event)
    return json.dumps(globals()[order.pop("do")](**order))


async def in_loop(event, context):
    """As `do`, from a coroutine."""
    process = await asyncio.create_subprocess_exec("id", "-un", stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()


def square(number):
    return number * number


def pools():
    """Processes and threads, by every way that the standard library has."""
    answers = {}
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            answers[method] = pool.map(square, range(4))
    with ProcessPoolExecutor(2) as executor:
        answers["executor"] = list(executor.map(square, range(4)))
    with ThreadPoolExecutor(2) as executor:
        answers["threads"] = list(executor.map(square, range(4)))
    return answers


def loop():
    async def run():
        process = await asyncio.create_subprocess_shell("cat", stdin=-1, stdout=-1)
        return (await process.communicate(b"through a pipe"))[0].decode()

    return asyncio.run(run())


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *args):
        pass


def own_server(library):
    """A server on loopback, and a client for it, both in here."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/path"
            if library == "urllib":
                return urllib.request.urlopen(url, timeout=5).read().decode()
            import requests

            return requests.get(url, timeout=5).text
        finally:
            server.shutdown()


def reach(port):
    """A server of the host's, on its loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as there:
            return there.recv(100).decode()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def interfaces():
    return [name for _, name in socket.if_nameindex()]


def database():
    path = f"{tempfile.gettempdir()}/rows.db"
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table numbers (number integer)")
    connection.executemany("insert into numbers values (?)", [(n,) for n in range(100)])
    connection.commit()
    (total,) = connection.execute("select sum(number) from numbers").fetchone()
    connection.close()
    return [path, total]


def array():
    import numpy

    return int((numpy.arange(12).reshape(3, 4) @ numpy.ones((4, 2))).sum())


def identity():
    return {
        "user": os.getuid(),
        "group": os.getgid(),
        "groups": os.getgroups(),
        "name": pwd.getpwuid(os.getuid()).pw_name,
        "home": os.path.expanduser("~"),
        "host": socket.gethostname(),
        "shell": subprocess.check_output(["sh", "-c", "id -un; hostname"], text=True).split(),
        "capabilities": _status("CapEff"),
        "bounding": _status("CapBnd"),
        "no_new_privs": _status("NoNewPrivs"),
        "seccomp": _status("Seccomp"),
    }


def _status(field):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(f"{field}:"))


def write(paths):
    """What comes of trying to write to each: None, or the name of the error."""
    answers = []
    for path in paths:
        try:
            with open(path, "wb") as file:
                file.write(b"written")
            answers.append(None)
        except OSError as error:
            answers.append(errno.errorcode[error.errno])
    return answers


def listing(folders):
    """What is shown in /tmp because code or interpreter lie there is not counted."""
    shown = {path.split("/")[2] for path in (__file__, sys.prefix) if path.startswith("/tmp/")}
    return [
        sorted(set(os.listdir(folder)) - (shown if folder == "/tmp" else set()))
        if os.path.isdir(folder)
        else None
        for folder in folders
    ]


def read(path):
    with open(path) as file:
        return file.read()


def import_layer():
    import from_layer

    return [from_layer.VALUE, subprocess.check_output(["from-layer"], text=True).strip()]


def fill(folder, mib):
    """Write to a new file until it is full; how many MiB that took, and what was said then."""
    path = f"{folder}/full"
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(mib):
                file.write(bytes(MiB))
                written += 1
        return [written, None]
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
    finally:
        os.unlink(path)


def environment():
    return dict(os.environ)


def processes():
    """Whom it sees: its own number, and everybody in /proc."""
    return [os.getpid(), sorted(int(name) for name in os.listdir("/proc") if name.isdigit())]


def whose_colorsys():
    """The one that a plain import gives: preloaded, or out of the code folder."""
    import colorsys

    return getattr(colorsys, "IMPORTED_BY", None), os.getpid()


def threads_before_me():
    """Was there a thread when the handler's module was loaded?"""
    return THREADS


def hang():
    time.sleep(100)


INITIALIZED = []
THREADS = threading.active_count()


def initializer(context):
    INITIALIZED.append([context.function.name, os.getuid()])


def initialized():
    return INITIALIZED


def keys(event, context):
    credentials = context.credentials
    return json.dumps([credentials.access_key_id, credentials.security_token])


def attempt_mount():
    """System calls that strict has no use for."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    answers = []
    for call in (
        lambda: libc.unshare(0x1000_0000),
        lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
        lambda: libc.ptrace(16, 1, 0, 0),
    ):
        ctypes.set_errno(0)
        answers.append(None if call() >= 0 else errno.errorcode[ctypes.get_errno()])
    return answers
