"""
All we raise. The tree answers one question: may I retry?

    FcRuntimeError
    ├── RefusedError          no handler code ran; a retry is safe
    │   ├── FunctionNotFoundError, InvalidFunctionError, EventTooLargeError
    │   ├── OverloadedError, RuntimeClosedError
    │   └── TaskExistsError, TaskNotFoundError
    ├── InvocationError       handler code ran, or may have; `.result` tells all
    │   ├── HandlerError, InitializationError, ResponseError
    │   └── TimedOutError, OutOfMemoryError, CrashedError
    ├── TaskEndedError        an asynchronous invocation ended without a result
    ├── StoreError            the store of asynchronous invocations cannot be used now
    └── InternalError         a bug of ours
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from fc_runtime.outcome import Result


class FcRuntimeError(Exception):
    """Base of all we raise. ``code`` is stable and machine-read; the message is for people."""

    code: ClassVar[str] = "fc"


class RefusedError(FcRuntimeError):
    """No handler code ran. Always safe to retry."""

    code = "fc.refused"


class FunctionNotFoundError(RefusedError):
    """No function of that name is registered."""

    code = "fc.refused.function_not_found"


class InvalidFunctionError(RefusedError, ValueError):
    """
    A function, or another argument, cannot work as it is.

    ``field``, ``value`` and ``mend`` say which one, what it was, and what would do.
    """

    code = "fc.refused.invalid_function"

    def __init__(self, field: str, value: object, mend: str) -> None:
        super().__init__(f"{field}={value!r}: {mend}")
        self.field = field
        self.value = value
        self.mend = mend

    def __reduce__(self) -> tuple[type, tuple[str, object, str]]:
        return type(self), (self.field, self.value, self.mend)


class EventTooLargeError(RefusedError):
    """The event has more bytes than the runtime lets in."""

    code = "fc.refused.event_too_large"


class OverloadedError(RefusedError):
    """
    Every instance is busy and the queue before them is full, or the host has no room: for a
    process, a thread, a descriptor, a file. Retry later.
    """

    code = "fc.refused.overloaded"


class RuntimeClosedError(RefusedError):
    """This runtime was closed, or belongs to the process that this one was forked from."""

    code = "fc.refused.closed"


class TaskExistsError(RefusedError):
    """This function has a task of that id already: the one that was accepted first stands."""

    code = "fc.refused.task_exists"


class TaskNotFoundError(RefusedError):
    """This function has no task of that id, or none any more: ended ones expire."""

    code = "fc.refused.task_not_found"


class InvocationError(FcRuntimeError):
    """Handler code ran, or may have. Retry only what is idempotent. ``result`` tells all."""

    code = "fc.invocation"

    def __init__(self, message: str, result: "Result") -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> "tuple[type, tuple[str, Result]]":
        return type(self), (str(self), self.result)


class HandlerError(InvocationError):
    """The handler raised."""

    code = "fc.invocation.handler"


class InitializationError(InvocationError):
    """Import or initializer failed; the handler never saw the event."""

    code = "fc.invocation.initialization"


class TimedOutError(InvocationError):
    """The deadline passed. The instance and all it had started are gone."""

    code = "fc.invocation.timed_out"


class OutOfMemoryError(InvocationError):
    """The process tree outgrew its memory, on evidence. It is gone."""

    code = "fc.invocation.out_of_memory"


class CrashedError(InvocationError):
    """The process ended, or broke the protocol, before it answered."""

    code = "fc.invocation.crashed"


class ResponseError(InvocationError):
    """The handler returned something that cannot be answered with."""

    code = "fc.invocation.response"


class TaskEndedError(FcRuntimeError):
    """
    An asynchronous invocation ended without a result of its handler: ``status`` is ``Stopped``,
    ``Expired`` or ``Invalid``.
    """

    code = "fc.task_ended"

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.status)


class StoreError(FcRuntimeError):
    """
    The store of asynchronous invocations cannot be used: says which, and why.

    What was to be accepted may have been, or not. Given a task id, it is safe to try again.
    """

    code = "fc.store"


class InternalError(FcRuntimeError):
    """A bug in fc_runtime. Please report it; no handler can cause this."""

    code = "fc.internal"
