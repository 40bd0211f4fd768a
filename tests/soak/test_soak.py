"""
A hundred thousand invocations while somebody kills, and more until he has killed a hundred instances:
every answer right, and nothing that grows.

``FC_SOAK_INVOCATIONS`` shortens it. The figures are printed: ``make soak``.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from fc_runtime import Crashed, CrashedError, InitializationError, OverloadedError, Runtime
from support.stage import until

INVOCATIONS = int(os.environ.get("FC_SOAK_INVOCATIONS", "100000"))
KILLS = INVOCATIONS // 1000  # of instances, at least
THREADS = 6
PAUSE_S = (0.02, 0.12)  # between two kills
ZYGOTE_SHARE = 0.1  # of the victims
SIZES = (0, 16, 1024, 70_000)
SIZE_WEIGHTS = (1, 60, 30, 1)
MIB = 1024 * 1024


@dataclass
class Footing:
    """What this process stands on at one moment."""

    descriptors: int
    threads: int
    rss: int
    processes: int
    zombies: int

    def __str__(self) -> str:
        return (
            f"{self.descriptors} fds, {self.threads} threads, {self.rss / MIB:.1f} MiB, "
            f"{self.processes} processes, {self.zombies} zombies"
        )


def footing() -> Footing:
    me = psutil.Process()
    statuses = []
    for process in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            statuses.append(process.status())
    return Footing(
        me.num_fds(),
        me.num_threads(),
        me.memory_info().rss,
        len(statuses),
        statuses.count(psutil.STATUS_ZOMBIE),
    )


class Killer:
    """Kills a random instance, or a zygote, every few tens of milliseconds."""

    def __init__(self, seed: int) -> None:
        self.killed: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(self._random.uniform(*PAUSE_S)):
            zygotes = psutil.Process().children()
            if not zygotes:
                continue
            zygote = self._random.choice(zygotes)
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                instances = zygote.children()
                if self._random.random() < ZYGOTE_SHARE or not instances:
                    os.kill(zygote.pid, signal.SIGKILL)
                    self.killed["zygotes"] += 1
                else:
                    os.kill(self._random.choice(instances).pid, signal.SIGKILL)
                    self.killed["instances"] += 1

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


class Callers:
    """Threads that invoke, and look at every answer."""

    def __init__(self, runtime: Runtime, names: list[str], seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._runtime = runtime
        self._names = names
        self._seed = seed
        self._lock = threading.Lock()

    def run(self, count: int) -> float:
        """*count* invocations from all threads together; the seconds that they took."""
        threads = [
            threading.Thread(target=self._call, args=(number, count // THREADS))
            for number in range(THREADS)
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def _call(self, number: int, count: int) -> None:
        dice = random.Random(self._seed + number)
        ends: Counter[str] = Counter()
        for turn in range(count):
            size = dice.choices(SIZES, SIZE_WEIGHTS)[0]
            event = f"{number}-{turn}-".encode() + b"x" * size
            name = dice.choice(self._names)
            try:
                result = self._runtime.invoke(name, event)
            except CrashedError as crash:
                ends["crashed"] += 1
                outcome = crash.result.outcome
                if type(outcome) is not Crashed or outcome.exit_code is not None:
                    self.wrong.append(f"{name}: {outcome}")
            except InitializationError as failure:  # killed while it was started for us
                # Two such in a row look like a crash loop: then callers who come within the
                # back-off are given the same answer, without a start of their own.
                remembered = failure.result.duration_ms == 0.0
                ends["told of a crash at start" if remembered else "crashed at start"] += 1
                if type(failure.result.outcome.cause) is not Crashed:
                    self.wrong.append(f"{name}: {failure}")
            except OverloadedError as refusal:  # three zygotes in a row were killed under it
                ends["refused"] += 1
                if "zygote" not in str(refusal) and "no instance" not in str(refusal):
                    self.wrong.append(f"{name}: {refusal}")
            else:
                ends["answered"] += 1
                if result.payload != event or result.log:
                    self.wrong.append(f"{name}: {event[:20]!r} gave {result.payload[:20]!r}")
        with self._lock:
            self.ends += ends


@pytest.mark.soak
def test_nothing_grows_while_somebody_kills(handlers: Path) -> None:
    """
    Six threads, three functions, random kill -9 of instances and zygotes: every answer is right
    or a crash of its own; afterwards descriptors, threads, processes and zombies are as before,
    and the memory of the host has not grown by more than a few MiB.
    """
    seed = random.SystemRandom().randrange(2**32)
    names = ["steady", "short-lived", "kept"]
    with Runtime() as runtime:
        options = {"code": handlers / "gate", "handler": "index.echo", "max_instances": 3}
        runtime.register("steady", **options)
        runtime.register("short-lived", max_invocations=50, **options)
        runtime.register("kept", min_instances=1, **options)
        callers = Callers(runtime, names, seed)
        callers.run(max(2000, INVOCATIONS // 20))  # to its working size
        callers.ends.clear()
        killer = Killer(seed)
        before = footing()
        with killer.at_work():
            took = callers.run(INVOCATIONS)
            while killer.killed["instances"] < KILLS:  # he takes his time, however quick they are
                callers.run(INVOCATIONS // 10)
        until(lambda: not any(runtime.stats()["functions"][name]["serving"] for name in names))
        until(lambda: footing().zombies == 0, what="no zombie left")
        after = footing()
        stats = runtime.stats()
        assert all(runtime.invoke(name, b"still there").ok for name in names)
    closed = footing()

    print(
        f"\n  seed {seed}: {INVOCATIONS} invocations in {took:.1f} s, {INVOCATIONS / took:.0f}/s"
        f"\n  {dict(callers.ends)}, killed {dict(killer.killed)}"
        f"\n  before  {before}\n  after   {after}\n  closed  {closed}"
        f"\n  survivors {stats['survivors']}"
    )
    assert [] == callers.wrong[:5]
    # A kill ends at most the invocation that was running on it.
    ended = callers.ends["crashed"] + callers.ends["crashed at start"]
    assert ended <= killer.killed["instances"] + killer.killed["zygotes"]
    assert callers.ends["told of a crash at start"] <= INVOCATIONS // 100
    assert 0 == stats["survivors"]
    assert abs(after.descriptors - before.descriptors) <= 5 * 3 * 4  # of instances more or less
    assert after.processes <= 3 * (1 + 3 + 1)
    assert after.rss - before.rss < 24 * MIB
    assert (0, 0) == (closed.processes, closed.zombies)
    assert closed.descriptors < before.descriptors
