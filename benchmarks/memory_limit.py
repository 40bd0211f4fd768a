"""
How far a handler gets beyond its memory, in each tier, taking it as fast as the kernel gives it.

The handler maps 8 MiB after 8 MiB with all their pages (`MAP_POPULATE`), which is faster than
touching them, up to eight times its limit of 128 MiB. Each run is one call on a warm instance:

    overshoot   the most that a bystander (`observer.py`) has seen the worker hold, beyond the
                limit; 0 if it never got there. Resident size, less what of it is shared with the
                zygote (resident less proportional size, before the call), which nobody pays twice
    counted     where a cgroup v1 counts: its own highest count (`max_usage_in_bytes`) beyond it
    verdict     from the call to the caller's exception, in ns: taking 128 MiB included
    out of memory   how many of the runs ended with that verdict, and no other

The floor is a bare worker whose handler stops by itself once it has taken as much as the limit: the
time that takes; its overshoot is what its process holds besides.
"""

import contextlib
import functools
import os
import time
from pathlib import Path

import psutil
from bare import BareZygote
from case import (
    HANDLERS,
    SUBJECT,
    Case,
    Competitor,
    Placement,
    Role,
    measuring_process,
    require_tier,
    runtime_class,
)
from observer import Observer

HOARD = str(HANDLERS / "hoard")
MiB = 1 << 20
LIMIT_MB = 128
MOST_MB = 8 * LIMIT_MB
RUNS, QUICK_RUNS = 5, 3
POINTS = OVERSHOOT, COUNTED, VERDICT, KILLED = (
    "overshoot",
    "overshoot, as the kernel counts",
    "verdict",
    "out of memory",
)


class FcRuntime:
    def __init__(self, tier="auto", sandbox="standard"):
        runtime = runtime_class()
        if tier != "auto":
            require_tier(tier)
        from fc_runtime import OutOfMemoryError

        self._out_of_memory = OutOfMemoryError
        self._runtime = runtime(isolation=tier)
        self._runtime.register(
            "hoard",
            code=HOARD,
            handler="index.handler",
            timeout=30.0,
            memory_mb=LIMIT_MB,
            sandbox=sandbox,
            max_instances=1,
        )

    def close(self):
        self._runtime.close(0.0)

    def ping(self):
        self._runtime.invoke("hoard", b"ping")

    def take_all(self):
        """Take it. Was it stopped for its memory?"""
        try:
            self._runtime.invoke("hoard", str(MOST_MB * MiB))
        except self._out_of_memory:
            return True
        return False


class Floor:
    def __init__(self):
        self._zygote = BareZygote()
        self._caller = self._zygote.spawn(HOARD)

    def close(self):
        self._zygote.reap(self._caller)
        self._zygote.close()

    def ping(self):
        self._caller(b"ping")

    def take_all(self):
        """As much as there would be, and no more."""
        self._caller(str(LIMIT_MB * MiB).encode())
        return False


COMPETITORS = {
    SUBJECT: (FcRuntime, Role.SUBJECT),
    **{
        f"{SUBJECT}, {tier}": (functools.partial(FcRuntime, tier), Role.REFERENCE)
        for tier in ("cgroup2", "cgroup1", "pidns", "portable")
    },
    "floor (stops by itself)": (Floor, Role.FLOOR),
}


def measure(wanted):
    start, _role = COMPETITORS[wanted.competitor]
    samples = {point: [] for point in POINTS}
    with Observer() as observer, contextlib.closing(start()) as host:
        for _ in range(QUICK_RUNS if wanted.quick else RUNS):
            for point, values in one_run(host, observer).items():
                samples[point] += values
    return samples


def one_run(host, observer):
    host.ping()
    shared = {}
    for worker in workers_below(observer):
        with contextlib.suppress(psutil.NoSuchProcess):  # the one before, which was on its way
            shared[worker.pid] = shared_bytes(worker)
    observer.weigh({pid: counter_of(pid) for pid in shared})
    start = time.perf_counter_ns()
    stopped = host.take_all()
    took = time.perf_counter_ns() - start
    observer.let_go()  # where it lives on
    pid, most, counted = observer.weight()
    return {
        OVERSHOOT: [max(0, most - shared[pid] - LIMIT_MB * MiB)],
        COUNTED: [] if counted is None else [max(0, counted - LIMIT_MB * MiB)],
        VERDICT: [took],
        KILLED: [int(stopped)],
    }


def workers_below(observer):
    """All below this one who have nobody below them: one that will serve, and maybe a standby."""
    everybody = psutil.Process().children(recursive=True)
    alive, parents = [], {observer.pid}
    for one in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            parents.add(one.ppid())
            if one.status() != psutil.STATUS_ZOMBIE:
                alive.append(one)
    return [one for one in alive if one.pid not in parents]


def shared_bytes(process):
    memory = process.memory_full_info()
    return memory.rss - memory.pss


def counter_of(pid):
    """Where a memory controller of version 1 keeps its highest count for *pid*; None elsewhere."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") and "fc-runtime-" in path:
            for mount in Path("/proc/self/mountinfo").read_text().splitlines():
                before, _, after = mount.partition(" - ")
                kind, _, options = after.split()[:3]
                if kind == "cgroup" and "memory" in options.split(","):
                    root, mount_point = before.split()[3:5]
                    below = path.removeprefix(root if root != "/" else "")
                    file = f"{mount_point}{below}/memory.max_usage_in_bytes"
                    return file if os.access(file, os.R_OK) else None
    return None


CASE = Case(
    name="memory_limit",
    title=f"A handler that takes memory as fast as it can, with a limit of {LIMIT_MB} MiB",
    file=Path(__file__),
    unit="bytes",
    units={VERDICT: "ns", KILLED: "count"},
    points=POINTS,
    uncompared=[OVERSHOOT, COUNTED, KILLED],
    competitors=[Competitor(name=name, role=role) for name, (_start, role) in COMPETITORS.items()],
    placements=[Placement.SCHEDULER],
    rounds=2,
    quick_rounds=1,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
