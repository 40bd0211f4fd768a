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
import re
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import serving
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
CONTENT_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
NOT_ON_ONE_CPU = ("Ray actor",)  # a dozen helpers: pinned, it is another program
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
def fc_runtime(workers=1):
    with runtime_class()() as runtime:
        from fc_runtime import Credentials

        key_id, secret, token = CREDENTIALS  # the floor sends them with every call, so we do
        runtime.register(
            "echo",
            code=ECHO,
            handler="index.handler",
            timeout=TIMEOUT_S,
            memory_mb=512,
            max_instances=workers,
            credentials=Credentials(
                access_key_id=key_id, access_key_secret=secret, security_token=token
            ),
        )
        runtime.warm("echo", workers)
        invoke = runtime.invoke
        yield lambda event: invoke("echo", event).payload


def echo_handler():
    """The same handler file, importable by name so that it can be pickled."""
    sys.path.insert(0, ECHO)
    return importlib.import_module("index").handler


@contextlib.contextmanager
def process_pool_executor(workers=1):
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        yield lambda event: pool.submit(handler, event, None).result(TIMEOUT_S)


@contextlib.contextmanager
def multiprocessing_pool(workers=1):
    handler = echo_handler()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield lambda event: pool.apply_async(handler, (event, None)).get(TIMEOUT_S)
        pool.close()
        pool.join()


@contextlib.contextmanager
def pebble(workers=1):
    module = rival_module("pebble")
    handler = echo_handler()
    context = multiprocessing.get_context("fork")
    with module.ProcessPool(max_workers=workers, context=context) as pool:
        yield lambda event: pool.schedule(handler, (event, None), timeout=TIMEOUT_S).result()


@contextlib.contextmanager
def loky(workers=1):
    module = rival_module("loky")
    handler = echo_handler()
    with module.ProcessPoolExecutor(max_workers=workers) as pool:
        yield lambda event: pool.submit(handler, event, None).result(TIMEOUT_S)


@contextlib.contextmanager
def functions_framework():
    """Its own server with one worker process, over one connection that is kept."""
    with serving.functions_framework(1) as url:
        connection = socket.create_connection(("127.0.0.1", urlsplit(url).port), TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            yield lambda event: post(connection, event)


def post(connection, event):
    """The least that HTTP asks of a client: head and body in one go, the body of the answer."""
    connection.sendall(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(event) + event
    )
    got = bytearray()
    while b"\r\n\r\n" not in got:
        got += received(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    size = int(CONTENT_LENGTH.search(head)[1])
    while len(body) < size:
        body += received(connection)
    return body


def received(connection):
    data = connection.recv(1 << 20)
    if not data:
        raise EOFError("the server hung up")
    return data


@contextlib.contextmanager
def ray_actor():
    """An actor with a method, whose results are fetched one by one."""
    module = rival_module("ray")
    with tempfile.TemporaryDirectory() as folder:
        module.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        try:
            actor = module.remote(num_cpus=1)(Echo).remote()
            yield lambda event: module.get(actor.call.remote(event), timeout=TIMEOUT_S)
        finally:
            module.shutdown()


class Echo:
    def __init__(self):
        sys.path.insert(0, ECHO)
        self._handler = importlib.import_module("index").handler

    def call(self, event):
        return self._handler(event, None)


COMPETITORS = {
    SUBJECT: fc_runtime,
    "floor f (bare pair)": lambda: bare_pair(ECHO),
    "ProcessPoolExecutor": process_pool_executor,
    "multiprocessing.Pool": multiprocessing_pool,
    "pebble": pebble,
    "loky": loky,
    "functions-framework": functions_framework,
    "Ray actor": ray_actor,
}
ROLES = {SUBJECT: Role.SUBJECT, "floor f (bare pair)": Role.FLOOR}


def measure(wanted):
    share = QUICK if wanted.quick else 1.0
    samples = {}
    if wanted.competitor in NOT_ON_ONE_CPU and wanted.placement is Placement.ONE_CPU:
        return samples
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
    rounds=4,
    quick_rounds=2,
    quick_competitors=[SUBJECT, "floor f (bare pair)", "ProcessPoolExecutor", "pebble"],
    best_rounds=True,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
