"""What the platform says of an invocation in headers of its own (spec 5.C, 7.A)."""

import base64
import secrets
import time
from typing import Final

from fc_runtime.outcome import InitializationFailed, Outcome, Result
from fc_runtime.service.account import Target

TAIL_BYTES: Final = 4096
MIB: Final = 2**20


def new_request_id() -> str:
    """In FC's shape (spec 6.9)."""
    return f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def type_of(outcome: Outcome) -> str:
    """``X-Fc-Error-Type``."""
    if isinstance(outcome, InitializationFailed):
        return "FunctionInitializationError"
    return "UnhandledInvocationError"


def platform_headers(target: Target, result: Result, *, tail: bool) -> list[tuple[str, str]]:
    code = target.document.get("code", {})
    headers = [
        ("X-Fc-Request-Id", result.request_id),
        ("X-Fc-Invocation-Duration", str(round(result.duration_ms))),
        ("X-Fc-Max-Memory-Usage", f"{result.usage.peak_memory_bytes / MIB:.2f}"),
        ("X-Fc-Code-Checksum", str(code.get("checksum", ""))),
        ("X-Fc-Instance-Id", getattr(result, "instance_id", "TEMP")),
        ("X-Fc-Invocation-Service-Version", target.version_id),
    ]
    if tail:
        last = result.log[-TAIL_BYTES:]
        headers.append(("X-Fc-Log-Result", base64.b64encode(last).decode()))
    return headers
