"""
A fresh process for every call: `max_invocations=1`, with a standby started ahead of demand.

Timed, 1 KiB there and back:

    paced call                one call every 50 ms, a rate that forking can sustain: what has to be
                              started is started between the calls
    warm call, as paced       the same pause before it, in the same process, in turns with the
                              former, by a function whose instance is kept: what a fresh process
                              costs is the difference between these two
    warm call, back to back   the same function without a pause. A pause costs by itself: caches
                              are cold and a CPU is asleep after it
    sustained                 calls a second of two callers that do not pause. Whatever cannot be
                              started ahead is waited for
    sustained, a project      the same of a function whose module imports seven others of its own,
                              2,000 lines in all, without bytecode beside them

The floor is a bare `os.fork` of this process that answers by a pipe and ends: two in flight for
the sustained rate. It is small; with what it has imported a fork takes longer. Rivals:
`multiprocessing.Pool(2, maxtasksperchild=1)`, which looks for dead workers ten times a second;
pebble with `max_tasks=1`; loky, which cannot replace a worker after a task, so a pool is made for
each. Only what a caller waits for is timed, not the end of the old process.
"""

import contextlib
import multiprocessing
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from case import (
    HANDLERS,
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    measuring_process,
    rival_module,
    runtime_class,
)
from warm_call import TIMEOUT_S, echo_handler

ECHO = str(HANDLERS / "echo")
EVENT = bytes(1024)
PAUSE_S = 0.05
CALLS, QUICK_CALLS = 30, 12
BACK_TO_BACK = 500
SUSTAINED_S, QUICK_SUSTAINED_S = 2.0, 1.0
CALLERS = 2
POINTS = PACED, WARM, UNPACED, SUSTAINED, PROJECT = (
    "paced call",
    "warm call, as paced",
    "warm call, back to back",
    "sustained",
    "sustained, a project",
)
FLOOR = "bare fork"
PARTS, CLASSES = 7, 25  # of the project, and of each part
PART_OF_A_CLASS = '''

class Thing{number}:
    """One of many."""

    def __init__(self, name, items=(), *, factor={number}):
        self.name = name
        self.items = list(items)
        self.factor = factor

    def total(self):
        return sum(self.factor * item for item in self.items)
'''


def project(folder):
    """An echo whose module imports a package, which imports the rest of it."""
    package = folder / "parts"
    package.mkdir()
    text = "".join(PART_OF_A_CLASS.format(number=number) for number in range(CLASSES))
    names = [f"part{number}" for number in range(PARTS - 1)]
    (package / "__init__.py").write_text(f"from . import {', '.join(names)}\n{text}")
    for name in names:
        (package / f"{name}.py").write_text(text)
    (folder / "index.py").write_text(
        "import parts\n\n\ndef handler(event, context):\n    return event\n"
    )
    return folder


def paced(calls, *functions):
    """Durations in ns of each of *functions*, called in turns, with a pause before each call."""
    durations = [[] for _ in functions]
    for number in range(calls + 1):
        for function, own in zip(functions, durations, strict=True):
            time.sleep(PAUSE_S)
            start = time.perf_counter_ns()
            answer = function(EVENT)
            took = time.perf_counter_ns() - start
            if len(answer) != len(EVENT):
                raise ValueError(f"{len(EVENT)} bytes went in, {len(answer)} came out")
            if number:  # the first is the warm-up
                own.append(took)
    return durations


def sustained(call, seconds):
    """Calls a second of two callers that do not pause."""
    until = time.monotonic() + seconds
    lock, done = threading.Lock(), 0

    def repeat():
        nonlocal done
        while time.monotonic() < until:
            call(EVENT)
            with lock:
                done += 1

    begun = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as threads:
        for one in [threads.submit(repeat) for _ in range(CALLERS)]:
            one.result()
    return done / (time.monotonic() - begun)


