"""
Fault by phase: whatever goes wrong, wherever, the call is told as docs/outcomes.md has it, and the
next one is served by an instance that works.

`EXPECTED` is the matrix. A cell says what may become of the call in (or after) which the fault
strikes, and what of the one that meets what is left of that instance; in most cells nobody does.
"""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from fc_runtime import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    ResponseRejected,
    Result,
    Returned,
    TimedOut,
)
from fc_runtime.dispatch.channel import Channel
from support.callers import Caller
from support.stage import Gate, Recorder, until, wait_gone

MiB = 1024 * 1024
LIMIT_S = 0.5
MEMORY_MB = 96
MOST = 16 * MiB  # as the fixture has it
EVENT_BYTES = 8 * MiB  # no pipe holds so much
SERVING_AGAIN_S = 2.0
TOLD_WITHIN_S = 5.0

FAULTS = ("crash", "exit", "hang", "garbage", "oversized", "out of memory")
STARTING = ("import", "initializer")
IN_A_CALL = ("running", "encoding", "writing")
PHASES = (*STARTING, "idle", "reading", "running", "encoding", "writing", "after")

GOOD = Returned()
SEGV = Crashed(signal=signal.SIGSEGV)
LEFT = Crashed(exit_code=3)
LATE = TimedOut(LIMIT_S)
BREACH = Crashed()  # and the reason says so
HOG = OutOfMemory(limit_bytes=MEMORY_MB * MiB)


def too_large(size: int) -> ResponseRejected:
    text = f"the result has {size} bytes, more than the limit of {MOST} bytes"
    return ResponseRejected("ResponseTooLarge", text)


class Cell(NamedTuple):
    struck: tuple[Outcome, ...]
    met: tuple[Outcome, ...] = ()


def cells(*row: Outcome | Cell) -> dict[str, Cell]:
    made = [one if isinstance(one, Cell) else Cell((one,)) for one in row]
    return dict(zip(FAULTS, made, strict=True))


def starting() -> dict[str, Cell]:
    return cells(*map(InitializationFailed, (SEGV, LEFT, LATE, BREACH, BREACH, HOG)))


QUIET = Cell((GOOD,))  # its process is known to be gone before anybody asks for it
NOISE = Cell((BREACH, GOOD), (BREACH,))  # read with the answer, or by the next call: never as one
EXPECTED: dict[str, dict[str, Cell]] = {
    "import": starting(),
    "initializer": starting(),
    "idle": cells(
        QUIET,
        QUIET,
        Cell((GOOD,), (LATE,)),
        Cell((GOOD,), (BREACH,)),
        Cell((GOOD,), (BREACH,)),
        Cell((GOOD,), (HOG,)),
    ),
    "reading": cells(SEGV, LEFT, LATE, BREACH, BREACH, HOG),
    "running": cells(SEGV, LEFT, LATE, BREACH, too_large(MOST + 1), HOG),
    "encoding": cells(SEGV, LEFT, LATE, BREACH, too_large(MOST + 10), HOG),
    # Noise may be in the middle of a body, which is the handler's to spoil, and shift its end.
    "writing": cells(SEGV, LEFT, LATE, NOISE, NOISE, HOG),
    "after": cells(
        Cell((GOOD,), (SEGV, GOOD)),
        Cell((GOOD,), (LEFT, GOOD)),
        Cell((GOOD,), (LATE,)),
        NOISE,
        NOISE,
        Cell((GOOD,), (HOG,)),
    ),
}
CELLS = [(phase, fault) for phase in PHASES for fault in FAULTS]


def test_the_matrix_is_complete() -> None:
    """Every fault has an outcome in every phase, and no other has."""
    assert list(PHASES) == list(EXPECTED)
    assert all(list(FAULTS) == list(row) for row in EXPECTED.values())


