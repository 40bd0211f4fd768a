"""
Minutes of handlers that misbehave, beside handlers that do not: who behaves is never hurt.

Four clients, six functions. Three answer with their own name and what they were asked, so that an
answer that went astray shows. Three misbehave: each call is one of the cases of `fc-runtime
torture`, drawn at random, on a function registered anew with the case's options. ``SOAK_SECONDS`` is for
how long, 600 if unset; the seed is printed, and so is what the host stood on meanwhile.
"""

import os
import random
import secrets
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import FcRuntimeError, Runtime, TimedOut
from fc_runtime.torture import footing
from fc_runtime.torture.case import Case, Seen
from fc_runtime.torture.cases import CASES
from fc_runtime.torture.stage import MARK_VARIABLE, Grounds
from support.tiers import AVAILABLE

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
CLIENTS = 4
HONEST = ("one", "two", "three")
WILD = {"wild": "standard", "wilder": "standard", "wildest": "strict"}  # and their sandboxes
WILD_SHARE = 0.02  # of the calls: they take a hundred times as long
SAMPLES = 120
# What they leave behind may meet their own function's next call, as is promised of them.
HIT_LATER = {"interrupt-later", "answers-ahead"}
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """What the host stood on at one moment."""

    rss_mb: float
    descriptors: int
    threads: int
    cgroups: int
    processes: int
    zombies: int

    @classmethod
    def now(cls) -> "Sample":
        me = psutil.Process()
        statuses = []
        for process in me.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                statuses.append(process.status())
        return cls(
            round(me.memory_info().rss / MIB, 1),
            me.num_fds(),
            me.num_threads(),
            len(list(cgroup_folders())),
            len(statuses),
            statuses.count(psutil.STATUS_ZOMBIE),
        )


def cgroup_folders() -> Iterator[str]:
    """Those of this program, in whatever hierarchies there are; they come and go meanwhile."""
    ours = f"fc-runtime-{os.getpid()}-"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            for folder, _, _ in os.walk(before.split()[4]):
                if ours in folder:
                    yield folder


class Survivors:
    """A logger that keeps what was said of those who would not end."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._begun = time.monotonic()

    def debug(self, event: str, **fields: object) -> None:
        pass

    info = debug

    def warning(self, event: str, **fields: object) -> None:
        if event in ("instance.survived", "instance.left_survivors"):
            self.lines.append(f"after {time.monotonic() - self._begun:.0f} s: {event} {fields}")


class Sampler:
    """Looks at the host from time to time, on a thread of its own."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(SECONDS / SAMPLES):
            self.samples.append(Sample.now())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def quarter(self, number: int) -> Sample:
        """The medians of one quarter of the time, the first being 1."""
        count = len(self.samples) // 4
        part = self.samples[(number - 1) * count : number * count]
        columns = zip(*map(astuple, part), strict=True)
        return Sample(*(statistics.median(column) for column in columns))

    def most(self) -> Sample:
        return Sample(*map(max, zip(*map(astuple, self.samples), strict=True)))


def table(rows: dict[str, Sample]) -> str:
    names = [field.name for field in fields(Sample)]
    lines = [f"  {'':12}" + "".join(f"{name:>12}" for name in names)]
    for title, sample in rows.items():
        lines.append(f"  {title:12}" + "".join(f"{value:>12g}" for value in astuple(sample)))
    return "\n".join(lines)


def is_without_stack(seen: Seen) -> bool:
    return isinstance(seen.outcome, TimedOut) and not seen.outcome.stack


class Wild:
    """A function that misbehaves: one case at a time, for whoever holds its lock."""

    def __init__(self, runtime: Runtime, name: str, sandbox: str, code: Path, mark: str) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.without_stack = 0
        # What is one call, is promised, and is not known to be broken: the rest would show nothing.
        self.cases = [
            case
            for case in CASES
            if case.play is None
            and not case.host
            and case.promised(AVAILABLE[0], sandbox)
            and case.name not in HIT_LATER
        ]
        self._runtime = runtime
        self._sandbox = sandbox
        self._code = code
        self._mark = mark

    def misbehave(self, case: Case) -> list[str]:
        """Play *case*, and call once more. What was not as promised."""
        wrong = []
        self._register(case.cold, case.options)
        if not case.cold:
            # Also: what is imported now is not imported in the time of a deadline.
            wrong += self._must_answer("before", f"{case.handler} ping")
        event = case.deed if case.cold else f"{case.handler} {case.deed}"
        seen = self._invoke(event, case.timeout)
        expected = case.expectation(AVAILABLE[0], self._sandbox)
        assert expected is not None
        if is_without_stack(seen) and expected.phrase.startswith("timed out in"):
            self.without_stack += (
                1  # 50 ms were not enough to write it, on a machine as busy as this
            )
        elif not expected.holds(seen):
            wrong.append(f"expected: {expected.phrase}; seen: {seen.words}")
        if case.cold:
            # Its own time to start is the case's; whoever is cured may take longer on a busy machine.
            patient = {k: v for k, v in case.options.items() if k != "initialization_timeout"}
            self._register(case.cold, {**patient, "environment": case.cure or {}})
        return wrong + self._must_answer("after")

    def _register(self, cold: bool, options: Mapping[str, Any]) -> None:
        """Anew each time: what a case does to its own function's process is that case's alone."""
        given: dict[str, Any] = {
            "code": self._code,
            "handler": "startup.dispatch" if cold else "any.dispatch",
            "memory_mb": 256,
            "max_instances": 1,
            "timeout": 10.0,
            "sandbox": self._sandbox,
            **options,
            "environment": {MARK_VARIABLE: self._mark, **options.get("environment", {})},
        }
        self._runtime.register(self.name, **given)

    def _invoke(self, event: str, timeout: float) -> Seen:
        try:
            return Seen(result=self._runtime.invoke(self.name, event, timeout=timeout, check=False))
        except FcRuntimeError as error:
            return Seen(error=error)

    def _must_answer(self, when: str, event: str = "ping") -> list[str]:
        seen = self._invoke(event, 10.0)
        well = seen.result is not None and seen.result.ok and seen.result.text == "pong"
        return [] if well else [f"the call {when}: {seen.words}"]


