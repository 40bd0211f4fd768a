"""
Memory of one more warm worker: USS and PSS, after garbage and `gc.collect()` in the handler.

USS (private pages) is what a worker costs that nobody else pays for: the figure that decides how
many fit. PSS adds its share of what it shares, so it also depends on how many there are. Both are
read inside the handler from `/proc/self/smaps_rollup`, while all the workers are alive. The
garbage matters: a collection touches the header of every object it can see, which unshares the
pages that the fork had shared, unless `gc.freeze()` went before.

*bare* is the handler alone; with *oss2* the handler uses that package, with *oss2+numpy* both:
named in `preload` for fc-runtime (and imported by the bare zygote before it forks), imported in
each worker by the others, which know no preload. "Helpers" are the other processes below this one
(zygotes, trackers, a standby), PSS in total.

The floor is the bare zygote: fork and `gc.freeze()` and nothing else.
"""

import concurrent.futures
import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import sys
import time
from pathlib import Path

from bare import BareZygote
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

FOOTPRINT = str(HANDLERS / "footprint")
WORKERS, QUICK_WORKERS = 4, 3
GARBAGE = 20_000  # cycles, about 8 MB at the peak
HOLD_S = (0.2, 0.5, 1.0)  # tried in turn, until the calls were spread over all workers
TIMEOUT_S = 60.0
VARIANTS = {"bare": (), "oss2": ("oss2",), "oss2+numpy": ("oss2", "numpy")}


@contextlib.contextmanager
def fc_runtime(workers, preload):
    with (
        runtime_class()() as runtime,
        concurrent.futures.ThreadPoolExecutor(workers) as threads,
    ):
        runtime.register(
            "footprint",
            code=FOOTPRINT,
            handler="index.handler",
            timeout=TIMEOUT_S,
            memory_mb=512,
            max_instances=workers,
            preload=preload,
        )
        runtime.warm("footprint", workers)

        def ask(event):
            calls = [threads.submit(runtime.invoke, "footprint", event) for _ in range(workers)]
            return [call.result().payload for call in calls]

        yield ask


@contextlib.contextmanager
def bare_zygote(workers, preload):
    zygote = BareZygote(preload)
    callers = [zygote.spawn(FOOTPRINT) for _ in range(workers)]
    try:
        yield lambda event: [caller(event) for caller in callers]
    finally:
        for caller in reversed(callers):
            zygote.reap(caller)
        zygote.close()


@contextlib.contextmanager
def executor(pool, workers):
    handler = footprint_handler()
    with pool:

        def ask(event):
            calls = [pool.submit(handler, event, None) for _ in range(workers)]
            return [call.result(TIMEOUT_S) for call in calls]

        yield ask


def footprint_handler():
    if FOOTPRINT not in sys.path:
        sys.path.insert(0, FOOTPRINT)
    return importlib.import_module("index").handler


def process_pool_executor(start_method):
    def start(workers, _preload):
        context = multiprocessing.get_context(start_method)
        pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)
        return executor(pool, workers)

    return start


def loky(workers, _preload):
    return executor(rival_module("loky").ProcessPoolExecutor(workers), workers)


COMPETITORS = {
    SUBJECT: (fc_runtime, Role.SUBJECT),
    "bare zygote": (bare_zygote, Role.FLOOR),
    "ProcessPoolExecutor (fork)": (process_pool_executor("fork"), Role.RIVAL),
    "ProcessPoolExecutor (spawn)": (process_pool_executor("spawn"), Role.RIVAL),
    "loky": (loky, Role.RIVAL),
}


def measure(wanted):
    workers = QUICK_WORKERS if wanted.quick else WORKERS
    start, _role = COMPETITORS[wanted.competitor]
    samples = {}
    for variant, preload in VARIANTS.items():
        if not all(map(importlib.util.find_spec, preload)):
            continue
        with start(workers, preload) as ask:
            found = footprints(ask, workers, preload)
            samples[f"USS, {variant}"] = [one["uss"] for one in found]
            samples[f"PSS, {variant}"] = [one["pss"] for one in found]
            everything = pss_below(wait_until_settled=0.2)
            samples[f"helpers, {variant}"] = [everything - sum(one["pss"] for one in found)]
    return samples


def footprints(ask, workers, modules):
    """What each of *workers* says of itself, all of them alive and through with their garbage."""
    wish = {"import": list(modules), "garbage": GARBAGE, "hold_s": 0.0}
    for hold_s in HOLD_S:
        ask(json.dumps(wish | {"hold_s": hold_s}).encode())
        said = [json.loads(one) for one in ask(json.dumps(wish | {"hold_s": hold_s}).encode())]
        if len({one["worker"] for one in said}) == workers:
            return said
    raise ValueError(f"{workers} calls at once did not reach {workers} workers")


def pss_below(*, wait_until_settled):
    """PSS of all processes below this one, in bytes."""
    import psutil

    time.sleep(wait_until_settled)
    total = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


CASE = Case(
    name="memory",
    title="Memory of one more warm worker, after garbage and a collection",
    file=Path(__file__),
    unit="bytes",
    points=[f"{what}, {variant}" for variant in VARIANTS for what in ("USS", "PSS", "helpers")],
    uncompared=[f"helpers, {variant}" for variant in VARIANTS],
    competitors=[Competitor(name=name, role=role) for name, (_start, role) in COMPETITORS.items()],
    placements=[Placement.SCHEDULER],
    rounds=2,
    quick_rounds=1,
    quick_competitors=[SUBJECT, "bare zygote"],
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
