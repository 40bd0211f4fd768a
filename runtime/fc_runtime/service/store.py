"""
Where the account's resources are kept: JSON documents by kind, scope and name, in SQLite.

One table for all of them: what a function, an alias or a trigger *is* is the business of
`fc_runtime.service.account`. Here is what all have in common: they are written as a whole or not at
all, they have an ETag, they are listed in the order of their names, a page at a time. A process
that is killed at any moment leaves the last transaction that was committed.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError

from fc_runtime.service import database
from fc_runtime.service.database import COUNTERS, RESOURCES
from fc_runtime.service.errors import ApiError, precondition_failed


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource as it was read. ``document`` is the reader's own copy."""

    kind: str
    scope: str
    name: str
    document: dict[str, Any]
    etag: str
    created: str  # ISO 8601, UTC
    modified: str


class Transaction:
    """All of it happens, or nothing. Nobody else writes meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, kind: str, scope: str, name: str) -> Entry | None:
        row = self._connection.execute(
            select(RESOURCES).where(*_is(kind, scope), RESOURCES.c.name == name)
        ).first()
        return None if row is None else _entry(row)

    def put(
        self,
        kind: str,
        scope: str,
        name: str,
        document: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> Entry:
        """
        Create or replace. Raises ApiError 412 if *if_match* is not the ETag of what is there.

        ``created`` is kept when it is replaced; ``modified`` always moves forward.
        """
        before = self.get(kind, scope, name)
        _check_match(before, if_match)
        text = json.dumps(document, separators=(",", ":"), sort_keys=True)
        now = _now()
        if before is not None:
            now = max(now, before.modified)
        etag = hashlib.sha256(f"{kind}\0{scope}\0{name}\0{now}\0{text}".encode()).hexdigest()[:32]
        values = {"document": text, "etag": etag, "modified": now}
        if before is None:
            self._connection.execute(
                insert(RESOURCES).values(kind=kind, scope=scope, name=name, created=now, **values)
            )
        else:
            self._connection.execute(
                update(RESOURCES)
                .where(*_is(kind, scope), RESOURCES.c.name == name)
                .values(**values)
            )
        created = now if before is None else before.created
        return Entry(kind, scope, name, json.loads(text), etag, created, now)

    def delete(self, kind: str, scope: str, name: str, *, if_match: str | None = None) -> bool:
        """False if there was none. Raises ApiError 412 as `put` does."""
        before = self.get(kind, scope, name)
        _check_match(before, if_match)
        self._connection.execute(
            delete(RESOURCES).where(*_is(kind, scope), RESOURCES.c.name == name)
        )
        return before is not None

    def delete_all(self, kind: str, scope: str) -> None:
        self._connection.execute(delete(RESOURCES).where(*_is(kind, scope)))

    def list(
        self,
        kind: str,
        scope: str | None,
        *,
        prefix: str = "",
        start: str = "",
        limit: int | None = None,
    ) -> list[Entry]:
        """
        By name, from *start* on, that included.

        Args:
            scope: None for those of all scopes, by scope and name.
            prefix: of the name.
        """
        found = select(RESOURCES).where(RESOURCES.c.kind == kind)
        if scope is not None:
            found = found.where(RESOURCES.c.scope == scope)
        if prefix:
            found = found.where(RESOURCES.c.name.startswith(prefix, autoescape=True))
        if start:
            found = found.where(RESOURCES.c.name >= start)
        found = found.order_by(RESOURCES.c.scope, RESOURCES.c.name).limit(limit)
        return [_entry(row) for row in self._connection.execute(found)]

    def next_number(self, kind: str, scope: str) -> int:
        """1, 2, 3 … for that kind and scope; never the same again, whatever is deleted."""
        told = self._connection.execute(
            upsert(COUNTERS)
            .values(kind=kind, scope=scope, last=1)
            .on_conflict_do_update(
                index_elements=[COUNTERS.c.kind, COUNTERS.c.scope],
                set_={"last": COUNTERS.c.last + 1},
            )
            .returning(COUNTERS.c.last)
        )
        return int(told.scalar_one())


class Store:
    """
    One file; may be used by any thread, one transaction at a time.

    Raises StoreError if *path* is damaged, not a database of ours, or of a later version.

    ``is_new``: nothing had ever been written to it, or all of it is gone.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._engine, self.is_new = database.opened(path)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """
        Committed at the end; whatever is raised inside undoes all of it.

        Raises ApiError 503 if the file cannot be used now (full, read-only, damaged).
        """
        try:
            with self._lock, self._engine.connect() as connection, connection.begin():
                yield Transaction(connection)
        except DatabaseError as error:
            if not database.is_unusable(error):
                raise
            raise _unusable(database.reason(error)) from error

    def get(self, kind: str, scope: str, name: str) -> Entry | None:
        """As `Transaction.get`, on its own."""
        with self.transaction() as transaction:
            return transaction.get(kind, scope, name)

    def close(self) -> None:
        self._engine.dispose()


def _is(kind: str, scope: str) -> tuple[Any, Any]:
    return RESOURCES.c.kind == kind, RESOURCES.c.scope == scope


def _entry(row: Row[Any]) -> Entry:
    kind, scope, name, text, etag, created, modified = tuple(row)
    try:
        document = json.loads(text)
    except ValueError as error:  # damage that SQLite takes for text
        raise _unusable(f"{kind} {scope}/{name} is damaged") from error
    return Entry(kind, scope, name, document, etag, created, modified)


def _unusable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"nothing was changed: the data folder: {why}")


def _check_match(before: Entry | None, if_match: str | None) -> None:
    if not if_match or if_match == "*":
        return
    wanted = if_match.strip('"')
    if before is None or wanted != before.etag:
        have = "there is none" if before is None else f"it is {before.etag}"
        raise precondition_failed(f"If-Match is {wanted}, but {have}: read it again first")


def _now() -> str:
    """With microseconds: two changes in one second are told apart."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