class Clients:
    """Threads that call whom the dice say, and look at every answer."""

    def __init__(self, runtime: Runtime, wild: list[Wild], seed: int) -> None:
        self.answered = 0
        self.slowest_s = 0.0
        self.played: Counter[str] = Counter()
        self.astray: list[str] = []  # an answer that was somebody else's, or none
        self.wrong: list[str] = []  # a case that did not end as promised
        self.errors: list[BaseException] = []
        self._runtime = runtime
        self._wild = wild
        self._seed = seed
        self._lock = threading.Lock()

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._guarded, args=(number, until))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _guarded(self, number: int, until: float) -> None:
        try:
            self._call(random.Random(self._seed + number), until)
        except BaseException as error:  # noqa: BLE001 (raised again by who waits for us)
            self.errors.append(error)

    def _call(self, dice: random.Random, until: float) -> None:
        while time.monotonic() < until:
            wild = dice.choice(self._wild)
            # Somebody is at it already: then one who behaves is called beside that.
            if dice.random() < WILD_SHARE and wild.lock.acquire(blocking=False):
                try:
                    self._misbehave(wild, dice.choice(wild.cases))
                finally:
                    wild.lock.release()
            else:
                self._ask(dice.choice(HONEST), dice)

    def _misbehave(self, wild: Wild, case: Case) -> None:
        wrong = wild.misbehave(case)
        with self._lock:
            self.played[case.name] += 1
            self.wrong += [f"{wild.name}, {case.name}: {trouble}" for trouble in wrong]

    def _ask(self, name: str, dice: random.Random) -> None:
        nonce = f"{dice.getrandbits(64):x}" * dice.choice((1, 1, 1, 500))
        began = time.monotonic()
        result = self._runtime.invoke(name, nonce, check=False)
        took_s = time.monotonic() - began
        well = result.ok and result.json() == {"who": name, "nonce": nonce} and not result.log
        with self._lock:
            self.answered += 1
            self.slowest_s = max(self.slowest_s, took_s)
            if not well:
                self.astray.append(f"{name}: {result.outcome} {result.text[:60]!r}")


@pytest.mark.soak
def test_who_behaves_is_never_hurt(handlers: Path) -> None:
    """
    Whatever the others do, every answer of a function that behaves is its own and right; what
    misbehaves ends as its case promises; and the host stands on no more at last than it did.
    """
    seed = random.SystemRandom().randrange(2**32)
    mark = f"fct-{secrets.token_hex(4)}"
    survivors = Survivors()
    try:
        with (
            Grounds(AVAILABLE[0], "standard") as grounds,
            Runtime(isolation=AVAILABLE[0], log=survivors) as runtime,
        ):
            (grounds.code / "any.py").write_bytes((handlers / "wild" / "any.py").read_bytes())
            for name in HONEST:
                runtime.register(name, code=handlers / "nonce", timeout=30.0, max_instances=2)
            wild = [
                Wild(runtime, name, sandbox, grounds.code, mark) for name, sandbox in WILD.items()
            ]
            clients, sampler = Clients(runtime, wild, seed), Sampler()
            with sampler.at_work():
                clients.run(SECONDS)
            stats = runtime.stats()
        left = footing.settle(lambda: list(footing.marked(mark).values()), 5.0)
    finally:
        footing.kill(mark)
    second, last, closed = sampler.quarter(2), sampler.quarter(4), Sample.now()

    print(
        f"\n  seed {seed}, tier {AVAILABLE[0]}, {SECONDS:g} s: {clients.answered} answers of who "
        f"behaves, the slowest after {clients.slowest_s:.2f} s"
        f"\n  {clients.played.total()} times {len(clients.played)} of the cases, "
        f"{len(clients.wrong)} not as promised, "
        f"{sum(one.without_stack for one in wild)} without a stack; "
        f"{len(clients.astray)} answers astray"
        f"\n  survivors {stats['survivors']}, deadline to empty {stats['deadline_to_empty_ms']}\n"
    )
    print(
        table(
            {"2nd quarter": second, "4th quarter": last, "most": sampler.most(), "closed": closed}
        )
    )
    print(*(f"  {line}" for line in (*clients.wrong, *survivors.lines)), sep="\n")
    assert [] == clients.astray[:5]
    assert [] == clients.wrong[:5]
    assert [] == left
    assert 0 == stats["survivors"]
    assert clients.answered > clients.played.total() > 0
    assert last.rss_mb - second.rss_mb < 8
    assert last.descriptors - second.descriptors <= 12  # of an instance more or less
    assert last.threads - second.threads <= 4
    assert last.cgroups - second.cgroups <= 8
    assert last.processes - second.processes <= 6
    assert last.zombies - second.zombies <= 2
    assert (0, 0, 0) == (closed.processes, closed.zombies, closed.cgroups)
