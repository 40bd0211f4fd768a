"""
Cold starts of a handler that imports numpy and oss2, half a second's worth of modules.

- *first ever*: from the first call of a function that has no process to its result: the zygote is
  started, the worker forked, the imports done. Beside it: `python -c` with the same imports, from
  its start to its end.
- *once learned*: from a call that has to start an instance, the zygote being up, to its result, as
  `cold_start` has it. The zygote is the second of its function: it has imported, before the fork,
  what the first instance told. Waited for and not timed: that it is there.

The floor is the same function without the imports: what learned preload can at best come down to.
*not learned* is the same with `preload_learned=False`.
"""

import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path

from case import (
    HANDLERS,
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    UnavailableError,
    measuring_process,
    runtime_class,
)
from cold_start import BUSY, EVENT, call_beside_a_busy_one, pause

IMPORTING = str(HANDLERS / "importing")
MODULES = ("numpy", "oss2")
FIRST, LEARNED = "first ever", "once learned"
SAMPLES, QUICK_SAMPLES = 5, 3  # of one measuring process; one more is thrown away
WITHIN_S = 60.0


class Bell:
    """A log that rings when a generation that has learned is up."""

    def __init__(self):
        self.rung = threading.Event()

    def info(self, event, **fields):
        if event == "zygote.learned":
            if fields["modules"] != list(MODULES):
                raise ValueError(f"learned {fields}")
            self.rung.set()

    debug = warning = info


def learned(samples):
    return fc_runtime(samples, IMPORTING, learns=True)


def not_learned(samples):
    return fc_runtime(samples, IMPORTING, learns=False)


def without_imports(samples):
    return fc_runtime(samples, BUSY, learns=False)


def fc_runtime(samples, code, *, learns):
    first, later = [], []
    bell = Bell()
    with runtime_class()(log=bell) as runtime:
        for serial in range(samples):
            name = f"heavy{serial}"
            bell.rung.clear()
            runtime.register(name, code=code, timeout=60.0, max_instances=2, preload_learned=learns)
            pause()
            start = time.perf_counter_ns()
            runtime.invoke(name, EVENT)
            first.append(time.perf_counter_ns() - start)
            runtime.unregister(name)
            # Nothing of it has finished yet when the second call comes: so there is no standby.
            runtime.register(name, code=code, timeout=60.0, max_instances=2, preload_learned=learns)
            runtime.warm(name, 1)
            if learns and not bell.rung.wait(WITHIN_S):
                raise ValueError("no generation came that had learned")
            later.append(call_beside_a_busy_one(runtime, name, must_start=True))
            runtime.unregister(name)
    return {FIRST: first, LEARNED: later}


def fresh_interpreter(samples):
    durations = []
    for _ in range(samples):
        pause()
        start = time.perf_counter_ns()
        subprocess.run([sys.executable, "-c", f"import {', '.join(MODULES)}"], check=True)
        durations.append(time.perf_counter_ns() - start)
    return {FIRST: durations}


COMPETITORS = {
    SUBJECT: (learned, Role.SUBJECT),
    "fc-runtime, not learned": (not_learned, Role.REFERENCE),
    "fc-runtime, no imports": (without_imports, Role.FLOOR),
    "python -c": (fresh_interpreter, Role.RIVAL),
}


def measure(wanted):
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            raise UnavailableError(f"{module} is not installed")
    samples = QUICK_SAMPLES if wanted.quick else SAMPLES
    function, _role = COMPETITORS[wanted.competitor]
    return {point: taken[1:] for point, taken in function(samples + 1).items()}


CASE = Case(
    name="heavy_imports",
    title="Cold starts of a handler that imports numpy and oss2",
    file=Path(__file__),
    unit="ns",
    points=[FIRST, LEARNED],
    competitors=[
        Competitor(name=name, role=role) for name, (_function, role) in COMPETITORS.items()
    ],
    placements=[Placement.SCHEDULER],
    rounds=3,
    quick_rounds=1,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
