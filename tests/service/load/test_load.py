"""
Sixty-four connections, and one request in ten misbehaves: every good reply is right and its own,
every bad one has its own error, and afterwards the daemon stands on what it stood on before.

2,000 requests; ``make load`` sends LOAD_REQUESTS (10,000) and prints what it measured. The API has
timeouts of whole seconds: two, so that on a busy machine nobody is late who does not mean to be.
"""

import asyncio
import base64
import itertools
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from fc_runtime.pool.policy import STANDBY
from support.daemon import forget_connections, zipped
from support.load import Connection, connections
from support.official import Fc3, Key
from support.processes import workers
from support.serving import LONG_S, Served
from support.stage import until

REQUESTS = int(os.environ.get("LOAD_REQUESTS", "2000"))
CONNECTIONS = 64
INSTANCES = 8
KEY = Key("load-key", "load-secret")
PATH = "/2023-03-30/functions/f/invocations"
KINDS = ("raise", "exit", "late", "print", "large", "leave", "leave half")
MIB = 2**20
CODE = """
import json, os, time

def handler(event, context):
    asked = json.loads(event)
    what, number = asked["do"], asked["number"]
    if what == "raise":
        raise ValueError(f"raised {number}")
    if what == "exit":
        os._exit(number % 100 + 1)
    if what in ("late", "leave"):
        time.sleep(60)
    if what == "print":
        for line in range(2_000):
            print(f"line {line} of {number}: " + "." * 80)
    if what == "large":
        return str(number).rjust(16) * (2**20 // 16)
    return asked
"""


@dataclass(frozen=True)
class Footing:
    """What the daemon and all below it stand on."""

    processes: int
    descriptors: int
    zombies: int

    @classmethod
    def of(cls, daemon: psutil.Process) -> "Footing":
        tree = [daemon, *daemon.children(recursive=True)]
        return cls(
            len(tree),
            sum(one.num_fds() for one in tree),
            sum(one.status() == psutil.STATUS_ZOMBIE for one in tree),
        )


class Load:
    """What was sent, and what came back."""

    def __init__(self, first: int, count: int, dice: random.Random) -> None:
        self.wrong: list[str] = []
        self.sent: Counter[str] = Counter()
        self.well_s: list[float] = []
        self.request_ids: list[str] = []
        self.opened = 0
        self._numbers = iter(range(first, first + count))
        self._kinds = itertools.cycle(KINDS)
        self._dice = dice

    async def run(self, url: str) -> None:
        async with (
            connections(CONNECTIONS, url, PATH, KEY.id, KEY.secret) as made,
            asyncio.TaskGroup() as group,
        ):
            for connection in made:
                group.create_task(self._send(connection))
        self.opened = sum(connection.opened for connection in made)

    async def _send(self, connection: Connection) -> None:
        for number in self._numbers:
            what = "echo" if number % 10 else next(self._kinds)
            self.sent[what] += 1
            do = what.partition(" ")[0]
            asked = {"do": do, "number": number, "pad": "x" * self._dice.randrange(2000)}
            if do == "leave":
                await connection.leave(json.dumps(asked).encode(), half=what != do)
                continue
            began = time.monotonic()
            try:
                reply = await connection.post(json.dumps(asked).encode())
            except (OSError, EOFError, TimeoutError) as error:
                self.wrong.append(f"{number} {what}: {error!r}")
                await connection.close()
                continue
            if what == "echo":
                self.well_s.append(time.monotonic() - began)
            self.request_ids.append(reply.headers.get("x-fc-request-id", ""))
            if reply.status != 200 or not right(what, asked, reply.headers, reply.body):
                self.wrong.append(f"{number} {what}: {reply.status} {reply.body[:200]!r}")


