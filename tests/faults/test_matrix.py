"""
Fault by phase: whatever goes wrong, wherever, the call is told as docs/outcomes.md has it, and the
next one is served by an instance that works.

`EXPECTED` is the matrix. A cell says what may become of the call in (or after) which the fault
strikes, and what of the one that meets what is left of that instance; in most cells nobody does.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
from support.callers import Caller
from support.faulty import MEMORY_MB, Faulty, is_stopped_or_gone
from support.stage import Gate, Recorder, until

MiB = 1024 * 1024
IN_EVERY_TIER = True
LIMIT_S = 0.5
MOST = 16 * MiB  # as the fixture has it
EVENT_BYTES = 8 * MiB  # eight pieces
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
# Read with the answer, or by the next call, which goes to another if this one has not begun it.
NOISE = Cell((BREACH, GOOD), (BREACH, GOOD))
EXPECTED: dict[str, dict[str, Cell]] = {
    "import": starting(),
    "initializer": starting(),
    "idle": cells(
        QUIET,
        QUIET,
        Cell((GOOD,), (LATE,)),
        QUIET,  # a lease looks at the pipe of one whose threads go on
        QUIET,
        Cell((GOOD,), (HOG,)),
    ),
    "reading": cells(SEGV, LEFT, LATE, BREACH, BREACH, HOG),
    "running": cells(SEGV, LEFT, LATE, BREACH, too_large(MOST + 1), HOG),
    "encoding": cells(SEGV, LEFT, LATE, BREACH, too_large(MOST + 10), HOG),
    "writing": cells(SEGV, LEFT, LATE, BREACH, BREACH, HOG),
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


class Striking(Faulty):
    """Knows for each phase how to have it strike there, at a moment that is exact."""

    def __init__(self, *arguments: Any, log: Recorder, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.log = log

    def strike(self, phase: str, fault: str) -> Result:
        """The call in which, or after which, it strikes."""
        limit = {"timeout": LIMIT_S} if fault == "hang" else {}
        order = self.order(phase, fault=fault, most=MOST)
        match phase:
            case "reading":
                armed = self.call(order)
                assert self.answers(armed)
                order = self.order(phase, armed=True)
                return self.call(order.encode().ljust(EVENT_BYTES), **limit)
            case "idle":
                result = self.call(order)
                self.gate.let()
                self.wait_until_struck(fault, result.json()["pid"])
                return result
            case "after":
                return self.call(order)
        return self.call(order, **limit)

    def wait_until_struck(self, fault: str, worker: str) -> None:
        if fault in {"crash", "exit"}:
            self.log.wait_for("instance.exited", cause="died")
        else:
            until(lambda: not self.gate.is_deserted() or is_stopped_or_gone(worker))

    def meet(self, fault: str) -> Result:
        """The call that is given the instance after that; long enough for somebody to look."""
        if fault == "out of memory":
            return self.call(self.order("looked at"))
        return self.call(self.order(), **({"timeout": LIMIT_S} if fault == "hang" else {}))


@pytest.fixture
def striking(caller: Caller, log: Recorder, gate: Gate, handlers: Path) -> Callable[..., Striking]:
    """Registers it; ``striking("import", "crash")`` strikes there while its `switch` is."""

    def register(phase: str = "", fault: str = "") -> Striking:
        return Striking(
            caller,
            gate,
            phase,
            fault,
            code=handlers / "faulty",
            initialization_timeout=LIMIT_S if fault == "hang" else 30.0,
            log=log,
        )

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
def test_a_fault_at_the_start(striking: Callable[..., Striking], phase: str, fault: str) -> None:
    """The caller is told of the initialization; with its cause gone, the back-off passes."""
    function = striking(phase, fault)
    result = function.call(function.order())

    check(result, EXPECTED[phase][fault].struck)

    function.switch.unlink()
    function.serves_again(at_once=False)
    function.serves_again()


@pytest.mark.parametrize(("phase", "fault"), [cell for cell in CELLS if cell[0] not in STARTING])
def test_a_fault(striking: Callable[..., Striking], isolation: str, phase: str, fault: str) -> None:
    """
    One call is told of it, at most: the one that it strikes, or the one that meets what is left.
    The one after that has the right answer.
    """
    function = striking()
    function.serves_again()
    strike_and_see(function, isolation, phase, fault)


@pytest.mark.parametrize(("phase", "fault"), [cell for cell in CELLS if cell[0] in IN_A_CALL])
def test_a_fault_in_a_cold_start(
    striking: Callable[..., Striking], isolation: str, phase: str, fault: str
) -> None:
    """The first call of an instance is told the same: initialization it was not."""
    strike_and_see(striking(), isolation, phase, fault)


def strike_and_see(function: Striking, isolation: str, phase: str, fault: str) -> None:
    cell = EXPECTED[phase][fault]
    before = time.monotonic()
    result = function.strike(phase, fault)

    check(result, cell.struck)
    if cell.met and result.ok:
        met = function.meet(fault)
        by_the_kernel = fault == "out of memory" and isolation != "portable"
        check(met, (*cell.met, GOOD) if by_the_kernel else cell.met)  # it does not wait for a call
        assert not met.ok or function.answers(met)
    assert time.monotonic() - before < TOLD_WITHIN_S
    function.serves_again()
    function.serves_again()
