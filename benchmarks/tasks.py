"""
Asynchronous invocations: how long it takes until one is on the disk, and how many run a second.

    accept          one `invoke_async` after another from one caller, while what was accepted runs
    end to end      tasks a second, from the first of them being accepted, by eight callers, until
                    the last of them has run
    depth N         tasks a second while N of them wait all the time: what runs is replaced

The handler gives back its event of 1 KiB, on two workers. All of it is durable: SQLite syncs each
commit, PostgreSQL is as its package has it, in a cluster of its own on a local socket.
procrastinate runs two jobs at a time in a worker process of its own, and it does less: its job is a
function in that process, without a process, a limit or a log of its own.

The floor of accepting is one INSERT of the same event, committed. Nobody else's work is in it.
"""

import contextlib
import math
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
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
    rival_module,
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # its PostgreSQL

WORKERS, CALLERS = 2, 8
EVENT = b"x" * 1024  # which JSON can carry
ACCEPT, END_TO_END = "accept", "end to end"
SHALLOW, DEEP = "depth 100", "depth 100,000"
DEPTHS = {SHALLOW: 100, DEEP: 100_000}
POSTGRESQL = "fc-runtime, PostgreSQL"
FLOOR, POSTGRESQL_FLOOR = "one INSERT, SQLite", "one INSERT, PostgreSQL"
RIVAL = "procrastinate"
LOOK_S = 0.01
BATCH = 1000
UNDER_WAY = 50  # so many have run


@contextlib.contextmanager
def sqlite_url():
    # Not in /tmp, which may be memory: what is measured is a disk's.
    with tempfile.TemporaryDirectory(prefix="fc-bench-", dir="/var/tmp") as folder:
        yield f"sqlite:///{folder}/tasks.db"


@contextlib.contextmanager
def postgresql_url():
    from support import postgres

    missing = postgres.why_not()
    if missing:
        raise UnavailableError(missing)
    with postgres.cluster() as url:
        yield url.format("postgres")


# -- ours --------------------------------------------------------------------------------------


class Ours:
    """Tasks of the function ``echo``, in the store at *url*."""

    def __init__(self, url, depth=0):
        from fc_runtime import Runtime
        from fc_runtime.tasks import Store, Submission

        self._submission = Submission(function="echo", event=EVENT)
        if depth:
            with Store(url) as store:  # no engine yet: nobody takes them
                wait([store.accept_soon(self._submission) for _ in range(depth)])
        self._runtime = Runtime(store=url)
        self._store = self._runtime._tasks().store  # noqa: SLF001 (the store of its engine)
        self._runtime.register(
            "echo", code=HANDLERS / "echo", handler="index.handler", max_instances=WORKERS
        )
        self._runtime.warm("echo", WORKERS)

    def accept(self):
        self._runtime.invoke_async("echo", EVENT)

    def accept_many(self, count):
        for _ in range(count):
            self._store.accept_soon(self._submission)

    def done(self):
        ended = self._runtime.stats()["tasks"]["ended"]
        if set(ended) - {"Succeeded"}:
            raise ValueError(f"not all went well: {ended}")
        return ended.get("Succeeded", 0)

    def close(self):
        self._runtime.close(drain=0.0)


# -- procrastinate -----------------------------------------------------------------------------

WORKER = """
import procrastinate, sys
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1]))
app.task(lambda event: event, name="echo")
app.run_worker(concurrency=int(sys.argv[2]))
"""


class Procrastinate:
    def __init__(self, url, depth=0):
        import psycopg

        procrastinate = rival_module("procrastinate")
        conninfo = url.replace("postgresql+psycopg", "postgresql")
        connector = procrastinate.SyncPsycopgConnector(conninfo=conninfo, max_size=CALLERS)
        self._app = procrastinate.App(connector=connector)
        self._task = self._app.task(lambda event: event, name="echo")
        self._event = EVENT.decode()
        self._app.open()
        self._app.schema_manager.apply_schema()
        for begin in range(0, depth, BATCH):
            self.accept_many(min(BATCH, depth - begin))
        self._counting = psycopg.connect(conninfo, autocommit=True)
        command = [sys.executable, "-c", WORKER, conninfo, str(WORKERS)]
        self._worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def accept(self):
        self._task.defer(event=self._event)

    def accept_many(self, count):
        self._task.batch_defer(*[{"event": self._event}] * count)

    def done(self):
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        return self._counting.execute(query).fetchone()[0]

    def close(self):
        self._worker.terminate()
        self._worker.wait()
        self._counting.close()
        self._app.close()