def fc_runtime(calls, seconds):
    with tempfile.TemporaryDirectory() as folder, runtime_class()() as runtime:
        code = str(project(Path(folder)))
        for name, fresh in (("fresh", True), ("kept", False), ("project", True)):
            runtime.register(
                name,
                code=code if name == "project" else ECHO,
                handler="index.handler",
                timeout=TIMEOUT_S,
                memory_mb=512,
                max_instances=CALLERS if fresh else 1,
                max_invocations=1 if fresh else None,
            )
            runtime.warm(name, 1)

        def fresh(event):
            return runtime.invoke("fresh", event).payload

        def projects(event):
            return runtime.invoke("project", event).payload

        def kept(event):
            return runtime.invoke("kept", event).payload

        durations = paced(calls, fresh, kept)
        unpaced = []
        for _ in range(BACK_TO_BACK):
            start = time.perf_counter_ns()
            kept(EVENT)
            unpaced.append(time.perf_counter_ns() - start)
        return {
            PACED: durations[0],
            WARM: durations[1],
            UNPACED: unpaced,
            SUSTAINED: [sustained(fresh, seconds)],
            PROJECT: [sustained(projects, seconds)],
        }


def fork_and_answer(handler):
    """Returns (pid, descriptor of the answer)."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_fd, handler(EVENT, None))
        finally:
            os._exit(0)
    os.close(write_fd)
    return pid, read_fd


def answer_of(read_fd):
    with open(read_fd, "rb", buffering=0) as pipe:  # noqa: PTH123 (a descriptor, not a path)
        return pipe.read(len(EVENT))


def bare_fork(calls, seconds):
    handler = echo_handler()
    ended = []

    def call(_event):
        pid, read_fd = fork_and_answer(handler)
        ended.append(pid)
        return answer_of(read_fd)

    (durations,) = paced(calls, call)
    for pid in ended:
        os.waitpid(pid, 0)
    begun = time.monotonic()
    in_flight, done = [fork_and_answer(handler) for _ in range(CALLERS)], 0
    while time.monotonic() < begun + seconds:
        pid, read_fd = in_flight.pop(0)
        answer_of(read_fd)
        in_flight.append(fork_and_answer(handler))
        os.waitpid(pid, 0)
        done += 1
    rate = done / (time.monotonic() - begun)
    for pid, read_fd in in_flight:
        answer_of(read_fd)
        os.waitpid(pid, 0)
    return {PACED: durations, SUSTAINED: [rate]}


def rival(make_call):
    def both(calls, seconds):
        with make_call() as call:
            (durations,) = paced(calls, call)
            return {PACED: durations, SUSTAINED: [sustained(call, seconds)]}

    return both


@contextlib.contextmanager
def multiprocessing_pool():
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with context.Pool(CALLERS, maxtasksperchild=1) as pool:
        yield lambda event: pool.apply_async(handler, (event, None)).get(TIMEOUT_S)
        pool.close()
        pool.join()


@contextlib.contextmanager
def pebble():
    module = rival_module("pebble")
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with module.ProcessPool(max_workers=CALLERS, max_tasks=1, context=context) as pool:
        yield lambda event: pool.schedule(handler, (event, None), timeout=TIMEOUT_S).result()


@contextlib.contextmanager
def loky():
    module = rival_module("loky")
    handler = echo_handler()
    with ThreadPoolExecutor(CALLERS) as enders:

        def call(event):
            pool = module.ProcessPoolExecutor(1)
            try:
                return pool.submit(handler, event, None).result(TIMEOUT_S)
            finally:
                enders.submit(pool.shutdown)

        yield call


COMPETITORS = {
    SUBJECT: (fc_runtime, Role.SUBJECT),
    FLOOR: (bare_fork, Role.FLOOR),
    "multiprocessing.Pool": (rival(multiprocessing_pool), Role.RIVAL),
    "pebble": (rival(pebble), Role.RIVAL),
    "loky": (rival(loky), Role.RIVAL),
}


def measure(wanted):
    function, _role = COMPETITORS[wanted.competitor]
    if wanted.quick:
        return function(QUICK_CALLS, QUICK_SUSTAINED_S)
    return function(CALLS, SUSTAINED_S)


CASE = Case(
    name="fresh_process",
    title="A fresh process for every call",
    file=Path(__file__),
    unit="ns",
    units={SUSTAINED: "per_s", PROJECT: "per_s"},
    points=POINTS,
    competitors=[
        Competitor(name=name, role=role) for name, (_function, role) in COMPETITORS.items()
    ],
    placements=[Placement.SCHEDULER],
    rounds=3,
    quick_rounds=1,
    quick_competitors=[SUBJECT, FLOOR, "multiprocessing.Pool"],
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
