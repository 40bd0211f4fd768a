"""
What became of an invocation: a value, a tagged union. `Result.raise_for_outcome` turns it into
its exception for those who ask; the pool itself only ever passes it along.
"""

import json
import signal as signals
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

from fc_runtime import errors
from fc_runtime.http import HttpResponse


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned; its bytes are `Result.payload`."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler raised an exception."""

    error_type: str
    message: str
    traceback: str = field(default="", compare=False)  # text made in the worker, never a pickle


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The deadline passed; ``stack`` is where the handler hung, empty if it could not be told."""

    limit_s: float
    stack: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The process tree outgrew its memory. ``source`` says who measured it."""

    limit_bytes: int
    peak_bytes: int = field(default=0, compare=False)
    source: str = field(default="", compare=False)
    process: str = field(default="", compare=False)  # the largest one, "name[pid]"


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process ended, or broke the protocol, before it answered."""

    exit_code: int | None = None  # of the process, None if a signal or we ended it
    signal: int | None = None
    reason: str = field(default="", compare=False)

    def describe(self) -> str:
        if self.signal is not None:
            try:
                name = signals.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            ended = f"killed by {name}"
        elif self.exit_code is not None:
            ended = f"exited with code {self.exit_code}"
        else:
            ended = "ended"
        return f"{ended} ({self.reason})" if self.reason else ended


@dataclass(frozen=True, slots=True)
class ResponseRejected:
    """The handler returned something too large, or something that cannot be encoded."""

    error_type: str
    message: str
    traceback: str = field(default="", compare=False)


InitializationCause: TypeAlias = Raised | TimedOut | OutOfMemory | Crashed


@dataclass(frozen=True, slots=True)
class InitializationFailed:
    """Import or initializer did not come to a good end; the handler never saw the event."""

    cause: InitializationCause


Outcome: TypeAlias = (
    Returned | Raised | InitializationFailed | TimedOut | OutOfMemory | Crashed | ResponseRejected
)


@dataclass(slots=True)  # as Result: made on every warm call, and freezing costs half a µs each
class Usage:
    """
    What the invocation used; zero where it could not be told (a crashed process, say). An
    invocation of less than 100 µs is told its own duration as user time.
    """

    user_s: float = 0.0  # cpu time of the worker and of the children it waited for
    system_s: float = 0.0
    peak_memory_bytes: int = 0  # largest seen of the process tree so far, RSS or PSS
    child_processes: int = 0  # started by the worker itself
    leftover_processes: int = 0  # outlived the handler, and were killed for it


@dataclass(slots=True)
class Result:
    """
    One invocation, whatever became of it.

    ``payload`` is what the handler returned, by FC's rules (spec 1.3 to 1.6); on failure it is
    the error body that FC would answer (spec 5.A, 5.B). ``log`` is what handler, loggers and
    child processes wrote, in order; its first ``init_log_bytes`` are of import and initializer.
    ``init_duration_ms`` is None unless this was a cold start. ``instance_id`` is what the handler
    sees as ``FC_INSTANCE_ID``.
    """

    payload: bytes
    outcome: Outcome
    log: bytes
    request_id: str
    function: str
    duration_ms: float
    init_duration_ms: float | None
    cold_start: bool
    usage: Usage
    instance_id: str = ""
    init_log_bytes: int = 0
    http: HttpResponse | None = None  # what was answered to an `HttpRequest`; payload is its body

    @property
    def ok(self) -> bool:
        return type(self.outcome) is Returned

    @property
    def text(self) -> str:
        """The payload as UTF-8; what is not UTF-8 is escaped, never an error."""
        return self.payload.decode("utf-8", "backslashreplace")

    def json(self) -> Any:
        """The payload parsed as JSON. Raises ValueError if it is none."""
        return json.loads(self.payload)

    def raise_for_outcome(self) -> Self:
        """Itself, if the handler returned; else the InvocationError that says why not."""
        if self.outcome is RETURNED:
            return self
        error = error_for(self)
        if error is None:
            return self
        try:
            raise error
        finally:
            del error  # a cycle, for the collector, of the error and its traceback


RETURNED: Final = Returned()


def describe(outcome: Outcome) -> str:
    """One line for people."""
    match outcome:
        case Returned():
            return "returned"
        case Raised(error_type, message) | ResponseRejected(error_type, message):
            return f"{error_type}: {message}" if message else error_type
        case TimedOut(limit_s):
            return f"no result within {limit_s:g} s"
        case OutOfMemory(limit, peak, source, process):
            who = f", largest process {process}" if process else ""
            return f"{peak / 2**20:.1f} MiB in use, limit {limit / 2**20:.0f} MiB ({source}{who})"
        case Crashed():
            return outcome.describe()
        case InitializationFailed(cause):  # pragma: no branch (mypy: there is no other)
            return f"initialization failed: {describe(cause)}"


def error_for(result: Result) -> errors.InvocationError | None:
    """The exception for a result's outcome; None if the handler returned."""
    outcome = result.outcome
    text = f"{result.function}: {describe(outcome)}"
    match outcome:
        case Returned():
            return None
        case Raised(traceback=traceback):
            note = f"\n\n{traceback}" if traceback else ""
            return errors.HandlerError(text + note, result)
        case InitializationFailed(cause):
            note = f"\n\n{cause.traceback}" if isinstance(cause, Raised) and cause.traceback else ""
            return errors.InitializationError(text + note, result)
        case TimedOut(stack=stack):
            note = f"; it hung here:\n{stack}" if stack else ""
            return errors.TimedOutError(text + note, result)
        case OutOfMemory():
            return errors.OutOfMemoryError(text, result)
        case Crashed():
            return errors.CrashedError(text, result)
        case ResponseRejected():  # pragma: no branch
            return errors.ResponseError(text, result)


def name_of(outcome: Outcome) -> str:
    """A stable word for scripts and metrics: ``returned``, ``timed_out``, …"""
    return _NAMES[type(outcome)]


def name_of_kind(kind: type) -> str:
    """As `name_of`, for a class of outcome."""
    return _NAMES[kind]


_NAMES: Final[dict[type, str]] = {
    Returned: "returned",
    Raised: "raised",
    InitializationFailed: "initialization_failed",
    TimedOut: "timed_out",
    OutOfMemory: "out_of_memory",
    Crashed: "crashed",
    ResponseRejected: "response_rejected",
}
