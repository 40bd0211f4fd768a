"""
kill -9 from outside, of a worker, of a zygote, of the host, in the middle of each phase.

`Halting` brings a worker to a phase and keeps it there; then somebody is killed. What is expected
of the call under way is data, `WORKER_KILLED`; a killed zygote is nobody's business but the next
start's; of a killed host nothing is left a second later.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import Crashed, InitializationFailed, Outcome, Result, Returned
from support.callers import Caller
from support.faulty import Faulty, options_of
from support.processes import pid_of, workers
from support.stage import WITHIN_S, Gate, Program, Recorder, stop, until, wait_gone

MiB = 1024 * 1024
IN_EVERY_TIER = True
EVENT_BYTES = 8 * MiB  # eight pieces
RESULT_BYTES = 8 * MiB  # as the handler has it
GONE_WITHIN_S = 1.0

STARTING = ("import", "initializer")
IN_A_CALL = ("reading", "running", "encoding", "writing")
PHASES = (*STARTING, "idle", *IN_A_CALL, "after")

KILLED = Crashed(signal=signal.SIGKILL)
GOOD = Returned()
WORKER_KILLED: dict[str, Outcome] = {
    "import": InitializationFailed(KILLED),
    "initializer": InitializationFailed(KILLED),
    "idle": GOOD,
    "reading": KILLED,
    "running": KILLED,
    "encoding": KILLED,
    "writing": KILLED,
    "after": GOOD,
}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class Halting(Faulty):
    """Its worker `pid` is in the middle of *phase*, and stays there until `let`."""

    def __init__(self, caller: Caller, gate: Gate, phase: str, handlers: Path) -> None:
        super().__init__(caller, gate, phase, "wait", code=handlers / "faulty", max_instances=2)
        self.phase = phase
        self.future: Future[Result] = Future()
        self.pid = 0

    def reach(self) -> None:
        """Bring it there, in a call that `future` is of."""
        if self.phase not in STARTING:
            self.pid = pid_of(self.serves_again().json()["pid"])
        order: str | bytes = self.order(self.phase, fault="wait")
        match self.phase:
            case "idle":
                self.future.set_result(self.call(self.order()))
                return
            case "reading":
                assert self.answers(self.call(order))
                order = self.order("reading", armed=True).encode().ljust(EVENT_BYTES)
        self.future = self.caller.submit("faulty", order, check=False)
        _, self.pid = self.gate.entered()
        self.switch.unlink()  # who comes after it does not stay

    def let(self) -> None:
        """Let it go on."""
        if self.is_in_a_call:
            self.gate.let()

    @property
    def is_in_a_call(self) -> bool:
        return self.phase not in {"idle", "after"}

    def is_right(self, result: Result) -> bool:
        match self.phase:
            case "encoding":
                return ["struck"] == result.json()
            case "writing":
                return RESULT_BYTES == len(result.payload) == result.payload.count(b"x")
            case "after":
                return b"well" == result.payload
        return self.answers(result)


@pytest.fixture
def halting(caller: Caller, gate: Gate, handlers: Path, log: Recorder) -> Callable[[str], Halting]:
    """``halting(phase)``: it is there, and known to the supervisor."""

    def reached(phase: str) -> Halting:
        made = Halting(caller, gate, phase, handlers)
        made.reach()
        log.wait_for("instance.started")  # of one that nobody has told of, another is started
        return made

    return reached


# -- a worker ----------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_worker_killed(halting: Callable[[str], Halting], log: Recorder, phase: str) -> None:
    """Its caller, if there is one, is told the signal, at once; the next call is served."""
    function = halting(phase)
    kill(function.pid)
    result = function.future.result(WITHIN_S)

    assert WORKER_KILLED[phase] == result.outcome
    assert wait_gone(function.pid)
    log.wait_for("instance.exited", exit_code=-signal.SIGKILL)
    assert function.pid != pid_of(function.serves_again().json()["pid"])


@pytest.mark.parametrize("phase", ["idle", "after"])
def test_worker_killed_and_called_at_once(halting: Callable[[str], Halting], phase: str) -> None:
    """Nobody may have noticed yet: the next call is told, or is served, and the one after is."""
    function = halting(phase)
    assert function.future.result(WITHIN_S).ok
    kill(function.pid)
    result = function.call(function.order())

    assert function.answers(result) if result.ok else result.outcome == KILLED
    function.serves_again()


# -- a zygote ----------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_zygote_killed(halting: Callable[[str], Halting], log: Recorder, phase: str) -> None:
    """
    The call under way does not notice: it has the right answer. The next one is served meanwhile,
    by a child of a new zygote, and the orphan is retired once it is done.
    """
    function = halting(phase)
    zygote = log.wait_for("zygote.started")[0]["pid"]
    kill(zygote)
    log.wait_for("zygote.exited", pid=zygote)
    if not function.is_in_a_call:
        assert wait_gone(function.pid)  # retired: until then the next call might have got it
    number = function.number
    assert function.pid != pid_of(function.serves_again().json()["pid"])

    function.number = number
    function.let()
    result = function.future.result(WITHIN_S)
    assert GOOD == result.outcome
    assert function.is_right(result)
    assert wait_gone(function.pid, WITHIN_S)
    function.serves_again()


def test_zygote_killed_in_a_preload(
    caller: Caller, gate: Gate, handlers: Path, log: Recorder
) -> None:
    """Before it could fork: another is started for the same caller, who does not hear of it."""
    function = Faulty(caller, gate, "preload", code=handlers / "faulty")
    future = caller.submit("faulty", function.order(), check=False)
    _, zygote = gate.entered()
    function.switch.unlink()
    assert zygote == log.wait_for("zygote.started")[0]["pid"]
    kill(zygote)

    assert function.answers(future.result(WITHIN_S))
    assert 2 == len(log.of("zygote.started"))


@pytest.mark.parametrize("phase", PHASES)
def test_zygote_and_worker_killed(halting: Callable[[str], Halting], phase: str) -> None:
    """Nobody is left who knows of what it died. A call under way fails, soon; the next is served."""
    function = halting(phase)
    zygote = psutil.Process(function.pid).ppid()
    kill(zygote)
    kill(function.pid)
    outcome = function.future.result(WITHIN_S).outcome

    if isinstance(outcome, InitializationFailed):
        outcome = outcome.cause
    assert type(KILLED if function.is_in_a_call else GOOD) is type(outcome)
    assert wait_gone(function.pid)
    until(lambda: function.answers(function.call(function.order())), WITHIN_S)
    function.serves_again()


# -- the host ----------------------------------------------------------------------------------

HOST = """
import json, sys, threading
from fc_runtime import Runtime