# -- the floor ---------------------------------------------------------------------------------


def sqlite_insert(url):
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, event BLOB NOT NULL)")
    return lambda: connection.execute("INSERT INTO tasks (event) VALUES (?)", (EVENT,))


def postgresql_insert(url):
    import psycopg

    conninfo = url.replace("postgresql+psycopg", "postgresql")
    connection = psycopg.connect(conninfo, autocommit=True)
    connection.execute("CREATE TABLE tasks (id bigserial PRIMARY KEY, event bytea NOT NULL)")
    return lambda: connection.execute("INSERT INTO tasks (event) VALUES (%s)", (EVENT,))


# -- measuring ---------------------------------------------------------------------------------


def timed(accept, count):
    durations = []
    for _ in range(count):
        start = time.perf_counter_ns()
        accept()
        durations.append(time.perf_counter_ns() - start)
    return durations[count // 10 :]  # not the first: connections are made


def until_done(queue, count):
    while (done := queue.done()) < count:
        time.sleep(LOOK_S)
    return done


def rate_from_end_to_end(queue, count):
    before = queue.done()
    start = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as threads:
        for _ in threads.map(lambda _: queue.accept(), range(count)):
            pass
    until_done(queue, before + count)
    return count / (time.perf_counter() - start)


def rate_at_depth(queue, seconds):
    """While whatever has run is replaced, as many at a time as have run since the last look."""
    replaced = 0
    before, start = 0, math.inf
    while (now := time.perf_counter()) < start + seconds:
        done = queue.done()
        if done > replaced:
            queue.accept_many(done - replaced)
            replaced = done
        if start == math.inf and done >= UNDER_WAY:
            before, start = done, now
        time.sleep(LOOK_S)
    return (queue.done() - before) / (time.perf_counter() - start)


@contextlib.contextmanager
def opened(make_url, make_queue, depth=0):
    with make_url() as url, contextlib.closing(make_queue(url, depth)) as queue:
        yield queue


def measure_queue(make_url, make_queue, quick):
    samples = {}
    with opened(make_url, make_queue) as queue:
        samples[ACCEPT] = timed(queue.accept, 150 if quick else 600)
        until_done(queue, len(samples[ACCEPT]))
        samples[END_TO_END] = [rate_from_end_to_end(queue, 500 if quick else 3000)]
    for point in [SHALLOW] if quick else DEPTHS:
        with opened(make_url, make_queue, DEPTHS[point]) as queue:
            samples[point] = [rate_at_depth(queue, 1.5 if quick else 5.0)]
    return samples


QUEUES = {
    SUBJECT: (sqlite_url, Ours),
    POSTGRESQL: (postgresql_url, Ours),
    RIVAL: (postgresql_url, Procrastinate),
}
FLOORS = {FLOOR: (sqlite_url, sqlite_insert), POSTGRESQL_FLOOR: (postgresql_url, postgresql_insert)}
ROLES = {SUBJECT: Role.SUBJECT, POSTGRESQL: Role.SUBJECT, RIVAL: Role.RIVAL, FLOOR: Role.FLOOR}


def measure(wanted):
    if wanted.competitor in QUEUES:
        return measure_queue(*QUEUES[wanted.competitor], wanted.quick)
    make_url, make_insert = FLOORS[wanted.competitor]
    with make_url() as url:
        return {ACCEPT: timed(make_insert(url), 150 if wanted.quick else 600)}


CASE = Case(
    name="tasks",
    title="Asynchronous invocations, 1 KiB, on two workers",
    file=Path(__file__),
    unit="per_s",
    units={ACCEPT: "ns"},
    points=[ACCEPT, END_TO_END, *DEPTHS],
    competitors=[
        Competitor(name=name, role=ROLES.get(name, Role.REFERENCE)) for name in (*QUEUES, *FLOORS)
    ],
    placements=[Placement.SCHEDULER],
    rounds=1,  # the deep queues take a minute each to be filled
    quick_rounds=1,
    limit_s=120.0,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
