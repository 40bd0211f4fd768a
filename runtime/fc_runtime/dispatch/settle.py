"""
From an ending to a `Result`: which outcome it was, and which body FC would answer with.

Pure: everything that had to be asked of the kernel comes in as an argument.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from fc_worker import messages as m

from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.watch import LOG_BYTES, Ending
from fc_runtime.outcome import (
    RETURNED,
    Crashed,
    InitializationCause,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    TimedOut,
    Usage,
)

MiB: Final = 1024 * 1024
_RUNTIME_FRAME: Final = re.compile(r'^  File ".*/fc_worker/\w+\.py", line ')
_BOOT_FRAME: Final = re.compile(r'^  File "<')  # the program in ``-c``, or what ran a module
_THREAD_TITLE: Final = re.compile(r"^(Current thread|Thread) (0x[0-9a-f]+).*$")


def usage_of(headers: Mapping[str, Any], peak_bytes: int) -> Usage:
    """What the worker says it used; the peak is the larger of its own and what we saw."""
    return Usage(
        user_s=headers.get(m.USER_US, 0) / 1e6,
        system_s=headers.get(m.SYSTEM_US, 0) / 1e6,
        peak_memory_bytes=max(peak_bytes, headers.get(m.PEAK_RSS, 0)),
        child_processes=headers.get(m.CHILDREN, 0),
        leftover_processes=headers.get(m.LEFT_BEHIND, 0),
    )


def answered(call: Call) -> tuple[Outcome, bytes]:
    """Outcome and payload of a call that ended in a whole answer (not "declined")."""
    reply = call.exchange.reply
    frame = reply or call.exchange.ready
    if frame is None:
        raise AssertionError("answered without a frame")
    headers = frame.headers
    status = headers[m.STATUS]
    if status == m.STATUS_RETURNED:
        return RETURNED, frame.body
    error_type = headers.get(m.ERROR_TYPE, "")
    message = headers.get(m.ERROR_MESSAGE, "")
    traceback = headers.get(m.TRACEBACK, "")
    if reply is None:
        return InitializationFailed(Raised(error_type, message, traceback)), frame.body
    if status == m.STATUS_REJECTED:
        return ResponseRejected(error_type, message, traceback), frame.body
    return Raised(error_type, message, traceback), frame.body


def init_log_bytes(call: Call, size: int) -> int:
    """How much of a cold start's log, of *size* bytes, is of import and initializer."""
    ready = call.exchange.ready
    if ready is None or ready.headers[m.STATUS] != m.STATUS_RETURNED:
        return size  # it did not get further than that
    told: int = ready.headers.get(m.INIT_LOG, 0)
    if call.log_was_cut or size > 2 * LOG_BYTES:
        told = min(told, LOG_BYTES)  # what follows has been cut out
    return min(told, size)


def failed(
    call: Call,
    ending: Ending,
    *,
    initializing: bool,
    limit_s: float,
    limit_bytes: int,
    peak_bytes: int,
    exit_code: int | None,
    reason: str,
    stack: str,
    source: str,
    process: str = "",
) -> tuple[Outcome, bytes]:
    """
    Outcome and payload of a call that did not end in an answer.

    Args:
        limit_s: the timeout that was in force, of initialization or of the invocation.
        exit_code: of the process, as subprocess has it; None if unknown or ended by us.
        reason: what is known of a crash besides.
        process: whom the kernel has ended for want of memory; empty leaves it to the last look.
    """
    duration_ms = (call.ended_ns - (call.began_ns or call.started_ns)) / 1e6
    memory = f"maxMemoryUsage: {peak_bytes / MiB:.2f}MB"
    cause: InitializationCause
    match ending:
        case Ending.TIMED_OUT:
            cause = TimedOut(limit_s, stack)
            text = f"Function timed out after {limit_s:g} seconds ({memory})"
        case Ending.OUT_OF_MEMORY:
            reading = call.watch.reading if call.watch else None
            largest = reading.largest if reading else ""
            cause = OutOfMemory(limit_bytes, peak_bytes, source, process or largest)
            text = _exited(duration_ms, memory)
        case Ending.TOO_MANY_PROCESSES:
            cause = Crashed(reason="started more processes than max_processes allows")
            text = _exited(duration_ms, memory)
        case _:
            signal = -exit_code if exit_code is not None and exit_code < 0 else None
            code = exit_code if signal is None else None
            cause = Crashed(code, signal, reason)
            text = _exited(duration_ms, memory)
    body = platform_body(text)
    return (InitializationFailed(cause) if initializing else cause), body


def platform_body(text: str) -> bytes:
    """The body that FC's platform, not its Python runtime, answers with (spec 5.B)."""
    return json.dumps({"errorMessage": text}, separators=(",", ":")).encode()


def _exited(duration_ms: float, memory: str) -> str:
    return (
        "Process exited unexpectedly before completing request "
        f"(duration: {duration_ms:.0f}ms, {memory})"
    )


def readable_stack(dump: str) -> str:
    """
    faulthandler's dump without the runtime's own frames at the old end of a thread, which called
    the handler. Those that the handler called, to print for one, are part of where it hangs.
    """
    lines: list[str] = []
    thread: list[str] = []
    for line in dump.splitlines():
        if _THREAD_TITLE.match(line):
            lines += _without_callers(thread)
            thread = []
        thread.append(line)
    return "\n".join([*lines, *_without_callers(thread)]).strip()


def _without_callers(thread: list[str]) -> list[str]:
    end = len(thread)
    while end and (_BOOT_FRAME.match(thread[end - 1]) or not thread[end - 1]):
        end -= 1
    above = end
    while above and _RUNTIME_FRAME.match(thread[above - 1]):
        above -= 1
    return thread if above == end else thread[:above]
