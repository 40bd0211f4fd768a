"""The writer's works that engines ask for, to be awaited."""

from asyncio import wrap_future
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from fc_runtime.tasks import leases, queue, tidying
from fc_runtime.tasks.holding import Ask, Beat, Change, Held, Mark, Seen, Taken
from fc_runtime.tasks.owners import Owner
from fc_runtime.tasks.states import Status
from fc_runtime.tasks.store import Store

R = TypeVar("R")


class Desk:
    """Each awaits its commit. Raises StoreError, RuntimeClosedError."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def take(self, ask: Ask) -> Taken:
        """See `queue.take`."""
        return await self._done(lambda connection: queue.take(connection, self.store.fullness, ask))

    async def take_expired(self, owner: Owner, lease_s: float) -> list[Held]:
        """See `queue.take_expired`. *owner* is kept alive."""

        def work(connection: Connection) -> list[Held]:
            leases.renew(connection, owner, lease_s)
            return queue.take_expired(connection, self.store.fullness, owner)

        return await self._done(work)

    async def write(self, change: Change) -> Status | None:
        """See `queue.write`."""
        return await wrap_future(self.store.writer.ask(self._write, change))

    def mark(self, mark: Mark) -> None:
        """See `queue.write`; nobody waits for it."""
        self.store.writer.ask(self._write, mark)

    async def beat(self, beat: Beat) -> Seen:
        """See `leases.beat`."""
        return await self._done(
            lambda connection: leases.beat(connection, self.store.fullness, beat)
        )

    async def leave(self, owner: Owner) -> int:
        """What *owner* still holds is anybody's."""
        return await self._done(
            lambda connection: leases.put_back(
                connection, self.store.fullness, owner.owner, "given back: whoever had it went"
            )
        )

    async def purge(self) -> int:
        """See `tidying.purge`."""
        return await self._done(tidying.purge)

    async def shrink(self) -> bool:
        """See `tidying.shrink`."""
        return await self._done(tidying.shrink)

    def _write(
        self, connection: Connection, told: Sequence[Mark | Change]
    ) -> Sequence[Status | None]:
        return queue.write(connection, self.store.fullness, told)

    async def _done(self, work: Callable[[Connection], R]) -> R:
        return await wrap_future(self.store.writer.ask(_one, work))


def _one(connection: Connection, works: Sequence[Callable[[Connection], R]]) -> list[R]:
    return [work(connection) for work in works]
