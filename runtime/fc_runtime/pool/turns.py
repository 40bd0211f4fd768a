"""A thread's turn: its place in the queue of a pool, and its sleep there."""

import threading
from contextlib import suppress
from typing import Final, cast

from fc_runtime.pool.grants import Grant
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.pool import Pool
from fc_runtime.pool.warm import Errand

BEGUN_WITHIN_S: Final = 1.0  # it takes microseconds


class ThreadWaiter:
    """A caller asleep on a lock, which whoever gives him something opens."""

    __slots__ = ("_gate", "errand", "grant", "wake")

    def __init__(self, errand: Errand | None = None) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.wake = self._gate.release
        self.errand = errand
        self.grant: Grant | None = None

    def offer(self, grant: Grant) -> None:
        self.grant = grant
        self._gate.release()

    def begin(self, instance: Instance) -> None:
        if self.errand is not None:
            with suppress(Exception):  # it is his, not ours: he sees how far it has come
                self.errand.begin_for_another(instance)

    def wait_until_begun(self) -> bool:
        # Not for ever: he may have come through the gate in the moment in which he was interrupted.
        self._gate.acquire(timeout=BEGUN_WITHIN_S)
        return self.errand is not None and self.errand.is_touched

    def wait(self) -> Grant:
        self._gate.acquire()
        if self.grant is None:
            raise AssertionError("woken without a grant")
        return self.grant


def take_turn(pool: Pool, errand: Errand | None = None) -> Grant:
    """
    What *pool* gives, once it is this thread's turn. Raises OverloadedError.

    Args:
        errand: what may have been begun by then, if it is given an instance.
    """
    waiter = ThreadWaiter(errand)
    try:
        grant = pool.lease(lambda: waiter)
        return waiter.wait() if grant is waiter else cast("Grant", grant)
    except BaseException:  # Ctrl-C while queueing: leave the queue, or give back
        pool.withdraw(waiter)
        raise
