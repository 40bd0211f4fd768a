"""The log of one invocation as FC shows it, with Start and End lines around it (spec 6)."""

import base64
import json
import math
from typing import Final

from fc_runtime.outcome import InitializationFailed, Raised, ResponseRejected, Result, Returned

TAIL_BYTES: Final = 4096  # of it in a reply (spec 7.A, 12)
MiB: Final = 1024 * 1024
UNHANDLED: Final = "Unhandled function error"


def tail(result: Result, *, initializes: bool, memory_mb: int, init_log_bytes: int = 0) -> bytes:
    """``X-Fc-Log-Result``: base64 of the last 4096 bytes (6.7)."""
    whole = framed(
        result, initializes=initializes, memory_mb=memory_mb, init_log_bytes=init_log_bytes
    )
    return base64.b64encode(whole[-TAIL_BYTES:])


def framed(result: Result, *, initializes: bool, memory_mb: int, init_log_bytes: int = 0) -> bytes:
    """
    All of it (6.1, 6.8). The error of a handler is in it already: the worker logs it (6.2).

    Args:
        initializes: has the function an initializer, whose own lines a cold start shows?
        init_log_bytes: how much of the log's begin is the initialisation's.
    """
    request_id = result.request_id
    failed_start = type(result.outcome) is InitializationFailed
    error = _error_text(result)
    end = f", Error: {error}" if error else ""
    parts: list[bytes] = []
    log = result.log
    if result.cold_start and initializes:
        cut = len(log) if failed_start else init_log_bytes
        parts.append(_line(f"FC Initialize Start RequestId: {request_id}"))
        parts.append(_ended(log[:cut]))
        parts.append(
            _line(f"FC Initialize End RequestId: {request_id}{end if failed_start else ''}")
        )
        log = log[cut:]
    if not (failed_start and initializes):
        parts.append(_line(f"FC Invoke Start RequestId: {request_id}"))
        parts.append(_ended(log))
        parts.append(_line(f"FC Invoke End RequestId: {request_id}{end}"))
    used_mb = result.usage.peak_memory_bytes / MiB
    billed = math.ceil(result.duration_ms)
    parts.append(
        _line(
            f"\nDuration: {result.duration_ms:.2f} ms, Billed Duration: {billed} ms, "
            f"Memory Size: {memory_mb} MB, Max Memory Used: {used_mb:.2f} MB"
        )
    )
    return b"".join(parts)


def cancelled(request_id: str, duration_ms: float) -> str:
    """What is logged of a call whose client has left (6.6)."""
    return (
        f"FC Invoke End RequestId: {request_id}, Error: Invocation canceled by client "
        f"(duration: {duration_ms:.0f}ms, maxMemoryUsage: 0.00MB)"
    )


def _error_text(result: Result) -> str:
    outcome = result.outcome
    cause = outcome.cause if isinstance(outcome, InitializationFailed) else outcome
    if isinstance(cause, Returned):
        return ""
    if isinstance(cause, Raised | ResponseRejected):
        return UNHANDLED
    return str(json.loads(result.payload)["errorMessage"])  # made by us: the platform's own words


def _line(text: str) -> bytes:
    return f"{text}\n".encode()


def _ended(text: bytes) -> bytes:
    """What follows begins on a line of its own."""
    return text if not text or text.endswith(b"\n") else text + b"\n"
