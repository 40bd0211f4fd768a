"""
Where each microsecond of a warm call goes: one call of 1 KiB, cut into stages.

Marks (`perf_counter_ns`, which all processes of a machine share) are put around the parts of both
sides that a warm call goes through: on this side around the methods named in `SEAMS`, in the worker
by the handler itself (`handlers/marked`). A stage is what lies between two marks. Blocks of marked
calls and of plain ones take turns; a plain call meets no mark on either side.

Shown is the mean over the marked calls whose time lies in the middle half, less what the marks cost
(measured on a method that does nothing). What the stages of a call add up to is what it took; the
difference to the plain calls' own median is shown as well, and is the error of this method.

Beside it the system calls of both sides, counted by strace over 1,000 plain calls, which is slow
and so may change where placement sends them; and voluntary context switches, counted without it.

`python benchmarks/stages.py [--placement one_cpu]` prints one JSON object.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from case import HANDLERS, Placement, runtime_class

ECHO, MARKED = str(HANDLERS / "echo"), str(HANDLERS / "marked")
EVENT = bytes(1024)
BLOCKS, CALLS = 8, 300  # of each kind
COUNTED = 1_000  # under strace
ATTACH_S = 10.0
SEAMS = {  # label: module, class, method
    "lease": ("fc_runtime.pool.pool", "Pool", "lease_idle"),
    "borrow": ("fc_runtime.dispatch.placement", "Placer", "borrow"),
    "write": ("fc_runtime.dispatch.channel", "Channel", "write_small"),
    "read": ("fc_runtime.dispatch.channel", "Channel", "read_some"),
    "release": ("fc_runtime.pool.pool", "Pool", "release"),
}
OURS, WORKERS, BETWEEN = "caller", "worker", "kernel"
# Stage, whose time it is, and how many halves of a mark's cost lie in it.
STAGES = (
    ("name to function, arguments", OURS, 1),
    ("lease of an instance", OURS, 1),
    ("placement", OURS, 1),
    ("encode", OURS, 2),
    ("write", OURS, 1),
    ("wake-up of the worker, its read", BETWEEN, 0),
    ("decode", WORKERS, 2),
    ("context", WORKERS, 3),
    ("handler", WORKERS, 1),
    ("encode the result", WORKERS, 3),
    ("write the result", WORKERS, 1),
    ("wake-up of the caller, its read", BETWEEN, 1),
    ("decode, checks, result", OURS, 1),
    ("release of the instance", OURS, 1),
    ("return", OURS, 1),
)


def around(label, function, marks):
    append, clock, end = marks.append, time.perf_counter_ns, f"{label}."

    def between(*args, **options):
        append(label)
        append(clock())
        try:
            return function(*args, **options)
        finally:
            append(clock())
            append(end)

    return between


@contextlib.contextmanager
def seams_marked(marks):
    """Marks on this side, for as long as the block lasts."""
    import importlib

    replaced = []
    for label, (module, name, method) in SEAMS.items():
        owner = getattr(importlib.import_module(module), name)
        replaced.append((owner, method, getattr(owner, method)))
        setattr(owner, method, around(label, getattr(owner, method), marks))
    try:
        yield
    finally:
        for owner, method, function in replaced:
            setattr(owner, method, function)


def pairs(marks):
    """[label, ns, ns, label., …] as (label, ns): a mark at the end has its time before its name."""
    found = []
    for first, second in zip(marks[::2], marks[1::2], strict=True):
        found.append((first, second) if isinstance(first, str) else (second, first))
    return found


def calls_of(marks, first):
    """Marks by call, each a map of label to the list of its times; a call begins with *first*."""
    calls = []
    for label, at in pairs(marks):
        if label == first:
            calls.append({})
        if calls:
            calls[-1].setdefault(label, []).append(at)
    return calls


def stages_of(ours, theirs):
    """
    The ns of each of `STAGES` in one call, or None where it did not go the usual way.

    *ours*, *theirs*: marks of this side and of the worker. Where the worker begins before `write`
    has returned, or the caller reads before the worker's has, the stage ends there.
    """
    try:
        begin, end = ours["call"][0], ours["call."][0]
        lease, leased = ours["lease"][0], ours["lease."][0]
        write, written = ours["write"][0], ours["write."][0]
        read = ours["read."][-1]
        release, released = ours["release"][0], ours["release."][0]
        feed, invoke = theirs["feed"][0], theirs["invoke"][0]
        handler, handled = theirs["handler"][0], theirs["handler."][0]
        answer, answered = theirs["write"][0], theirs["write."][0]
    except (KeyError, IndexError):
        return None
    placing = ours["borrow."][0] - ours["borrow"][0] if "borrow" in ours else 0
    written, answered = min(written, feed), min(answered, read)
    found = [
        *(lease - begin, leased - lease, placing, write - leased - placing),
        *(written - write, feed - written),
        *(invoke - feed, handler - invoke, handled - handler, answer - handled),
        *(answered - answer, read - answered),
        *(release - read, released - release, end - released),
    ]
    return found if min(found) >= 0 else None


def matched(ours, theirs):
    """Each call of ours with the worker's of the same moment."""
    found, at = [], 0
    for call in ours:
        begin, end = call["call"][0], call["call."][0]
        while at < len(theirs) and theirs[at]["feed"][0] < begin:
            at += 1
        if at < len(theirs) and theirs[at]["feed"][0] < end:
            stages = stages_of(call, theirs[at])
            if stages:
                found.append(stages)
    return found


