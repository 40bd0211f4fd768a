"""
A handler that does not come back, with a child and a daemon: when its caller knows, when all of it
is gone, and how soon the next call is answered.

The handler starts `sleep` as a child and once more as a daemon (forked twice, a session of its own)
and hangs. Each kill is one call with a deadline, and in ns:

    answer       from the deadline to the caller's exception
    tree empty   from the deadline to the end of the last of worker, child and daemon, as the
                 kernel tells a bystander (`observer.py`) on their pidfds. No sample where one of
                 them outlives the answer by a second: that is a survivor. Process 1 of a pid
                 namespace is ours, runs nothing of the handler's, and is not waited for
    by stats()   the same interval as fc-runtime itself counts it, `deadline_to_empty_ms`
    next call    from the answer to the answer of a ping right behind it. One worker each, so it
                 has to be replaced; *standby* is fc-runtime with room for a second one

and survivors, counted over all kills, and killed. The deadline is the instant before the call plus
the timeout. Not timed: a ping before each kill, by which a worker is up.

fc-runtime is measured in the best tier of the host, which `machine.isolation` tells, and in the
others by name, `sandbox="standard"`; and in the best one with `strict`. The floor knows its tree:
a bare worker whose parent polls until the deadline, and is told the three pids to kill. What is
above it is finding them, telling where the handler hung, and cleaning up.
"""

import contextlib
import functools
import importlib
import multiprocessing
import os
import random
import signal
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
    require_tier,
    rival_module,
    runtime_class,
)
from observer import Observer

TREE = str(HANDLERS / "tree")
TIMEOUT_S = 0.15  # time enough to start a tree, also on a busy machine
SURVIVES_S = 1.0  # after the answer
KILLS, QUICK_KILLS = 40, 20  # of one measuring process
LOST_AT_MOST = 0.25  # of the kills: trees that were not whole at the deadline
POINTS = ANSWER, EMPTY, TOLD, NEXT, SURVIVORS = (
    "answer",
    "tree empty",
    "tree empty, by stats()",
    "next call",
    "survivors",
)
FLOOR = "floor (told whom to kill)"


class FcRuntime:
    """The subject, in a tier, of which one process serves unless there may be more *instances*."""

    kills = KILLS

    def __init__(self, tier="auto", sandbox="standard", instances=1):
        runtime = runtime_class()
        if tier != "auto":
            require_tier(tier)
        from fc_runtime import TimedOutError

        self._timed_out = TimedOutError
        self._runtime = runtime(isolation=tier)
        self._counted = self._runtime.stats()["deadline_to_empty_ms"]
        self._runtime.register(
            "tree",
            code=TREE,
            handler="index.handler",
            timeout=60.0,
            sandbox=sandbox,
            max_instances=instances,
        )

    def close(self):
        self._runtime.close(0.0)

    def ping(self):
        return self._runtime.invoke("tree", b"ping").payload

    def hang(self, mark, _observer):
        try:
            self._runtime.invoke("tree", mark, timeout=TIMEOUT_S)
        except self._timed_out:
            raise TimeoutError from None

    def told(self):
        """What the runtime says of the last kill, in ns; it hears of its end a moment later."""
        until = time.monotonic() + SURVIVES_S
        before = self._counted
        while self._counted["count"] == before["count"] and time.monotonic() < until:
            time.sleep(0.001)
            self._counted = self._runtime.stats()["deadline_to_empty_ms"]
        count = self._counted["count"] - before["count"]
        return [(self._counted["sum"] - before["sum"]) * 1e6] if count == 1 else []


class Other:
    """What floor and rivals have in common: nobody counts but the observer."""

    kills = KILLS

    def told(self):
        return []


class Floor(Other):
    def __init__(self):
        self._zygote = BareZygote()
        self._caller = self._zygote.spawn(TREE)
        self._killed = False

    def close(self):
        self._zygote.reap(self._caller)
        self._zygote.close()

    def ping(self):
        if self._killed:
            self._zygote.reap(self._caller)
            self._caller = self._zygote.spawn(TREE)
            self._killed = False
        return self._caller(b"ping")

    def hang(self, mark, observer):
        try:
            self._caller(mark.encode(), TIMEOUT_S)
        except TimeoutError:
            for pid in observer.found():
                os.kill(pid, signal.SIGKILL)
            self._killed = True
            raise


