"""
Calls a second: 1 to 128 callers on two workers, 1 KiB there and back.

Each caller makes its next call as soon as it has the answer to its last. Counted are the calls
that are answered within a window that begins after a warm-up, when all callers are at work. Not
counted: starting callers and workers. Callers are threads; in the row *asyncio* they are tasks of
one event loop.

The floor is *h*: *f* of `bare.py` twice, and an idle queue from which a calling thread takes a
worker, does its own pipe I/O, and gives it back. No dispatcher can have less. With more callers
than workers it is unfair, though: who gives a worker back takes it again before anybody has woken
up, which is quick, and the others starve. *h, first come first served* hands the worker to whoever
has waited longest, as a pool has to: a thread wakes up for every call.

Beside the rates:

    latency         of one call, with 1 caller and with 128
    slowest caller  the time per call of the caller that got the fewest answers, as a multiple of
                    the median caller's, or of a fair share, whichever is shorter: 1 is perfectly
                    fair. Who got none counts as half a call
"""

import asyncio
import collections
import contextlib
import os
import queue
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import warm_call
from bare import CREDENTIALS, fork_worker
from case import SUBJECT, Case, Competitor, Placement, Role, measuring_process
from warm_call import ECHO, TIMEOUT_S

WORKERS = 2
CALLERS = (1, 2, 4, 8, 32, 128)
MANY = 128
EVENT = bytes(1024)
WARM_UP_S = 0.15
SECONDS, QUICK_SECONDS = 0.8, 0.3
ASYNCIO = "fc-runtime, asyncio"
FLOOR = "floor h (own pipe I/O)"
FAIR_FLOOR = "h, first come first served"


def rate_point(callers):
    return f"{callers} caller{'s' if callers > 1 else ''}"


def latency_point(callers):
    return f"latency, {rate_point(callers)}"


def fairness_point(callers):
    return f"slowest caller, {rate_point(callers)}"


RATES = [rate_point(n) for n in CALLERS]
LATENCIES = [latency_point(n) for n in (1, MANY)]
FAIRNESS = [fairness_point(n) for n in CALLERS if n > WORKERS]


class Window:
    """When calls count, and what each caller has had answered in it."""

    def __init__(self, seconds):
        self.begin = time.perf_counter_ns() + int(WARM_UP_S * 1e9)
        self.end = self.begin + int(seconds * 1e9)
        self._seconds = seconds
        self._callers = []

    def caller(self):
        """A list for one caller's durations in ns."""
        durations = []
        self._callers.append(durations)
        return durations

    def figures(self):
        """Calls a second, all durations, and how unfair it was: see the top of this file."""
        every = [one for durations in self._callers for one in durations]
        counts = [len(durations) for durations in self._callers]
        return len(every) / self._seconds, every, unfairness(counts)


def unfairness(counts):
    """Of the calls that each caller got answered in the same time."""
    usual = max(statistics.median(counts), statistics.mean(counts))
    return max(usual, 0.5) / max(min(counts), 0.5)


def by_threads(call, callers, seconds):
    with ThreadPoolExecutor(callers) as threads:
        gate = threading.Barrier(callers + 1)
        window = None

        def repeat():
            gate.wait()
            gate.wait()  # the window is made once everybody is there
            keep_calling(call, window)

        running = [threads.submit(repeat) for _ in range(callers)]
        gate.wait()
        window = Window(seconds)
        gate.wait()
        for one in running:
            one.result()
    return window.figures()


def keep_calling(call, window):
    durations, begin, end = window.caller(), window.begin, window.end
    clock = time.perf_counter_ns
    while True:
        start = clock()
        answer = call(EVENT)
        done = clock()
        if done > end:
            return
        if done >= begin:
            durations.append(done - start)
            if len(answer) != len(EVENT):
                raise ValueError(f"{len(EVENT)} bytes went in, {len(answer)} came out")


async def by_tasks(runtime, callers, seconds):
    window = Window(seconds)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(keep_awaiting(runtime, window))
    return window.figures()


async def keep_awaiting(runtime, window):
    durations, begin, end = window.caller(), window.begin, window.end
    clock, invoke = time.perf_counter_ns, runtime.invoke
    while True:
        start = clock()
        result = await invoke("echo", EVENT)
        done = clock()
        if done > end:
            return
        if done >= begin:
            durations.append(done - start)
            if len(result.payload) != len(EVENT):
                raise ValueError(f"{len(EVENT)} bytes went in, {len(result.payload)} came out")


