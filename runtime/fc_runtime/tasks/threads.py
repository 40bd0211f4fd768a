"""Work that may block, in a daemon thread, awaited."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from fc_runtime.pool.threads import start_thread

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """
    Await *work*, which is carried through even if nobody waits for it any more. Raises
    OverloadedError if the host has no room for a thread.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 (carried over to who awaits it)
            done.set_exception(error)
        else:
            done.set_result(result)

    start_thread("fc-runtime-tasks-work", run)
    return await asyncio.wrap_future(done)