def right(what: str, asked: dict[str, object], headers: dict[str, str], body: bytes) -> bool:
    """Is it the answer to what was asked, and its own log beside it?"""
    number = asked["number"]
    log = base64.b64decode(headers["x-fc-log-result"]).decode(errors="replace")
    if headers["x-fc-request-id"] not in log:
        return False
    if what == "large":
        return body == f"{number:>16}".encode() * (MIB // 16)
    told = json.loads(body)
    if what in ("echo", "print"):
        said = what == "echo" or f"line 1999 of {number}: " in log
        return told == asked and said and "x-fc-error-type" not in headers
    expected = {
        "raise": f"raised {number}",
        "exit": "Process exited unexpectedly before completing request",
        "late": "Function timed out after 2 seconds",
    }[what]
    failed = headers.get("x-fc-error-type") == "UnhandledInvocationError"
    return failed and told["errorMessage"].startswith(expected)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    options = ["--max-instances", INSTANCES, "--no-function-log"]
    keys = f"{KEY.id}:{KEY.secret}"
    with Served(tmp_path, *options, FC_RUNTIME_ACCESS_KEYS=keys) as served:
        yield served
        forget_connections()


@contextmanager
def deployed(client: Fc3) -> Iterator[None]:
    """The function, with all the instances that it may have, warm; gone at the end."""
    client.create("f", zipped(index=CODE), timeout=2)
    client.provision("f", INSTANCES)
    until(lambda: client.provisioned("f")[1] == INSTANCES, LONG_S, what="all are up")
    yield
    client.delete("f")


def settled(daemon: psutil.Process, expected: Footing | None = None) -> Footing:
    """Once all below the daemon has ended, and it stands on what is *expected*; or for some time."""
    seen: list[Footing] = []

    def is_settled() -> bool:
        with suppress(psutil.NoSuchProcess):  # one has ended while we looked
            seen.append(Footing.of(daemon))
            return seen[-1].processes == 1 and expected in (None, seen[-1])
        return False

    with suppress(AssertionError):  # whoever asks compares
        until(is_settled)
    return seen[-1]


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_every_reply_is_right_and_its_own(served: Served) -> None:
    """
    There are never more instances than there may be, and a standby; memory does not grow; and
    when the function has gone, no process and no descriptor is left over.
    """
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    daemon = psutil.Process(served.process.pid)
    client = Fc3(served.url, KEY)
    warm_up, load = Load(0, REQUESTS // 4, dice), Load(REQUESTS, REQUESTS, dice)
    with deployed(client):  # the same in small: buffers have their sizes then
        asyncio.run(warm_up.run(served.url))
    before = settled(daemon)
    rss_before = daemon.memory_info().rss

    with deployed(client):
        began, cpu = time.monotonic(), sum(daemon.cpu_times()[:2])
        asyncio.run(load.run(served.url))
        took_s = time.monotonic() - began
        cpu_s = sum(daemon.cpu_times()[:2]) - cpu
        until(lambda: instances(daemon) <= INSTANCES + STANDBY, what="no instance is left over")
        rss_loaded = daemon.memory_info().rss
    after = settled(daemon, before)
    rss_after = daemon.memory_info().rss

    well_ms = statistics.quantiles([1000 * s for s in load.well_s], n=100)
    print(
        f"\n  seed {seed}: {load.sent.total()} requests over {CONNECTIONS} connections in "
        f"{took_s:.1f} s ({load.sent.total() / took_s:.0f}/s, of which every tenth misbehaves; "
        f"{cpu_s:.1f} s of CPU in the daemon)"
        f"\n  {dict(sorted(load.sent.items()))}"
        f"\n  who behaves: p50 {well_ms[49]:.1f} ms, p90 {well_ms[89]:.1f} ms, "
        f"p99 {well_ms[98]:.1f} ms; {len(load.wrong)} replies wrong; {load.opened} connections"
        f"\n  daemon: {rss_before / MIB:.1f} MiB, {rss_loaded / MIB:.1f} MiB after the load, "
        f"{rss_after / MIB:.1f} MiB at last"
        f"\n  {before}, then {after}"
    )
    assert [] == warm_up.wrong[:5]
    assert [] == load.wrong[:5]
    assert set(KINDS) | {"echo"} == load.sent.keys()
    assert load.sent.total() == REQUESTS
    assert len(set(load.request_ids)) == len(load.request_ids)
    assert before == after
    assert before.zombies == 0
    assert max(rss_loaded, rss_after) - rss_before < 16 * MIB
    # Who leaves opens another one; nobody else's is ever closed.
    assert load.opened <= CONNECTIONS + load.sent["leave"] + load.sent["leave half"]


def instances(daemon: psutil.Process) -> int:
    """Below the daemon are zygotes, and below those are they."""
    return sum(len(workers(zygote.pid)) for zygote in daemon.children())
