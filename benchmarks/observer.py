"""
Sees process trees end, and grow, from outside: a process of its own, at a measuring one's service.

Not a thread of it: that would see an end when the interpreter lets it, up to 5 ms late while the
one who kills holds the GIL, and would take the GIL from the one it is to watch. Its instants are
those of `time.perf_counter`, which on Linux is the same clock for all processes.

This file is both: `Observer` is our end, `main` the program. They speak JSON, a line each.

    watch    all processes `sleep MARK`, as soon as there are two, and the parent of the first
             (the worker: it may not know its own pid, but here it is seen from the host). Each
             is held by a pidfd; the kernel says when it has ended, nobody looks by the clock
    weigh    the resident sizes of processes, read again and again until one of them has ended
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

TREE_OF = 2  # marked processes: a child and a daemon
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FOUND_WITHIN_S = 2.0
LOOK_S = 0.002  # between two looks for marked processes, before the deadline
WEIGH_S = 0.0001  # between two looks at a size: 0.2 MB, as fast as a kernel here gives memory


class Observer:
    def __init__(self):
        argv = [sys.executable, __file__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self._hear()
        self._found = None

    @property
    def pid(self):
        return self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()  # what outlived its worker may hold our end of its pipe
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _say(self, **message):
        self._process.stdin.write(json.dumps(message) + "\n")

    def _hear(self):
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError("the observer has ended")
        return json.loads(line)

    def watch(self, mark):
        """Look out for the tree of *mark*. `found`, then `ended`, tell what came of it."""
        self._found = None
        self._say(watch=mark)
        self._hear()

    def found(self):
        """Pids of the tree, the worker's first; none if it was not seen whole soon enough."""
        if self._found is None:
            self._found = self._hear()["found"]
        return self._found

    def ended(self, until):
        """When each of them ended, None for who had not at *until*; those have been killed."""
        self._say(until=until)
        return self._hear()["ended"]

    def weigh(self, counters):
        """
        Weigh processes from now on. *counters*: for each pid, the file with the kernel's own count
        for it, or None.
        """
        self._say(weigh=list(counters), counters=list(counters.values()))
        self._hear()

    def weight(self):
        """(pid, bytes, bytes as counted or None) of the heaviest, once it or `let_go` has ended."""
        return self._hear()["heaviest"]

    def let_go(self):
        self._say(let_go=True)


# -- the program -----------------------------------------------------------------------------------


def main():
    say(ready=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "watch" in message:
            watch(message["watch"])
        elif "weigh" in message:
            weigh(message["weigh"], message["counters"])


def say(**message):
    print(json.dumps(message), flush=True)


def watch(mark):
    try:
        pids = find_tree(mark)
        pidfds = {os.pidfd_open(pid): pid for pid in pids}
    except (TimeoutError, OSError):  # never there, or no more
        say(found=[])
        return
    say(found=pids)
    ended = dict.fromkeys(pids)
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    until = None
    while any(at is None for at in ended.values()) or until is None:
        left_ms = None if until is None else max(0.0, until - time.perf_counter()) * 1000
        ready = poller.poll(left_ms)
        now = time.perf_counter()
        if not ready:
            break
        for fd, _ in ready:
            if fd in pidfds:
                ended[pidfds[fd]] = now
                poller.unregister(fd)
            else:
                until = json.loads(sys.stdin.readline())["until"]
                poller.unregister(fd)
    for pidfd, pid in pidfds.items():
        if ended[pid] is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    say(ended=list(ended.values()))


def find_tree(mark):
    """The worker, and all that sleep for *mark* seconds. Looks until they are there."""
    known = processes()  # nobody who was there before can be one of them
    say(looking=True)
    wanted = [b"sleep", mark.encode()]
    found = {}
    until = time.perf_counter() + FOUND_WITHIN_S
    while len(found) < TREE_OF:
        if time.perf_counter() > until:
            raise TimeoutError
        time.sleep(LOOK_S)
        for name in processes() - known:
            with contextlib.suppress(OSError):
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
                if [words[0].rpartition(b"/")[2], *words[1:-1]] == wanted:
                    found[int(name)] = parent_of(name)
                    known.add(name)
    child, daemon = sorted(found)  # in the order in which they were started
    return [found[child], child, daemon]


def processes():
    return {entry.name for entry in os.scandir("/proc") if entry.name.isdigit()}


def parent_of(pid):
    return int(Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()[1])


def weigh(pids, counters):
    opened, counts, pidfds, known = [], [], [], []
    for pid, counter in zip(pids, counters, strict=True):
        with contextlib.suppress(OSError):  # the one before, which was on its way
            pidfds.append(os.pidfd_open(pid))
            opened.append(os.open(f"/proc/{pid}/statm", os.O_RDONLY))
            counts.append(os.open(counter, os.O_RDONLY) if counter else -1)
            known.append(pid)
    poller = select.poll()
    for fd in (*pidfds, sys.stdin.fileno()):
        poller.register(fd, select.POLLIN)
    most, counted = [0] * len(known), [None] * len(known)
    say(weighing=True)
    while not (ready := poller.poll(0)):
        for place, (statm, count) in enumerate(zip(opened, counts, strict=False)):
            most[place] = max(most[place], resident(statm))
            if count >= 0:
                with contextlib.suppress(OSError):  # its cgroup has gone
                    counted[place] = int(os.pread(count, 32, 0))
        time.sleep(WEIGH_S)
    for fd in (*opened, *counts, *pidfds):
        if fd >= 0:
            os.close(fd)
    if any(fd == sys.stdin.fileno() for fd, _ in ready):
        sys.stdin.readline()
    heaviest = most.index(max(most))
    say(heaviest=[known[heaviest], most[heaviest], counted[heaviest]])


def resident(statm):
    """In bytes; 0 once it is ending."""
    try:
        return int(os.pread(statm, 64, 0).split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    main()
