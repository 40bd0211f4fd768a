"""The exit codes of ``fc-runtime``, and which outcome has which."""

from enum import IntEnum
from typing import Final

from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Returned,
    TimedOut,
)


class Exit(IntEnum):
    """A script may rely on these."""

    RETURNED = 0
    HANDLER = 1
    USAGE = 2
    INITIALIZATION = 3
    UNAVAILABLE = 69  # EX_UNAVAILABLE: the address is another's
    INTERNAL = 70  # EX_SOFTWARE
    FILE = 74  # EX_IOERR
    REFUSED = 75  # EX_TEMPFAIL
    TIMED_OUT = 124  # as timeout(1)
    CRASHED = 134  # as a shell tells of an abort
    OUT_OF_MEMORY = 137  # as a shell tells of a process that the kernel's OOM killer ended
    INTERRUPTED = 130  # as a shell tells of Ctrl-C
    BROKEN_PIPE = 141  # as a shell tells of SIGPIPE
    TERMINATED = 143  # as a shell tells of SIGTERM


MEANINGS: Final = {
    Exit.RETURNED: "the handler returned",
    Exit.HANDLER: "it raised, or what it returned cannot be sent",
    Exit.USAGE: "bad usage: an option, a file or the event is not as it must be",
    Exit.INITIALIZATION: "import or initializer failed, whatever the way",
    Exit.INTERNAL: "a bug in fc-runtime",
    Exit.FILE: "a file could not be read, or standard output not be written",
    Exit.REFUSED: "no process could be started; try again later",
    Exit.TIMED_OUT: "timed out",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.CRASHED: "the process ended before the handler did",
    Exit.OUT_OF_MEMORY: "out of memory",
    Exit.BROKEN_PIPE: "nobody reads standard output any more",
    Exit.TERMINATED: "SIGTERM",
}


def code_of(outcome: Outcome) -> Exit:
    match outcome:
        case Returned():
            return Exit.RETURNED
        case Raised() | ResponseRejected():
            return Exit.HANDLER
        case InitializationFailed():
            return Exit.INITIALIZATION
        case TimedOut():
            return Exit.TIMED_OUT
        case OutOfMemory():
            return Exit.OUT_OF_MEMORY
        case Crashed():
            return Exit.CRASHED
