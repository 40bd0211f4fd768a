"""
One warm call: a handler that returns its event, one caller, nothing else going on.

Timed: from the call of the public function to its return with the result's bytes, by
`perf_counter_ns` around each call. Not timed: starting the pool, the warm-up calls, the check
of the answer. Everyone is asked for an answer within a timeout, as fc-runtime always is.

The floor is *f* of `bare.py`. Both placements matter: waking a process on another CPU can cost
several times what the call itself does, so ratios are steady only on one CPU, while users see
what the scheduler makes of it.
"""

import concurrent.futures
import contextlib
import importlib
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bare import CREDENTIALS, bare_pair
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

TIMEOUT_S = 60.0
ECHO = str(HANDLERS / "echo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many bytes; timing ends after *calls*, or *seconds* if they come first."""

    name: str
    event_bytes: int
    calls: int
    seconds: float = 0.4


SIZES = (
    Size(name="16 B", event_bytes=16, calls=2_000),
    Size(name="1 KiB", event_bytes=1 << 10, calls=4_000, seconds=0.8),
    Size(name="64 KiB", event_bytes=1 << 16, calls=1_000),
    Size(name="1 MiB", event_bytes=1 << 20, calls=200),
    Size(name="6 MiB", event_bytes=6 << 20, calls=50),
)
QUICK = 0.35  # of the calls and of the seconds


def time_calls(call, event, calls, seconds):
    """Durations in ns, after a warm-up of a tenth that is thrown away (at least one call)."""
    clock = time.perf_counter_ns
    run_calls(call, event, max(1, calls // 10), clock() + int(seconds * 1e8), clock)
    return run_calls(call, event, calls, clock() + int(seconds * 1e9), clock)


def run_calls(call, event, calls, until, clock):
    durations = []
    for _ in range(calls):
        start = clock()
        answer = call(event)
        end = clock()
        durations.append(end - start)
        if len(answer) != len(event):
            raise ValueError(f"{len(event)} bytes went in, {len(answer)} came out")
        if end > until:
            break
    return durations


@contextlib.contextmanager
def fc_runtime():
    with runtime_class()() as runtime:
        from fc_runtime import Credentials

        key_id, secret, token = CREDENTIALS  # the floor sends them with every call, so we do
        runtime.register(
            "echo",
            code=ECHO,
            handler="index.handler",
            timeout=TIMEOUT_S,
            memory_mb=512,
            max_instances=1,
            credentials=Credentials(
                access_key_id=key_id, access_key_secret=secret, security_token=token
            ),
        )
        runtime.warm("echo", 1)
        invoke = runtime.invoke
        yield lambda event: invoke("echo", event).payload


def echo_handler():
    """The same handler file, importable by name so that it can be pickled."""
    sys.path.insert(0, ECHO)
    return importlib.import_module("index").handler


@contextlib.contextmanager
def process_pool_executor():
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        yield lambda event: pool.submit(handler, event, None).result(TIMEOUT_S)


@contextlib.contextmanager
def multiprocessing_pool():
    handler = echo_handler()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        yield lambda event: pool.apply_async(handler, (event, None)).get(TIMEOUT_S)
        pool.close()
        pool.join()


@contextlib.contextmanager
def pebble():
    module = rival_module("pebble")
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with module.ProcessPool(max_workers=1, context=context) as pool:
        yield lambda event: pool.schedule(handler, (event, None), timeout=TIMEOUT_S).result()


@contextlib.contextmanager
def loky():
    module = rival_module("loky")
    handler = echo_handler()
    with module.ProcessPoolExecutor(max_workers=1) as pool:
        yield lambda event: pool.submit(handler, event, None).result(TIMEOUT_S)


COMPETITORS = {
    SUBJECT: fc_runtime,
    "floor f (bare pair)": lambda: bare_pair(ECHO),
    "ProcessPoolExecutor": process_pool_executor,
    "multiprocessing.Pool": multiprocessing_pool,
    "pebble": pebble,
    "loky": loky,
}
ROLES = {SUBJECT: Role.SUBJECT, "floor f (bare pair)": Role.FLOOR}


def measure(wanted):
    share = QUICK if wanted.quick else 1.0
    samples = {}
    with COMPETITORS[wanted.competitor]() as call:
        for size in SIZES:
            event = bytes(size.event_bytes)
            calls = max(5, int(size.calls * share))
            samples[size.name] = time_calls(call, event, calls, size.seconds * share)
    return samples


CASE = Case(
    name="warm_call",
    title="One warm call, one caller, the event handed back",
    file=Path(__file__),
    unit="ns",
    points=[size.name for size in SIZES],
    competitors=[Competitor(name=name, role=ROLES.get(name, Role.RIVAL)) for name in COMPETITORS],
    placements=list(Placement),
    rounds=5,
    quick_rounds=2,
    best_rounds=True,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