options = json.loads(sys.argv[1])
events = json.loads(sys.argv[2])
options["environment"]["LD_TEST_MARK"] = MARK
runtime = Runtime(isolation=ISOLATION)
runtime.register("faulty", code=HANDLERS + "/faulty", **options)
for event in events[:-1]:
    runtime.invoke("faulty", event)
runtime.submit("faulty", events[-1].ljust(int(sys.argv[3])), check=False)
print("up", flush=True)
threading.Event().wait()
"""


def left_after_a_second(program: Program) -> list[int]:
    """Who is still there a second after the host was killed."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := program.survivors()) and time.monotonic() < deadline:
        for pid in left:
            wait_gone(pid, max(0.0, deadline - time.monotonic()))
    return left


def order(phase: str, **more: Any) -> str:
    return json.dumps({"phase": phase, "number": 1, **more})


@pytest.mark.parametrize("phase", ["preload", *PHASES])
def test_host_killed(host: Callable[..., Program], gate: Gate, phase: str) -> None:
    """A second later nothing is left of it, whatever its worker, or its zygote, was doing."""
    (gate.folder / "switch").touch()
    events = [order("well"), order(phase, fault="wait")]
    if phase == "reading":
        events.append(order(phase, armed=True))
    elif phase == "idle":
        events = [order("well"), order("well")]
    program = host(
        HOST,
        json.dumps(options_of(gate, phase, "wait")),
        json.dumps(events[-1:] if phase in {"preload", *STARTING} else events),
        str(EVENT_BYTES if phase == "reading" else 0),
    )
    assert "up" == program.line()
    if phase != "idle":
        gate.entered()
    until(lambda: len(program.survivors()) >= (1 if phase == "preload" else 2))
    program.signal(signal.SIGKILL)
    program.process.wait()

    assert [] == left_after_a_second(program)


BUSY_HOST = """
import json, sys, threading
from fc_runtime import Runtime

options = json.loads(sys.argv[1])
options["environment"]["LD_TEST_MARK"] = MARK
runtime = Runtime(isolation=ISOLATION)
runtime.register("faulty", code=HANDLERS + "/faulty", **options)
for _ in range(2):
    runtime.submit("faulty", sys.argv[2], check=False)
threading.Event().wait()
"""


def test_host_killed_before_it_heard_all(host: Callable[..., Program], gate: Gate) -> None:
    """
    Something that a zygote had said was still unread when the host died: to the zygote that is a
    connection reset, not an end of file. It ends everything all the same.
    """
    program = host(BUSY_HOST, json.dumps(options_of(gate)), order("running", fault="wait"))
    gate.entered()
    gate.entered()
    zygote = psutil.Process(program.pid).children()[0].pid
    first = workers(zygote)[0]
    stop(program.pid)
    kill(first)
    until(lambda: psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    until(lambda: psutil.Process(zygote).status() == psutil.STATUS_SLEEPING)  # it has said so
    program.signal(signal.SIGKILL)
    program.process.wait()

    assert [] == left_after_a_second(program)
