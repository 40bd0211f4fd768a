"""
One runtime with 1,000 functions, of which 200 have an instance up, and 32 callers.

    call          one call of 1 KiB there and back, the callers choosing among the 200 at random,
                  beside the same callers all calling one function with 32 instances. In turns, in
                  one process, so both meet the same machine
    register      making 1,000 functions known, one after another
    started       processes that came up at that: there should be none
    idle cpu      CPU time, user and system, of the process with the runtime over ten seconds in
                  which nobody calls; its tick is 10 ms
    idle wakes    times that one of its threads woke up meanwhile (voluntary context switches; the
                  sleep of the measuring thread itself is taken off)
    idle below    the same of all processes below it, zygotes and workers

Beside the calls, what choosing at random costs without any of us: the same callers, doing their
own pipe I/O, with 200 bare processes of which each chooses one at random, and with 32 of which each
takes the one that was given back last.

Rounds are processes. Not timed: warming up, which starts 201 zygotes.
"""

import contextlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bare import fork_worker
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

ECHO = str(HANDLERS / "echo")
EVENT = bytes(1024)
FUNCTIONS, LIVE, CALLERS = 1_000, 200, 32
SECONDS = 1.0  # of one block of calls
BLOCKS = 3  # of each kind
IDLE_S = 10.0
SETTLED_S = 2.0
AT_ONCE = 4  # functions that are warmed up at a time
FLOOR = "one function"
BARE_MANY, BARE_FEW = "200 bare processes", "32 bare processes"
POINTS = CALL, REGISTER, STARTED, IDLE_CPU, IDLE_WAKES, IDLE_BELOW = (
    "call",
    "register 1,000 functions",
    "started at that",
    "idle cpu, 10 s",
    "idle wakes, 10 s",
    "idle wakes below, 10 s",
)


def register(runtime, name, instances):
    runtime.register(
        name,
        code=ECHO,
        handler="index.handler",
        timeout=60.0,
        memory_mb=64,
        max_instances=instances,
        idle_timeout=3600.0,
    )


def durations_of(call, seconds):
    """Durations in ns of all calls that `CALLERS` threads make meanwhile."""
    gate = threading.Barrier(CALLERS)

    def repeat(seed):
        chance = random.Random(seed)
        clock = time.perf_counter_ns
        durations = []
        gate.wait()
        until = clock() + int(seconds * 1e9)
        while True:
            start = clock()
            call(chance)
            end = clock()
            if end > until:
                return durations
            durations.append(end - start)

    with ThreadPoolExecutor(CALLERS) as threads:
        running = [threads.submit(repeat, seed) for seed in range(CALLERS)]
        return [one for each in running for one in each.result()]


def in_turns(calls):
    """Durations of each of *calls*, by their names."""
    durations = {name: [] for name in calls}
    for call in calls.values():
        durations_of(call, SECONDS / 2)
    for _ in range(BLOCKS):
        for name, call in calls.items():
            durations[name] += durations_of(call, SECONDS)
    return durations


def bare():
    """Of processes that nobody looks after."""
    processes = [fork_worker(ECHO) for _ in range(LIVE + CALLERS)]
    try:
        many = [(threading.Lock(), caller) for caller, _ in processes[:LIVE]]
        idle_ones = [caller for caller, _ in processes[LIVE:]]

        def call_any(chance):
            lock, caller = chance.choice(many)
            with lock:
                caller(EVENT)

        def call_the_last(chance):
            chance.choice(many)  # as the others do
            caller = idle_ones.pop()
            caller(EVENT)
            idle_ones.append(caller)

        return in_turns({BARE_MANY: call_any, BARE_FEW: call_the_last})
    finally:
        for caller, pid in processes:
            caller.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def wakes_of(pid):
    """Voluntary context switches of all threads of a process so far; 0 once it has gone."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total


def idle():
    """CPU time in ns and wake-ups of this process, and wake-ups of those below it."""
    import psutil

    below = [process.pid for process in psutil.Process().children(recursive=True)]
    own, others = wakes_of(os.getpid()), sum(map(wakes_of, below))
    cpu = time.process_time_ns()
    time.sleep(IDLE_S)
    cpu = time.process_time_ns() - cpu
    own = wakes_of(os.getpid()) - own - 1
    return cpu, max(0, own), sum(map(wakes_of, below)) - others


def processes_below():
    import psutil

    return len(psutil.Process().children(recursive=True))


def measure(wanted):  # noqa: ARG001 (what is to be shown needs its full size)
    told_of_bare = {name: {CALL: durations} for name, durations in bare().items()}
    with runtime_class()() as runtime:
        before, start = processes_below(), time.perf_counter_ns()
        names = [f"f{number}" for number in range(FUNCTIONS)]
        for name in names:
            register(runtime, name, 1)
        registering = time.perf_counter_ns() - start
        started = processes_below() - before
        live = names[:LIVE]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(runtime.warm, live))
        register(runtime, "one", CALLERS)
        runtime.warm("one", CALLERS)
        kinds = {SUBJECT: live, FLOOR: ["one"]}
        durations = in_turns(
            {
                kind: lambda chance, names=names: runtime.invoke(chance.choice(names), EVENT)
                for kind, names in kinds.items()
            }
        )
        time.sleep(SETTLED_S)
        cpu, own, below = idle()
    told = {REGISTER: [registering], STARTED: [started]}
    told |= {IDLE_CPU: [cpu], IDLE_WAKES: [own], IDLE_BELOW: [below]}
    told_of_us = {SUBJECT: {CALL: durations[SUBJECT], **told}, FLOOR: {CALL: durations[FLOOR]}}
    return told_of_us | told_of_bare


CASE = Case(
    name="scale",
    title="One runtime with 1,000 functions and 200 instances, 32 callers",
    file=Path(__file__),
    unit="ns",
    units=dict.fromkeys((STARTED, IDLE_WAKES, IDLE_BELOW), "count"),
    points=POINTS,
    uncompared=[REGISTER, IDLE_CPU],
    together=True,
    competitors=[
        Competitor(name=SUBJECT, role=Role.SUBJECT),
        Competitor(name=FLOOR, role=Role.FLOOR),
        *(Competitor(name=name, role=Role.REFERENCE) for name in (BARE_MANY, BARE_FEW)),
    ],
    placements=[Placement.SCHEDULER],
    rounds=2,
    quick_rounds=1,
    limit_s=180.0,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