class Pebble(Other):
    kills = 20  # of which each is followed by a second in which its survivors live on

    def __init__(self):
        self._handler = handler()  # first: it is imported by name in each worker
        context = multiprocessing.get_context("fork")
        self._pool = rival_module("pebble").ProcessPool(max_workers=1, context=context)

    def close(self):
        self._pool.stop()
        self._pool.join()

    def ping(self):
        return self._pool.schedule(self._handler, (b"ping", None), timeout=60.0).result()

    def hang(self, mark, _observer):
        self._pool.schedule(self._handler, (mark.encode(), None), timeout=TIMEOUT_S).result()


class Billiard(Other):
    kills = 4  # idem, and it looks at its deadlines once a second

    def __init__(self):
        self._too_late = rival_module("billiard").exceptions.TimeLimitExceeded
        self._handler = handler()  # first: it is imported by name in each worker
        self._pool = rival_module("billiard.pool").Pool(1, enable_timeouts=True)

    def close(self):
        self._pool.terminate()
        self._pool.join()

    def ping(self):
        return self._pool.apply_async(self._handler, (b"ping", None)).get(10.0)

    def hang(self, mark, _observer):
        call = self._pool.apply_async(self._handler, (mark.encode(), None), timeout=TIMEOUT_S)
        try:
            call.get(10.0)
        except Exception as error:
            # Wrapped, together with the text of its traceback.
            if isinstance(getattr(error, "exc", error), self._too_late):
                raise TimeoutError from None
            raise


def handler():
    """The same handler file, importable by name so that it can be pickled."""
    sys.path.insert(0, TREE)
    return importlib.import_module("index").handler


COMPETITORS = {
    SUBJECT: (FcRuntime, Role.SUBJECT),
    **{
        f"{SUBJECT}, {tier}": (functools.partial(FcRuntime, tier), Role.REFERENCE)
        for tier in ("cgroup2", "cgroup1", "pidns", "portable")
    },
    f"{SUBJECT}, strict": (functools.partial(FcRuntime, sandbox="strict"), Role.REFERENCE),
    f"{SUBJECT}, standby": (functools.partial(FcRuntime, instances=2), Role.REFERENCE),
    FLOOR: (Floor, Role.FLOOR),
    "pebble": (Pebble, Role.RIVAL),
    "billiard": (Billiard, Role.RIVAL),
}


def measure(wanted):
    start, _role = COMPETITORS[wanted.competitor]
    samples = {point: [] for point in POINTS}
    with Observer() as observer, contextlib.closing(start()) as host:
        kills = min(host.kills, QUICK_KILLS if wanted.quick else KILLS)
        lost = 0
        while len(samples[ANSWER]) < kills:
            seen = one_kill(host, observer)
            lost += seen is None
            if lost > kills * LOST_AT_MOST:
                raise ValueError("too many trees were not whole at the deadline")
            for point, values in (seen or {}).items():
                samples[point] += values
    return samples


def one_kill(host, observer):
    """The samples of one kill; None if its tree was not seen whole."""
    host.ping()
    mark = str(random.randrange(10**8, 10**9))
    observer.watch(mark)
    deadline = time.perf_counter() + TIMEOUT_S
    try:
        host.hang(mark, observer)
    except TimeoutError:
        answered = time.perf_counter()
    else:
        raise ValueError("an answer came, where none could")
    host.ping()
    served = time.perf_counter()
    if not observer.found():
        return None
    ended = observer.ended(answered + SURVIVES_S)
    alive = ended.count(None)
    return {
        ANSWER: [(answered - deadline) * 1e9],
        EMPTY: [] if alive else [(max(ended) - deadline) * 1e9],
        TOLD: host.told(),
        NEXT: [(served - answered) * 1e9],
        SURVIVORS: [alive],
    }


CASE = Case(
    name="deadline",
    title="A handler that hangs beside a child and a daemon, killed at its deadline",
    file=Path(__file__),
    unit="ns",
    units={SURVIVORS: "count"},
    points=POINTS,
    uncompared=[TOLD, SURVIVORS],
    competitors=[Competitor(name=name, role=role) for name, (_start, role) in COMPETITORS.items()],
    placements=[Placement.SCHEDULER],
    rounds=3,
    quick_rounds=1,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
