"""
Signals that are meant for the host: a thousand a second, with handlers in Python, and those that
stop it. No call is disturbed, none is lost, and the count is right.

The host is a program of its own, and who bombards it is another.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from support.processes import pid_of
from support.stage import Gate, Program, stop, until, wait_gone

LIMIT_S = 0.2
STORM = """
import os, signal, sys, time
pid, *numbers = map(int, sys.argv[1:])
due = iter(numbers * 1_000_000)


def send(*_):
    try:
        os.kill(pid, next(due))
    except ProcessLookupError:
        os._exit(0)


signal.signal(signal.SIGALRM, send)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
print("up", flush=True)
while True:
    signal.pause()
"""
HOST = """
import asyncio, collections, json, os, signal, sys, threading
from fc_runtime import AsyncRuntime, Runtime

way, count = sys.argv[1], int(sys.argv[2])
heard = collections.Counter()


def hear(number, frame):
    heard[number] += 1
    [object() for _ in range(100)]  # a handler that takes its time


for name in ("SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGWINCH", "SIGCONT"):
    signal.signal(getattr(signal, name), hear)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
OPTIONS = {"code": HANDLERS + "/gate", "handler": "index.echo", "timeout": 30.0, "max_instances": 3,
           "max_invocations": 100, "environment": {"LD_TEST_MARK": MARK}}
# Now and then one that no pipe holds.
EVENTS = [b"%d " % number * (200_000 if number % 50 == 7 else 1) for number in range(count)]
print("up", flush=True)
while not heard[signal.SIGUSR1]:
    signal.pause()


def sync():
    with Runtime(isolation=ISOLATION) as runtime:
        runtime.register("echo", **OPTIONS)
        return [runtime.invoke("echo", event).payload for event in EVENTS], runtime.stats()


def submit():
    with Runtime(isolation=ISOLATION) as runtime:
        runtime.register("echo", **OPTIONS)
        futures = [runtime.submit("echo", event) for event in EVENTS]
        return [future.result(60).payload for future in futures], runtime.stats()


async def on_a_loop():
    asyncio.get_running_loop().slow_callback_duration = 60.0  # a loaded machine is no fault
    async with AsyncRuntime(isolation=ISOLATION) as runtime:
        await runtime.register("echo", **OPTIONS)
        results = []
        for at in range(0, count, 10):
            results += await asyncio.gather(
                *(runtime.invoke("echo", event) for event in EVENTS[at : at + 10])
            )
        return [result.payload for result in results], runtime.stats()


WAYS = {"sync": sync, "submit": submit, "async": lambda: asyncio.run(on_a_loop())}
before = len(os.listdir("/proc/self/fd"))
answers, stats = WAYS[way]()
signal.setitimer(signal.ITIMER_REAL, 0)
for number in list(heard):
    signal.signal(number, signal.SIG_IGN)  # an interpreter that ends takes its handlers away
print(json.dumps({
    "right": answers == EVENTS,
    "heard": {signal.Signals(number).name: times for number, times in heard.items()},
    "leaked": len(os.listdir("/proc/self/fd")) - before,
    **stats["functions"]["echo"],
}))
"""


@pytest.fixture
def storm() -> Iterator[Callable[..., None]]:
    """Sends these signals to that process, in turn, every millisecond, until the test is over."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(pid: int, *numbers: signal.Signals) -> None:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", STORM, str(pid), *(str(int(number)) for number in numbers)],
                stdout=subprocess.PIPE,
            )
        )
        assert started[-1].stdout
        assert b"up\n" == started[-1].stdout.readline()

    yield begin
    for one in started:
        one.kill()
        one.communicate()


@pytest.mark.parametrize("way", ["sync", "async", "submit"])
def test_a_storm(host: Callable[..., Program], storm: Callable[..., None], way: str) -> None:
    """
    500 calls, small and large, cold starts among them: all are answered, rightly and without an
    EINTR; every signal handler of the host has been heard meanwhile.
    """
    count = 500
    program = host(HOST, way, str(count))
    assert "up" == program.line()
    storm(program.pid, signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2, signal.SIGWINCH)
    code, out, err = program.finish(60)

    assert (0, "") == (code, err)
    told = json.loads(out)
    assert told["right"]
    assert {"SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGWINCH"} == set(told["heard"])
    assert sum(told["heard"].values()) > 100
    assert {"returned": count} == told["outcomes"]
    assert count == told["invocations"]
    assert (0, 0, 0) == (told["serving"], told["waiting"], told["refused"])
    assert 0 == told["leaked"]
    assert [] == program.survivors()


STOPPED = """
import json, os, sys
from fc_runtime import Runtime

event, timeout_s = sys.argv[1], float(sys.argv[2])
options = {"code": HANDLERS + "/gate", "timeout": 30.0, "environment": {"LD_TEST_MARK": MARK}}
with Runtime(isolation=ISOLATION) as runtime:
    runtime.register("gated", **options)
    print(runtime.invoke("gated", "{}").json()["who"], flush=True)
    result = runtime.invoke("gated", event, timeout=timeout_s, check=False)
    after = runtime.invoke("gated", "{}", check=False)
    stats = runtime.stats()["functions"]["gated"]
print(json.dumps([type(result.outcome).__name__, after.ok, stats["serving"]]))
"""


@pytest.mark.parametrize("answered", [True, False], ids=["answered meanwhile", "not answered"])
def test_stopped_beyond_the_deadline(
    host: Callable[..., Program], gate: Gate, answered: bool
) -> None:
    """
    SIGSTOP of the host in the middle of a call, SIGCONT when its deadline has passed: an answer
    that came meanwhile counts, or is too late; without one it has timed out. The next is served.
    """
    program = host(STOPPED, gate.event(), str(LIMIT_S))
    worker = pid_of(program.line())
    assert worker == gate.entered()[1]
    stop(program.pid)
    if answered:
        gate.let()
    assert not wait_gone(worker, 2 * LIMIT_S)  # nobody is there to kill it
    program.signal(signal.SIGCONT)
    code, out, err = program.finish()

    assert (0, "") == (code, err)
    outcome, after_ok, serving = json.loads(out)
    assert outcome in ({"Returned", "TimedOut"} if answered else {"TimedOut"})
    assert (True, 0) == (after_ok, serving)
    assert [] == program.survivors()


def test_stopped_within_the_deadline(host: Callable[..., Program], gate: Gate) -> None:
    """Stopped and woken while a call runs, over and over: it is answered as ever."""
    program = host(STOPPED, gate.event(), "20")
    worker = pid_of(program.line())
    assert worker == gate.entered()[1]
    for _ in range(50):
        stop(program.pid)
        program.signal(signal.SIGCONT)
        until(lambda: psutil.Process(program.pid).status() != psutil.STATUS_STOPPED)
    gate.let()
    code, out, err = program.finish()

    assert (0, "") == (code, err)
    assert ["Returned", True, 0] == json.loads(out)
    assert [] == program.survivors()