class Line:
    """An idle queue that hands what comes back to whoever has waited longest."""

    def __init__(self):
        self._lock = threading.Lock()
        self._idle = []
        self._waiting = collections.deque()

    def get(self):
        with self._lock:
            if self._idle:
                return self._idle.pop()
            gate, given = threading.Lock(), []
            gate.acquire()
            self._waiting.append((gate, given))
        gate.acquire()
        return given[0]

    def put(self, caller):
        with self._lock:
            if not self._waiting:
                self._idle.append(caller)
                return
            gate, given = self._waiting.popleft()
        given.append(caller)
        gate.release()


@contextlib.contextmanager
def bare_pairs(idle):
    """Floor h, with *idle*, an empty queue."""
    pairs = [fork_worker(ECHO) for _ in range(WORKERS)]
    for caller, _pid in pairs:
        idle.put(caller)

    def call(event):
        caller = idle.get()
        try:
            return caller(event)
        finally:
            idle.put(caller)

    try:
        yield call
    finally:
        for caller, pid in pairs:
            os.kill(pid, signal.SIGKILL)  # the second one holds the first one's pipe open
            os.waitpid(pid, 0)
            caller.close()


def measure_threads(competitor, seconds):
    with COMPETITORS[competitor]() as call:
        return {callers: by_threads(call, callers, seconds) for callers in CALLERS}


async def measure_tasks(seconds):
    from fc_runtime import AsyncRuntime, Credentials

    key_id, secret, token = CREDENTIALS
    async with AsyncRuntime() as runtime:
        await runtime.register(
            "echo",
            code=ECHO,
            handler="index.handler",
            timeout=TIMEOUT_S,
            memory_mb=512,
            max_instances=WORKERS,
            credentials=Credentials(
                access_key_id=key_id, access_key_secret=secret, security_token=token
            ),
        )
        await runtime.warm("echo", WORKERS)
        return {callers: await by_tasks(runtime, callers, seconds) for callers in CALLERS}


def measure(wanted):
    seconds = QUICK_SECONDS if wanted.quick else SECONDS
    if wanted.competitor == ASYNCIO:
        found = asyncio.run(measure_tasks(seconds))
    else:
        found = measure_threads(wanted.competitor, seconds)
    samples = {}
    for callers, (rate, durations, unfairness) in found.items():
        samples[rate_point(callers)] = [rate]
        if latency_point(callers) in LATENCIES:
            samples[latency_point(callers)] = durations
        if fairness_point(callers) in FAIRNESS:
            samples[fairness_point(callers)] = [unfairness]
    return samples


COMPETITORS = {
    SUBJECT: partial(warm_call.fc_runtime, WORKERS),
    ASYNCIO: None,
    FLOOR: lambda: bare_pairs(queue.SimpleQueue()),
    FAIR_FLOOR: lambda: bare_pairs(Line()),
    "multiprocessing.Pool": partial(warm_call.multiprocessing_pool, WORKERS),
    "ProcessPoolExecutor": partial(warm_call.process_pool_executor, WORKERS),
    "pebble": partial(warm_call.pebble, WORKERS),
    "loky": partial(warm_call.loky, WORKERS),
}
ROLES = {
    SUBJECT: Role.SUBJECT,
    ASYNCIO: Role.SUBJECT,
    FLOOR: Role.FLOOR,
    FAIR_FLOOR: Role.REFERENCE,
}

CASE = Case(
    name="throughput",
    title="Calls a second on two workers, 1 KiB there and back",
    file=Path(__file__),
    unit="per_s",
    units=dict.fromkeys(LATENCIES, "ns") | dict.fromkeys(FAIRNESS, "ratio"),
    points=[*RATES, *LATENCIES, *FAIRNESS],
    uncompared=[*FAIRNESS, latency_point(MANY)],  # the floor starves those it does not serve
    competitors=[Competitor(name=name, role=ROLES.get(name, Role.RIVAL)) for name in COMPETITORS],
    placements=[Placement.SCHEDULER],
    rounds=3,
    quick_rounds=1,
    quick_competitors=[SUBJECT, ASYNCIO, FLOOR, "multiprocessing.Pool", "ProcessPoolExecutor"],
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
