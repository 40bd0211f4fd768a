"""
A `Result` as people and scripts want it: Function Compute's log lines, a readable error, JSON.

Source: spec 6.1, 6.2 and 6.8 for the lines around the log.
"""

import base64
import json
import math
from dataclasses import asdict
from typing import Any, Final

from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Result,
    TimedOut,
    describe,
    name_of,
)

MiB: Final = 1024 * 1024


def start_line(result: Result) -> str:
    return f"FC Invoke Start RequestId: {result.request_id}"


def log_block(result: Result) -> bytes:
    """The log as it is, but ending in a newline so that what follows stands on its own line."""
    missing = b"" if not result.log or result.log.endswith(b"\n") else b"\n"
    return result.log + missing


def end_line(result: Result) -> str:
    error = "" if result.ok else ", Error: Unhandled function error"
    return f"FC Invoke End RequestId: {result.request_id}{error}"


def summary_line(result: Result, memory_mb: int) -> str:
    return (
        f"Duration: {result.duration_ms:.2f} ms, Billed Duration: {billed_ms(result)} ms, "
        f"Memory Size: {memory_mb} MB, "
        f"Max Memory Used: {result.usage.peak_memory_bytes / MiB:.2f} MB"
    )


def billed_ms(result: Result) -> int:
    """Every millisecond begun; of the duration as shown, so that the two agree."""
    return math.ceil(round(result.duration_ms, 2))


def temperature(result: Result) -> str:
    """Which instance it was, for those who invoke several times."""
    if result.init_duration_ms is None:
        return "Warm instance"
    return f"Cold start, initialization: {result.init_duration_ms:.2f} ms"


def headline(outcome: Outcome) -> str:
    """``timed out: no result within 3 s``."""
    words = name_of(outcome).replace("_", " ")
    return f"{words}: {describe(outcome).removeprefix(f'{words}: ')}"


def whereabouts(result: Result) -> str:
    """The traceback, or the stack at a timeout; nothing if the log shows it already."""
    text = _place_of(result.outcome).rstrip("\n")
    return "" if text.encode(errors="backslashreplace") in result.log else text


def _place_of(outcome: Outcome) -> str:
    match outcome:
        case Raised(traceback=text) | ResponseRejected(traceback=text) | TimedOut(stack=text):
            return text
        case InitializationFailed(cause):
            return _place_of(cause)
        case _:
            return ""


def json_line(result: Result, memory_mb: int, *, indent: int | None) -> bytes:
    """The whole result as one JSON object and a newline. The keys are in ``--help``."""
    payload, payload_is_base64 = _readable(result.payload)
    log, log_is_base64 = _readable(result.log)
    value = {
        "ok": result.ok,
        "function": result.function,
        "request_id": result.request_id,
        "outcome": outcome_details(result.outcome),
        "payload": payload,
        "payload_is_base64": payload_is_base64,
        "log": log,
        "log_is_base64": log_is_base64,
        "cold_start": result.cold_start,
        "duration_ms": round(result.duration_ms, 3),
        "billed_duration_ms": billed_ms(result),
        "init_duration_ms": _rounded(result.init_duration_ms),
        "memory_mb": memory_mb,
        "usage": asdict(result.usage),
    }
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.encode(errors="backslashreplace") + b"\n"  # a lone surrogate is \uXXXX in JSON too


def outcome_details(outcome: Outcome) -> dict[str, Any]:
    """Its name, a line for people, and whatever this kind of outcome knows."""
    named = {"name": name_of(outcome), "description": describe(outcome)}
    match outcome:
        case InitializationFailed(cause):
            return {**named, "cause": outcome_details(cause)}
        case Crashed() | OutOfMemory() | Raised() | ResponseRejected() | TimedOut():
            return {**named, **asdict(outcome)}
        case _:
            return named


def _readable(data: bytes) -> tuple[str, bool]:
    """As text if it is UTF-8, else as base64; and whether it is base64."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), True


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
