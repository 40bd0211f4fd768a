"""
Calls over HTTP: POST of 1 KiB that comes back as it is, over 1, 16 and 64 keep-alive connections.

Timed: by the client, in a process of its own (`http_load`). Not timed: start of the servers, a
warm-up. All servers are up together and are asked in turns within one process; an idle one takes
no CPU. Each has two processes that run handlers, and no access log.

The floor is the server that `fc-runtime serve` stands on, with an application that hands the body
back itself: no other process is asked. *added latency* is p50 at one connection, less the
floor's; for the library it is a warm call (`warm_call`), which is what lies between the two.
"""

import contextlib
import json
import os
import statistics
import subprocess
import urllib.request
from pathlib import Path

from case import (
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    UnavailableError,
    measuring_process,
    rival_module,
)
from http_load import load
from serving import PEERS, UP_S, free_port, functions_framework, process, wait_until_up
from warm_call import ECHO, fc_runtime, time_calls

EVENT = json.dumps("x" * 1022).encode()  # awslambdaric takes JSON only
CONNECTIONS = (1, 16, 64)
WORKERS = 2
FLOOR = "plain echo (uvicorn)"
LIBRARY = "library (a warm call)"
ADDED = "added latency, 1 connection"
LIBRARY_CALLS = 4_000


def titled(figure, connections):
    return f"{figure}, {connections} connection{'s' if connections > 1 else ''}"


RATE, P50, P99 = "requests", "p50", "p99"
POINTS = [*(titled(one, n) for n in CONNECTIONS for one in (RATE, P50, P99)), ADDED]


@contextlib.contextmanager
def serve():
    argv = ["-m", "fc_runtime", "serve", "--code", ECHO, "--name", "echo", "--port", "0"]
    argv += ["--max-instances", str(WORKERS), "--no-auth", "--no-access-log"]
    with process(argv, stdout=subprocess.PIPE) as child:
        url = child.stdout.readline().strip()
        if not url:
            raise UnavailableError("fc-runtime serve does not come up")
        yield f"{url}/2023-03-30/functions/echo/invocations"


@contextlib.contextmanager
def uvicorn(app):
    rival_module("uvicorn")
    port = free_port()
    argv = ["-m", "uvicorn", app, "--port", str(port), "--no-access-log", "--lifespan", "off"]
    with process([*argv, "--loop", "uvloop", "--http", "httptools"], cwd=PEERS):
        wait_until_up(port)
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def awslambdaric():
    rival_module("awslambdaric")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(uvicorn("runtime_api:app"))
        api = url.removeprefix("http://").rstrip("/")
        environment = {**os.environ, "AWS_LAMBDA_RUNTIME_API": api}
        for _ in range(WORKERS):
            argv = ["-m", "awslambdaric", "ric.handler"]
            stack.enter_context(
                process(argv, cwd=PEERS, env=environment, stdout=subprocess.DEVNULL)
            )
        try:
            urllib.request.urlopen(url, EVENT, timeout=UP_S / 2).close()
        except OSError as error:
            raise UnavailableError(f"does not answer here: {error}") from None
        yield url


SERVERS = {
    SUBJECT: serve,
    FLOOR: lambda: uvicorn("plain:app"),
    "functions-framework": lambda: functions_framework(WORKERS),
    "awslambdaric": awslambdaric,
}
ROLES = {SUBJECT: Role.SUBJECT, FLOOR: Role.FLOOR, LIBRARY: Role.REFERENCE}


def measure(wanted):
    seconds = 1 if wanted.quick else 2
    seen = {}
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, server in SERVERS.items():
            try:
                urls[name] = stack.enter_context(server())
            except UnavailableError as why:
                seen[name] = str(why)
        for url in urls.values():
            load(url, EVENT, WORKERS, 1)
        for connections in CONNECTIONS:
            for name, url in urls.items():
                found = load(url, EVENT, connections, seconds)
                figures = ((RATE, found.rate), (P50, found.p50), (P99, found.p99))
                for figure, value in figures:
                    seen.setdefault(name, {})[titled(figure, connections)] = [value]
    with fc_runtime() as call:
        took = time_calls(call, EVENT, LIBRARY_CALLS, seconds / 2)
    own, floor = (seen[name][titled(P50, 1)][0] for name in (SUBJECT, FLOOR))
    seen[SUBJECT][ADDED] = [own - floor]
    seen[LIBRARY] = {ADDED: [statistics.median(took)]}
    return seen


CASE = Case(
    name="http_call",
    title="Calls over HTTP, 1 KiB there and back, two worker processes",
    file=Path(__file__),
    unit="ns",
    units={titled(RATE, n): "per_s" for n in CONNECTIONS},
    points=POINTS,
    uncompared=[ADDED],
    together=True,
    competitors=[
        Competitor(name=name, role=ROLES.get(name, Role.RIVAL)) for name in (*SERVERS, LIBRARY)
    ],
    placements=[Placement.SCHEDULER],
    rounds=3,
    quick_rounds=1,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
