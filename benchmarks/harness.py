"""
Runs cases: a fresh process for each (round, competitor, placement), rounds interleaved.

All competitors of a case take their turn within every round, in an order that moves on by one
from round to round, so that a slow minute of the machine meets all of them. What one measuring
process says is kept as one round's samples; ratios are made of nothing else.

This process is the subreaper of what it starts: whatever a competitor leaves behind ends up below
it, is killed before the next measurement begins, and is told in the notes.
"""

import contextlib
import ctypes
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from case import TOGETHER, Measurement, Placement

PROJECT = Path(__file__).resolve().parents[1]  # taken out of messages
GIVE_UP_AFTER = 2  # failed measurements of one competitor
GRACE_S = 1.0  # for helpers that end by themselves once their parent has
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What one cell of a table is made of: the rounds' medians, and p99 of all samples."""

    median: float
    best: float
    worst: float
    p99: float
    total: float
    samples: int
    rounds: list[float]


@dataclass(slots=True)
class Results:
    """What the rounds of one case have brought so far."""

    case: object
    rounds_wanted: int
    samples: dict = field(default_factory=lambda: defaultdict(list))
    notes: list = field(default_factory=list)
    failures: dict = field(default_factory=lambda: defaultdict(int))
    hopeless: set = field(default_factory=set)
    took_s: float = 0.0

    def add(self, placement, competitor, samples):
        for point, values in samples.items():
            if values:
                self.samples[placement, competitor, point].append(values)

    def note(self, competitor, text):
        line = f"{competitor}: {text}".replace(str(PROJECT), "")
        if line not in self.notes:
            self.notes.append(line)

    def summary(self, placement, competitor, point):
        """None where nothing was measured."""
        rounds = self.samples.get((placement, competitor, point))
        if not rounds:
            return None
        medians = [statistics.median(one) for one in rounds]
        everything = sorted(value for one in rounds for value in one)
        return Summary(
            median=statistics.median(medians),
            best=min(medians),
            worst=max(medians),
            p99=everything[min(len(everything) - 1, int(len(everything) * 0.99))],
            total=sum(everything),
            samples=len(everything),
            rounds=medians,
        )

    def ratio(self, placement, above, below, point):
        """
        *above* : *below*, both of this run, or None.

        Of the medians of the rounds; where the case says so, and on one CPU, of the best rounds:
        with thousands of samples each they repeat within a tenth, and what makes a round slower
        is the machine's other work. Left to the scheduler its luck is part of what is measured.
        Where both were measured together, in one process, the median of the rounds' ratios.
        """
        one = self.summary(placement, above, point)
        other = self.summary(placement, below, point)
        if one is None or other is None:
            return None
        if self.case.together:
            rounds = zip(one.rounds, other.rounds, strict=True)
            return statistics.median(mine / theirs for mine, theirs in rounds)
        if self.case.best_rounds and placement is Placement.ONE_CPU:
            return one.best / other.best
        return one.median / other.median if other.median else None


class Progress:
    """Where we are, on stderr: one line that rewrites itself on a terminal, lines elsewhere."""

    def __init__(self, total):
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._tty = sys.stderr.isatty()

    def begin(self, what):
        self._done += 1
        left = ""
        if self._done > 6:
            each = (time.monotonic() - self._start) / (self._done - 1)
            left = f", about {each * (self._total - self._done + 1):.0f} s left"
        line = f"[{self._done}/{self._total}] {what}{left}"
        if self._tty:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self):
        if self._tty:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measurements(case, rounds):
    """
    (round, competitor, placement) of some *rounds*, by their numbers: everyone once a round, each
    round begun by another one.
    """
    for number in rounds:
        names = [TOGETHER] if case.together else [one.name for one in case.competitors]
        turn = number % len(names)
        for placement in case.placements:
            for name in (*names[turn:], *names[:turn]):
                yield number, name, placement


