"""
200 warm workers of a bare handler on one host: what they hold, and how long it takes to have them.

All of them have answered a call with garbage and a collection in it, as in `memory`, and are alive
when it is read. *PSS of all* is everything below the measuring process, zygotes and all: what the
host gives for them. *until warm* is the time from asking for so many until the last one is ready,
by how many there are.

The floor is the bare zygote's: fork, and nothing else.
"""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bare import BareZygote
from case import (
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    measuring_process,
    runtime_class,
)
from memory import FOOTPRINT, TIMEOUT_S, footprints, pss_below

WORKERS, QUICK_WORKERS = 200, 50


@contextlib.contextmanager
def fc_runtime(workers):
    with runtime_class()() as runtime, ThreadPoolExecutor(workers) as threads:
        runtime.register("many", code=FOOTPRINT, timeout=TIMEOUT_S, max_instances=workers)
        runtime.warm("many", 1)
        start = time.perf_counter_ns()
        runtime.warm("many", workers)
        took_ns = time.perf_counter_ns() - start

        def ask(event):
            calls = [threads.submit(runtime.invoke, "many", event) for _ in range(workers)]
            return [call.result().payload for call in calls]

        yield ask, took_ns


@contextlib.contextmanager
def bare_zygote(workers):
    zygote = BareZygote()
    start = time.perf_counter_ns()
    callers = [zygote.spawn(FOOTPRINT) for _ in range(workers)]
    try:
        # Ready is who has answered: there is no other sign of life.
        with ThreadPoolExecutor(workers) as threads:
            nothing = b'{"import": [], "garbage": 0, "hold_s": 0}'
            list(threads.map(lambda caller: caller(nothing, TIMEOUT_S), callers))
            took_ns = time.perf_counter_ns() - start

            def ask(event):
                return list(threads.map(lambda caller: caller(event, TIMEOUT_S), callers))

            yield ask, took_ns
    finally:
        for caller in reversed(callers):
            zygote.reap(caller)
        zygote.close()


COMPETITORS = {SUBJECT: (fc_runtime, Role.SUBJECT), "bare zygote": (bare_zygote, Role.FLOOR)}
USS, PSS, ALL, READY = "USS of one", "PSS of one", "PSS of all", "until warm"


def measure(wanted):
    workers = QUICK_WORKERS if wanted.quick else WORKERS
    start, _role = COMPETITORS[wanted.competitor]
    with start(workers) as (ask, took_ns):
        found = footprints(ask, workers, ())
        return {
            USS: [one["uss"] for one in found],
            PSS: [one["pss"] for one in found],
            ALL: [pss_below(wait_until_settled=0.2)],
            READY: [took_ns / workers],
        }


CASE = Case(
    name="many_workers",
    title="200 warm workers of a bare handler",
    file=Path(__file__),
    unit="bytes",
    units={READY: "ns"},
    points=[USS, PSS, ALL, READY],
    competitors=[Competitor(name=name, role=role) for name, (_start, role) in COMPETITORS.items()],
    placements=[Placement.SCHEDULER],
    rounds=2,
    quick_rounds=1,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
