"""Function-Compute-style Python handlers in a warm, supervised pool of worker processes."""

from typing import TYPE_CHECKING, Any

from fc_runtime.credentials import Credentials
from fc_runtime.errors import (
    CrashedError,
    EventTooLargeError,
    FcRuntimeError,
    FunctionNotFoundError,
    HandlerError,
    InitializationError,
    InternalError,
    InvalidFunctionError,
    InvocationError,
    OutOfMemoryError,
    OverloadedError,
    RefusedError,
    ResponseError,
    RuntimeClosedError,
    StoreError,
    TaskEndedError,
    TaskExistsError,
    TaskNotFoundError,
    TimedOutError,
)
from fc_runtime.function import Function
from fc_runtime.http import HttpRequest, HttpResponse
from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Result,
    Returned,
    TimedOut,
    Usage,
)
from fc_runtime.runtime import Runtime

if TYPE_CHECKING:
    from fc_runtime.aio import AsyncRuntime

__all__ = [
    "AsyncRuntime",
    "Crashed",
    "CrashedError",
    "Credentials",
    "EventTooLargeError",
    "FcRuntimeError",
    "Function",
    "FunctionNotFoundError",
    "HandlerError",
    "HttpRequest",
    "HttpResponse",
    "InitializationError",
    "InitializationFailed",
    "InternalError",
    "InvalidFunctionError",
    "InvocationError",
    "OutOfMemory",
    "OutOfMemoryError",
    "Outcome",
    "OverloadedError",
    "Raised",
    "RefusedError",
    "ResponseError",
    "ResponseRejected",
    "Result",
    "Returned",
    "Runtime",
    "RuntimeClosedError",
    "StoreError",
    "TaskEndedError",
    "TaskExistsError",
    "TaskNotFoundError",
    "TimedOut",
    "TimedOutError",
    "Usage",
]


def __getattr__(name: str) -> Any:
    """AsyncRuntime, when it is asked for: asyncio takes 30 ms to import, and few need it."""
    if name == "AsyncRuntime":
        from fc_runtime.aio import AsyncRuntime  # noqa: PLC0415

        return AsyncRuntime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
