"""
Every public verb with the arguments that programs give it, and what type checkers make of them.

Never run: `mypy --strict tests/types/api.py` is the test.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, assert_never, assert_type

from fc_runtime import (
    AsyncRuntime,
    Crashed,
    CrashedError,
    Credentials,
    EventTooLargeError,
    FcRuntimeError,
    Function,
    FunctionNotFoundError,
    HandlerError,
    InitializationError,
    InitializationFailed,
    InternalError,
    InvalidFunctionError,
    InvocationError,
    Outcome,
    OutOfMemory,
    OutOfMemoryError,
    OverloadedError,
    Raised,
    RefusedError,
    ResponseError,
    ResponseRejected,
    Result,
    Returned,
    Runtime,
    RuntimeClosedError,
    TimedOut,
    TimedOutError,
    Usage,
)


def renew() -> Credentials:
    return Credentials(
        access_key_id="id", access_key_secret="secret", security_token="token", expires_at=1e9
    )


def a_function() -> Function:
    Function(name="least", code=".")
    return Function(
        name="hello",
        code=Path("code.zip"),
        handler="index.handler",
        initializer="index.initialize",
        timeout=3,
        initialization_timeout=30.0,
        memory_mb=128,
        environment={"A": "b"},
        credentials=renew,
        min_instances=0,
        max_instances=10,
        idle_timeout=300,
        max_invocations=None,
        preload=["json"],
        sandbox="standard",
        layers=[Path("layer"), "another"],
    )


def the_fields_of_a_function(function: Function) -> None:
    assert_type(function.name, str)
    assert_type(function.timeout, float)
    assert_type(function.memory_mb, int)
    assert_type(function.environment, Mapping[str, str])
    assert_type(function.max_invocations, int | None)
    function.timeout = 5  # type: ignore[misc]


def sync(event: bytes) -> None:
    Runtime(
        isolation="auto",
        max_queue=10,
        max_event_bytes=1024,
        max_response_bytes=1024,
        placement=False,
        region="cn-hangzhou",
        account_id="123",
        log=None,
    )
    with Runtime() as runtime:
        assert_type(runtime, Runtime)
        assert_type(runtime.register(a_function()), Function)
        assert_type(runtime.register("hello", code="."), Function)
        runtime.register("hello", code=Path(), credentials=renew(), timeout=3.0)
        assert_type(runtime.functions(), dict[str, Function])
        runtime.warm("hello")
        runtime.warm("hello", 2)
        runtime.warm("hello", n=2)

        assert_type(runtime.invoke("hello"), Result)
        assert_type(runtime.invoke("hello", event), Result)
        runtime.invoke("hello", bytearray(event))
        runtime.invoke("hello", memoryview(event))
        runtime.invoke("hello", "text")
        runtime.invoke("hello", json={"any": ["JSON", None]})
        runtime.invoke("hello", json=None)
        runtime.invoke(
            "hello",
            event,
            timeout=1,
            request_id="1-2-3",
            credentials=renew(),
            check=False,
        )
        runtime.invoke("hello", 5)  # type: ignore[arg-type]
        runtime.invoke("hello", event, 3.0)  # type: ignore[call-arg]
        runtime.invoke("hello", tmeout=3.0)  # type: ignore[call-arg]

        assert_type(runtime.submit("hello", event, timeout=1), Future[Result])
        assert_type(runtime.submit("hello").result(timeout=3), Result)
        later = runtime.invoke_async("hello", event, task_id="a", delay=1, on_failure="hello")
        assert_type(later.result(timeout=3), Result)
        assert_type(runtime.task("hello", "a").record().task_id, str)
        assert_type(runtime.map("hello", [event, "text"]), Iterator[Result])
        for result in runtime.map("hello", iter([event]), concurrency=4, check=False):
            assert_type(result, Result)

        assert_type(runtime.stats(), dict[str, Any])
        runtime.unregister("hello")
        runtime.close()
        runtime.close(drain=1.5)


async def awaited(event: bytes) -> None:
    async with AsyncRuntime(max_queue=10) as runtime:
        assert_type(runtime, AsyncRuntime)
        assert_type(await runtime.register(a_function()), Function)
        assert_type(await runtime.register("hello", code="."), Function)
        assert_type(runtime.functions(), dict[str, Function])
        await runtime.warm("hello", 2)

        assert_type(await runtime.invoke("hello", event), Result)
        assert_type(await runtime.invoke("hello", json=[1], timeout=1, check=False), Result)
        await asyncio.gather(runtime.invoke("hello"), runtime.invoke("hello", "text"))
        await asyncio.wait_for(runtime.invoke("hello", event, credentials=renew()), timeout=3)
        runtime.invoke("hello", event).payload  # type: ignore[attr-defined]  # noqa: B018

        task = runtime.submit("hello", event)
        assert_type(task, asyncio.Task[Result])
        assert_type(await task, Result)
        assert_type(runtime.map("hello", [event], concurrency=2), AsyncIterator[Result])
        async for result in runtime.map("hello", [event, "text"]):
            assert_type(result, Result)

        assert_type(runtime.stats(), dict[str, Any])
        await runtime.unregister("hello")
        await runtime.close()
        await runtime.close(drain=1.5)


def the_fields_of_a_result(result: Result) -> None:
    assert_type(result.payload, bytes)
    assert_type(result.text, str)
    assert_type(result.json(), Any)
    assert_type(result.ok, bool)
    assert_type(result.log, bytes)
    assert_type(result.request_id, str)
    assert_type(result.function, str)
    assert_type(result.duration_ms, float)
    assert_type(result.init_duration_ms, float | None)
    assert_type(result.cold_start, bool)
    assert_type(result.usage, Usage)
    assert_type(result.usage.peak_memory_bytes, int)
    assert_type(result.usage.user_s, float)
    assert_type(result.outcome, Outcome)
    assert_type(result.raise_for_outcome(), Result)
    assert_type(result.raise_for_outcome().json(), Any)


def every_outcome(outcome: Outcome) -> str:
    """A program that forgets none is told so."""
    match outcome:
        case Returned():
            return ""
        case Raised(error_type, message):
            assert_type(error_type, str)
            return message + outcome.traceback
        case InitializationFailed(cause):
            assert_type(cause, Raised | TimedOut | OutOfMemory | Crashed)
            return every_outcome(cause)
        case TimedOut(limit_s):
            assert_type(limit_s, float)
            return outcome.stack
        case OutOfMemory(limit_bytes):
            assert_type(limit_bytes, int)
            return outcome.source
        case Crashed(exit_code, signal):
            assert_type(exit_code, int | None)
            assert_type(signal, int | None)
            return outcome.reason
        case ResponseRejected(error_type, message):
            return error_type + message
        case _:
            assert_never(outcome)


def a_forgotten_outcome(outcome: Outcome) -> str:
    """And one that does is told, too."""
    match outcome:
        case Returned() | Raised() | InitializationFailed() | TimedOut() | OutOfMemory():
            return ""
        case Crashed():
            return ""
        case _:
            assert_never(outcome)  # type: ignore[arg-type]


def every_error(runtime: Runtime) -> None:
    try:
        runtime.invoke("hello")
    except HandlerError as error:
        assert_type(error.result, Result)
        assert_type(error.code, str)
    except (InitializationError, ResponseError, CrashedError) as error:
        assert_type(error.result.outcome, Outcome)
    except (TimedOutError, OutOfMemoryError) as error:
        assert_type(error.result.log, bytes)
    except InvocationError as error:
        assert_type(error.result, Result)
    except InvalidFunctionError as error:
        assert_type(error.field, str)
        assert_type(error.value, object)
        assert_type(error.mend, str)
    except (FunctionNotFoundError, EventTooLargeError) as error:
        assert_type(error.code, str)
    except (OverloadedError, RuntimeClosedError) as error:
        error.result  # type: ignore[union-attr]  # noqa: B018
    except RefusedError:
        raise
    except InternalError as error:
        assert_type(error.code, str)
    except FcRuntimeError as error:
        assert_type(error.code, str)


def credentials_hide(credentials: Credentials) -> None:
    assert_type(credentials.access_key_secret, str)
    assert_type(credentials.expires_at, float | None)
    credentials.access_key_id = "other"  # type: ignore[misc]
    Credentials("id", "secret")  # type: ignore[call-arg]
