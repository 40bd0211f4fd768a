"""What loops of asyncio need: to go on whatever happens, to pause, to be ended, to be called."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fc_runtime.pool.events import Log
from fc_runtime.tasks.policy import Backoff

_TRYING: Final = Backoff(first=0.2, most=5.0)


async def repeat(
    work: Callable[[], Coroutine[Any, Any, None]], every_s: float | None, name: str, log: Log
) -> None:
    """*work*, over and over, until cancelled; after an error, which is told, with back-off."""
    tries = 0
    never = asyncio.Event()
    while True:
        try:
            await work()
            tries = 0
        except Exception as error:  # noqa: BLE001 (told; the next one may do better)
            tries += 1
            log.warning("engine.failed", work=name, error=repr(error), tries=tries)
        pause_s = _TRYING.after(tries, 0.0) if tries else every_s
        if pause_s is not None:
            await until(never, pause_s)


async def until(event: asyncio.Event, within_s: float) -> None:
    """The event, or the time."""
    # Not `wait_for`: up to Python 3.11 it forgets that it was cancelled, if the event comes too.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


async def cancelled(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel them, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def call(loop: asyncio.AbstractEventLoop, work: Callable[..., object], *what: object) -> None:
    """On *loop*, from any thread; nothing, if it was closed under those who used it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(work, *what)