def run_rounds(all_results, *, quick, progress, until=math.inf, overtime_s=0.0):
    """
    Fill *all_results*, whatever some of them come to: the first round of all cases, then the
    second, and so on, so that each case has its share of the time that there is. What was measured
    so far stays when this is interrupted. After *until*, by the monotonic clock, nothing is begun
    any more, and what is under way is ended *overtime_s* later.
    """
    for number in range(max((one.rounds_wanted for one in all_results), default=0)):
        for results in all_results:
            begun = time.monotonic()
            for _, competitor, placement in measurements(
                results.case, range(number, min(number + 1, results.rounds_wanted))
            ):
                left_s = until - time.monotonic()
                if left_s <= 0:
                    results.note("rounds", "not all of them, as the time was up")
                    break
                progress.begin(
                    f"{results.case.name} round {number + 1}/{results.rounds_wanted}, "
                    f"{placement}: {competitor}"
                )
                if competitor not in results.hopeless:
                    wanted = Measurement(competitor=competitor, placement=placement, quick=quick)
                    measure(results, wanted, min(results.case.limit_s, left_s + overtime_s))
            results.took_s += time.monotonic() - begun


def measure(results, wanted, limit_s):
    """One measurement, or why there is none; who fails twice is not asked again."""
    case, competitor = results.case, wanted.competitor
    argv = [str(case.file), "--measure", competitor, "--placement", wanted.placement]
    if wanted.quick:
        argv.append("--quick")
    answer = in_fresh_process(argv, limit_s)
    if "samples" in answer:
        said = answer["samples"]
        for name, samples in (said if case.together else {competitor: said}).items():
            if isinstance(samples, str):  # why there are none
                results.note(name, samples)
            else:
                results.add(wanted.placement, name, samples)
    elif "unavailable" in answer:
        results.note(competitor, answer["unavailable"])
        results.hopeless.add(competitor)
    else:
        results.note(competitor, answer["failed"])
        results.failures[competitor] += 1
        if results.failures[competitor] >= GIVE_UP_AFTER:
            results.hopeless.add(competitor)
    if answer.get("left_behind"):
        results.note(competitor, f"left processes behind: {', '.join(answer['left_behind'])}")


def in_fresh_process(argv, limit_s):
    """
    What a program of ours printed, a JSON object; {"failed": why} if it did not come to that.
    What it left behind is told under "left_behind", and has been killed.
    """
    # Files, not pipes: a process that is left behind would hold a pipe open.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        child = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complained,
            start_new_session=True,  # Ctrl-C reaches this process only, which then cleans up
        )
        failed = None
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            failed = f"no end within {limit_s:.0f} s"
        finally:
            left = sweep(child, grace_s=0.0 if child.poll() is None else GRACE_S)
        said.seek(0)
        complained.seek(0)
        if failed is None and child.returncode == 0:
            answer = json.load(said)
        else:
            lines = complained.read().decode(errors="replace").strip().splitlines()
            answer = {"failed": failed or (lines[-1] if lines else f"exit {child.returncode}")}
    answer["left_behind"] = left
    return answer


def sweep(child=None, *, grace_s=0.0):
    """End and reap all that is below this process. Returns what had to be killed, *child* apart."""
    own = child.pid if child else None
    until = time.monotonic() + grace_s
    killed = {}
    while True:
        reap_adopted(own)
        below = [one for one in psutil.Process().children(recursive=True) if is_alive(one)]
        if not below and (child is None or child.poll() is not None):
            return list(killed.values())
        if time.monotonic() >= until:
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.pid != own:
                        killed.setdefault(process.pid, process.name())
                    process.send_signal(signal.SIGKILL)
        time.sleep(0.005)


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def reap_adopted(own):
    """Zombies that were handed to us as their subreaper; pid *own* is left to its Popen."""
    for process in psutil.Process().children():
        if process.pid != own and not is_alive(process):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
