"""What a handler may break of its own process, in which the next event is to be handled."""

import builtins
import gc
import json
import locale
import logging
import os
import random
import resource
import select
import signal
import sys
import threading
import time

from door import door, libc


ITS_OWN = {"FC_INSTANCE_ID", "TMPDIR"}  # of each instance


def look():
    """What an invocation finds."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "cwd": os.getcwd(),
        "umask": umask,
        "environment": {k: v for k, v in sorted(os.environ.items()) if k not in ITS_OWN},
        "signals": [str(signal.getsignal(n)) for n in (1, 2, 10, 12, 13, 14, 15, 17)],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
        "stdout": type(sys.stdout).__name__,
    }


def soil():
    os.chdir("/")
    os.umask(0o777)
    os.environ["LEFT"] = "behind"
    os.environ["PATH"] = "/nowhere"
    del os.environ["HOME"]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    signal.alarm(1)
    sys.stdout = None
    return "soiled"


def soil_deeply():
    """What FC leaves as it is; the function's next event shall be answered all the same."""
    sys.path[:] = []
    random.seed(1)
    locale.setlocale(locale.LC_ALL, "C")
    sys.setrecursionlimit(60)
    gc.disable()
    os.nice(19)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return "soiled"


def replace_environ():
    os.environ = {"LEFT": "behind"}
    return "soiled"


def environ_in_c():
    libc.clearenv()
    return "soiled"


def hide_the_folder():
    """The working directory is one that is gone."""
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    return "soiled"


def no_more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return "soiled"


def all_files():
    """Every descriptor there may be is open."""
    soft = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
    try:
        while True:
            os.dup(0)
    except OSError:
        return "soiled"


def no_more_bytes():
    """Not one byte more may be written to any file, the log included."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return "soiled"


def no_more_processes():
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return "soiled"


def no_modules():
    sys.modules.clear()
    return "soiled"


def no_builtins():
    for name in ("len", "min", "max", "open", "type", "list", "sorted", "isinstance", "bytes"):
        delattr(builtins, name)
    return "soiled"


def fail(*_, **__):
    raise RuntimeError("broken")


def break_os():
    for name in ("read", "write", "dup2", "fchdir", "getpid", "_exit", "waitid", "unsetenv"):
        setattr(os, name, fail)
    return "soiled"


def break_time():
    time.monotonic_ns = time.monotonic = time.time = fail
    return "soiled"


def break_json():
    json.dumps = json.JSONEncoder.encode = json.JSONEncoder.iterencode = fail
    return "soiled"


def break_logging():
    logging.root.handlers = None
    logging.getLogger = fail
    return "soiled"


def break_signals():
    signal.pthread_sigmask = signal.signal = signal.alarm = fail
    return "soiled"


def audit():
    """No audit hook can be taken away again."""

    def hook(event, _):
        if event in ("os.chdir", "open", "os.putenv", "os.unsetenv", "import", "os.fchdir"):
            raise RuntimeError("broken")

    sys.addaudithook(hook)
    return "soiled"


def trace():
    """Every call of the worker's own goes through the handler's function."""

    def hook(frame, event, _):
        if event == "call" and "fc_worker" in frame.f_code.co_filename:
            raise RuntimeError("broken")
        return hook

    sys.settrace(hook)
    return "soiled"


def profile():
    def hook(frame, event, _):
        raise RuntimeError("broken")

    sys.setprofile(hook)


def interrupt_later():
    """An exception is on its way to whatever the main thread does next."""

    def soon():
        time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=soon, daemon=True).start()
    return "soiled"


def patch_the_worker():
    """The worker's own module is a module like any other."""
    from fc_worker import respond, serve, wire

    wire.Decoder.feed = wire.encode_plain = wire.encode = fail
    respond.encode = fail
    serve.Worker._invoke = fail
    return "soiled"


def find_the_worker():
    """What refers to the frames below: locals of the loop that called the handler."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        worker = frame.f_locals.get("self")
        if type(worker).__name__ == "Worker":
            worker._in, worker._out, worker._handler = -1, -1, fail
    return "soiled"


def busy_thread():
    def turn():
        while True:
            pass

    threading.Thread(target=turn, daemon=True).start()
    return "soiled"


def switch_threads_never():
    sys.setswitchinterval(1000)

    def turn():
        while True:
            pass

    threading.Thread(target=turn, daemon=True).start()
    return "soiled"


dispatch = door(globals())