def middle_half(calls):
    """The mean of each stage, over the calls whose sum is in the middle half."""
    ordered = sorted(calls, key=sum)
    kept = ordered[len(ordered) // 4 : max(1, len(ordered) * 3 // 4)]
    return [statistics.fmean(one) for one in zip(*kept, strict=True)]


def cost_of_a_mark():
    """What a pair of marks adds to a method, in ns."""
    marks = []

    class Nothing:
        def plain(self, one):
            pass

    Nothing.between = around("", Nothing.plain, marks)
    nothing, clock = Nothing(), time.perf_counter_ns
    costs = []
    for _ in range(20):
        taken = []
        for method in (nothing.plain, nothing.between):
            start = clock()
            for _ in range(1_000):
                method(None)
            taken.append((clock() - start) / 1_000)
        costs.append(taken[1] - taken[0])
    return statistics.median(costs)


def profile():
    """Stages and plain calls of one runtime, taking turns."""
    marks, calls, plain = [], [], []
    clock, append = time.perf_counter_ns, marks.append
    with runtime_class()() as runtime:
        for name, code in (("plain", ECHO), ("marked", MARKED)):
            register(runtime, name, code)
            for _ in range(CALLS):
                runtime.invoke(name, EVENT)
        for _ in range(BLOCKS):
            for _ in range(CALLS):
                start = clock()
                runtime.invoke("plain", EVENT)
                plain.append(clock() - start)
            runtime.invoke("marked", b"marks")
            with seams_marked(marks):
                for _ in range(CALLS):
                    append("call")
                    append(clock())
                    runtime.invoke("marked", EVENT)
                    append(clock())
                    append("call.")
            theirs = json.loads(runtime.invoke("marked", b"marks").payload)
            calls += matched(calls_of(marks, "call"), calls_of(theirs, "feed"))
            marks.clear()
        switches = switches_per_call(runtime)
    if not calls:
        return {"unavailable": "no call went the usual way"}
    half = cost_of_a_mark() / 2
    raw = middle_half(calls)
    stages = [
        {"stage": name, "side": side, "ns": max(0.0, ns - halves * half)}
        for (name, side, halves), ns in zip(STAGES, raw, strict=True)
    ]
    return {
        "stages": stages,
        "sum_ns": sum(one["ns"] for one in stages),
        "marked_ns": sum(raw),
        "plain_ns": statistics.median(plain),
        "mark_ns": 2 * half,
        "calls": len(calls),
        "of": BLOCKS * CALLS,
        "switches_per_call": switches,
    }


def register(runtime, name, code):
    runtime.register(
        name, code=code, handler="index.handler", timeout=60.0, memory_mb=512, max_instances=1
    )
    runtime.warm(name, 1)


def switches_per_call(runtime):
    """Voluntary context switches of the calling thread and of the worker, each by call."""
    worker = worker_of(runtime)
    files = {OURS: Path("/proc/thread-self/status"), WORKERS: Path(f"/proc/{worker}/status")}
    before = {side: switches(file) for side, file in files.items()}
    for _ in range(COUNTED):
        runtime.invoke("plain", EVENT)
    return {side: (switches(file) - before[side]) / COUNTED for side, file in files.items()}


def switches(file):
    return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read_text(), re.MULTILINE)[1])


def worker_of(runtime):
    """The pid, seen from here, of the process that answers: the one that this keeps busiest."""
    import psutil

    below = psutil.Process().children(recursive=True)
    before = {one.pid: sum(one.num_ctx_switches()) for one in below}
    for _ in range(COUNTED // 5):
        runtime.invoke("plain", EVENT)
    return max(below, key=lambda one: sum(one.num_ctx_switches()) - before[one.pid]).pid


def system_calls():
    """What strace counts of each side in 1,000 calls: {side: {name: calls}}, or why not."""
    if shutil.which("strace") is None:
        return {"unavailable": "strace is not installed"}
    with runtime_class()() as runtime, tempfile.TemporaryDirectory() as folder:
        register(runtime, "plain", ECHO)
        for _ in range(COUNTED):
            runtime.invoke("plain", EVENT)
        counted = {}
        for side, pid in ((OURS, os.getpid()), (WORKERS, worker_of(runtime))):
            file = Path(folder) / side
            try:
                with strace(pid, file):
                    for _ in range(COUNTED):
                        runtime.invoke("plain", EVENT)
            except OSError as error:
                return {"unavailable": str(error)}
            counted[side] = table_of(file.read_text())
    return {"calls": COUNTED, **counted}


@contextlib.contextmanager
def strace(pid, file):
    """Counts what process *pid* asks of the kernel. OSError if it may not."""
    argv = ["strace", "-c", "-f", "-U", "calls,errors,name", "-o", str(file), "-p", str(pid)]
    child = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        line = child.stderr.readline()
        if "attached" not in line:
            raise OSError(line.strip() or "strace ended")
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(ATTACH_S)
        child.stderr.close()


def table_of(text):
    """{system call: how often}, of strace's table with the columns calls, errors, name."""
    rows = re.findall(r"^\s*(\d+)\s+(?:\d+\s+)?([a-z_]\w*)\s*$", text, re.MULTILINE)
    return {name: int(calls) for calls, name in rows if name != "total"}


def main():
    parser = argparse.ArgumentParser(description="Where each microsecond of a warm call goes.")
    parser.add_argument("--placement", type=Placement, default=Placement.SCHEDULER)
    args = parser.parse_args()
    if args.placement is Placement.ONE_CPU:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    json.dump({"profile": profile(), "system_calls": system_calls()}, sys.stdout)


if __name__ == "__main__":
    main()
