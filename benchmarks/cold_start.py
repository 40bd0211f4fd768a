"""
A cold start with the zygote already up: from the call to the first result of a new worker.

Timed: everything between asking and having the first answer (pipes, the request to the zygote,
fork, the import of the handler's file, one 1 KiB event there and back). Not timed: starting the
zygote, and ending the worker afterwards; between two samples the old worker is gone.

How fc-runtime is brought into that state with nothing but its public interface:

- The subject: a new function is registered and one instance of it warmed, so its zygote is up.
  That instance is kept busy by a first call; a second call is timed, and has to start an instance.
  As nothing of this function has finished yet, there is no standby. The sample is refused unless
  `result.cold_start` is true and no zygote has come up meanwhile.
- *standby* (reference): the same after one call that has finished and a moment for a standby to be
  made ready. What users see when load grows; not the bare zygote's work, so no target is read
  from it.

(Letting instances expire is no way: with the last of them the zygote goes too.)

Every sample, whoever's, comes after the same idle pause and the same look at the process table
(`pause`). Back to back, with warm caches and no CPU asleep, the bare zygote takes half the time,
and fc-runtime, whose every sample needs a new function, would be compared with that.

Beside it: the bare zygote of `bare.py` (floor: the same work with no lifecycle, isolation or
accounting), a plain `os.fork` of this process, which has imported the same modules, and a fresh
interpreter that imports the handler and answers one frame.
"""

import json  # noqa: F401  (what a worker has imported, for the plain fork)
import logging  # noqa: F401
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from bare import BareZygote, Caller, fork_worker, wide_pipe
from case import (
    HANDLERS,
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    measuring_process,
    runtime_class,
)

BUSY = str(HANDLERS / "busy")
EVENT = bytes(1024)
POINT = "first result"
STANDBY_ROW = "fc-runtime, standby"
SAMPLES, QUICK_SAMPLES = 8, 4  # of one measuring process; one more is thrown away
PAUSE_S = 0.1
STANDBY_S = 0.3  # time for a standby to be ready


def pause():
    """What comes before every sample. Returns the pids of this process's direct children."""
    import psutil

    time.sleep(PAUSE_S)
    return {child.pid for child in psutil.Process().children()}


def starting(samples):
    """Calls that have to start an instance."""
    return fc_runtime(samples, standby=False)


def standby(samples):
    """Calls that may be served by an instance that was started ahead."""
    return fc_runtime(samples, standby=True)


def fc_runtime(samples, *, standby):
    durations = []
    with runtime_class()() as runtime:
        for serial in range(samples):
            name = f"cold{serial}"
            runtime.register(
                name,
                code=BUSY,
                handler="index.handler",
                timeout=60.0,
                memory_mb=512,
                max_instances=2,
            )
            runtime.warm(name, 1)
            if standby:
                runtime.invoke(name, EVENT)
                time.sleep(STANDBY_S)
            durations.append(call_beside_a_busy_one(runtime, name, must_start=not standby))
            runtime.unregister(name)
    return durations


def call_beside_a_busy_one(runtime, name, *, must_start):
    busy = threading.Thread(target=runtime.invoke, args=(name, b"busy"))
    busy.start()
    zygotes = pause()
    start = time.perf_counter_ns()
    result = runtime.invoke(name, EVENT)
    took = time.perf_counter_ns() - start
    if must_start and not result.cold_start:
        raise ValueError("a call that should have started an instance found one")
    if pause() - zygotes:
        raise ValueError("a call that should have found a zygote started one")
    busy.join()
    return took


def bare_zygote(samples):
    zygote = BareZygote()
    durations = []
    try:
        for _ in range(samples):
            pause()
            start = time.perf_counter_ns()
            caller = zygote.spawn(BUSY)
            caller(EVENT)
            durations.append(time.perf_counter_ns() - start)
            zygote.reap(caller)
    finally:
        zygote.close()
    return durations


def plain_fork(samples):
    durations = []
    for _ in range(samples):
        pause()
        start = time.perf_counter_ns()
        caller, pid = fork_worker(BUSY)
        caller(EVENT)
        durations.append(time.perf_counter_ns() - start)
        caller.close()
        os.waitpid(pid, 0)
    return durations


FRESH_PROGRAM = """
import json, logging, sys
sys.path.insert(0, sys.argv[1])
from bare import load_handler, serve
serve(int(sys.argv[2]), int(sys.argv[3]), load_handler(sys.argv[4]))
"""


def fresh_interpreter(samples):
    durations = []
    for _ in range(samples):
        pause()
        start = time.perf_counter_ns()
        child_in, request_fd = wide_pipe()
        response_fd, child_out = wide_pipe()
        here = str(Path(__file__).parent)
        argv = [sys.executable, "-c", FRESH_PROGRAM, here, str(child_in), str(child_out), BUSY]
        process = subprocess.Popen(argv, pass_fds=(child_in, child_out))
        os.close(child_in)
        os.close(child_out)
        caller = Caller(request_fd, response_fd)
        caller(EVENT)
        durations.append(time.perf_counter_ns() - start)
        caller.close()
        process.wait()
    return durations


COMPETITORS = {
    SUBJECT: (starting, Role.SUBJECT),
    STANDBY_ROW: (standby, Role.REFERENCE),
    "bare zygote": (bare_zygote, Role.FLOOR),
    "plain os.fork": (plain_fork, Role.REFERENCE),
    "fresh interpreter": (fresh_interpreter, Role.RIVAL),
}


def measure(wanted):
    samples = QUICK_SAMPLES if wanted.quick else SAMPLES
    function, _role = COMPETITORS[wanted.competitor]
    return {POINT: function(samples + 1)[1:]}


CASE = Case(
    name="cold_start",
    title="Cold start to the first result, the zygote already up",
    file=Path(__file__),
    unit="ns",
    points=[POINT],
    competitors=[
        Competitor(name=name, role=role) for name, (_function, role) in COMPETITORS.items()
    ],
    placements=list(Placement),
    rounds=3,
    quick_rounds=1,
    quick_competitors=[SUBJECT, "bare zygote"],
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