class Faulty:
    """The function ``faulty``, told where and how to strike."""

    def __init__(
        self, caller: Caller, log: Recorder, gate: Gate, patch: pytest.MonkeyPatch
    ) -> None:
        self.caller = caller
        self.log = log
        self.gate = gate
        self.patch = patch
        self.switch = gate.folder / "switch"
        self.number = 0

    def order(self, phase: str, **more: Any) -> str:
        self.number += 1
        return json.dumps(
            {"phase": phase, "gate": str(self.gate.folder), "number": self.number, **more}
        )

    def call(self, event: str | bytes, **options: Any) -> Result:
        return self.caller.invoke("faulty", event, check=False, **options)

    def serves_again(self, at_once: bool = True) -> None:
        """The next call has the right answer, soon; unless *at_once*, after a back-off."""
        before = time.monotonic()
        order = self.order("well")
        result = until(
            lambda: (found := self.call(order)).ok and found,
            0.0 if at_once else SERVING_AGAIN_S,
            what="it serves again",
        )
        assert self.number == result.json()["well"]
        assert time.monotonic() - before < SERVING_AGAIN_S

    def strike(self, phase: str, fault: str) -> Result:
        """The call in which, or after which, it strikes."""
        limit = {"timeout": LIMIT_S} if fault == "hang" else {}
        order = self.order(phase, fault=fault, most=MOST)
        match phase:
            case "reading":
                armed = self.call(order)
                assert armed.ok
                order = self.order(phase, fault=fault, armed=True)
                return self.call(order.encode().ljust(EVENT_BYTES), **limit)
            case "writing":
                with self.patch.context() as patch:
                    self.hold_back(patch, fault)
                    return self.call(order, **limit)
            case "idle":
                result = self.call(order)
                self.gate.let()
                self.wait_until_struck(fault, result.json()["pid"])
                return result
            case "after":
                return self.call(order)
        return self.call(order, **limit)

    def hold_back(self, patch: pytest.MonkeyPatch, fault: str) -> None:
        """With the first bytes of the result in hand, read no more until it has struck."""
        read = Channel.read
        begun: list[int] = []

        def read_with_a_pause(channel: Channel, wanted: int) -> bytes | None:
            data = read(channel, wanted)
            if data and len(data) > 4096 and not begun:
                begun.append(len(data))
                _, pid = self.gate.entered()
                if fault in ("crash", "exit"):
                    assert wait_gone(pid)
                elif fault in ("hang", "out of memory"):
                    until(lambda: is_stopped_or_gone(pid))
            return data

        patch.setattr(Channel, "read", read_with_a_pause)

    def wait_until_struck(self, fault: str, pid: int) -> None:
        if fault in ("crash", "exit"):
            self.log.wait_for("instance.exited", cause="died")
        elif fault == "hang":
            until(lambda: is_stopped_or_gone(pid))
        else:
            until(lambda: not self.gate.is_deserted() or is_stopped_or_gone(pid))

    def meet(self, fault: str) -> Result:
        """The call that is given the instance after that; it is there for long enough to see."""
        if fault == "out of memory":
            return self.call(self.order("waiting"))
        return self.call(self.order("well"), **({"timeout": LIMIT_S} if fault == "hang" else {}))


def is_stopped_or_gone(pid: int) -> bool:
    """Somebody may have killed it before it could stop itself: the kernel, for its memory."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def faulty(
    caller: Caller, log: Recorder, gate: Gate, handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Faulty]:
    """Registers it; ``faulty("import", "crash")`` strikes there while the file ``switch`` is."""

    def register(phase: str = "", fault: str = "") -> Faulty:
        made = Faulty(caller, log, gate, monkeypatch)
        made.switch.touch()
        caller.register(
            "faulty",
            code=handlers / "faulty",
            initializer="index.initialize",
            memory_mb=MEMORY_MB,
            timeout=30.0,
            initialization_timeout=LIMIT_S if fault == "hang" else 30.0,
            environment={"PHASE": phase, "FAULT": fault, "SWITCH": str(made.switch)},
        )
        return made

    return register


def check(result: Result, expected: tuple[Outcome, ...]) -> None:
    """It is one of those, and a breach is called one."""
    assert result.outcome in expected, result.outcome
    cause = result.outcome
    if isinstance(cause, InitializationFailed):
        cause = cause.cause
    if cause == BREACH:
        assert "broke the protocol" in cause.reason


@pytest.mark.parametrize(("phase", "fault"), [cell for cell in CELLS if cell[0] in STARTING])
def test_a_fault_at_the_start(faulty: Callable[..., Faulty], phase: str, fault: str) -> None:
    """The caller is told of the initialization; with its cause gone, the back-off passes."""
    function = faulty(phase, fault)
    result = function.call(function.order("well"))

    check(result, EXPECTED[phase][fault].struck)

    function.switch.unlink()
    function.serves_again(at_once=False)
    function.serves_again()


@pytest.mark.parametrize(("phase", "fault"), [cell for cell in CELLS if cell[0] not in STARTING])
def test_a_fault(faulty: Callable[..., Faulty], isolation: str, phase: str, fault: str) -> None:
    """
    One call is told of it, at most: the one that it strikes, or the one that meets what is left.
    The one after that has the right answer.
    """
    function = faulty()
    function.serves_again()
    strike_and_see(function, isolation, phase, fault)


@pytest.mark.parametrize(("phase", "fault"), [cell for cell in CELLS if cell[0] in IN_A_CALL])
def test_a_fault_in_a_cold_start(
    faulty: Callable[..., Faulty], isolation: str, phase: str, fault: str
) -> None:
    """The first call of an instance is told the same: initialization it was not."""
    strike_and_see(faulty(), isolation, phase, fault)


def strike_and_see(function: Faulty, isolation: str, phase: str, fault: str) -> None:
    cell = EXPECTED[phase][fault]
    before = time.monotonic()
    result = function.strike(phase, fault)

    check(result, cell.struck)
    if cell.met and result.ok:
        met = function.meet(fault)
        by_the_kernel = fault == "out of memory" and isolation != "portable"
        check(met, (*cell.met, GOOD) if by_the_kernel else cell.met)  # it does not wait for a call
        assert not met.ok or function.number == met.json()["well"]
    assert time.monotonic() - before < TOLD_WITHIN_S
    function.serves_again()
    function.serves_again()
