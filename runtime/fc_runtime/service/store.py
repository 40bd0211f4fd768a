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
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from fc_runtime.service.errors import precondition_failed

SCHEMA_VERSION: Final = 1
BUSY_MS: Final = 10_000
_metadata: Final = MetaData()
_resources: Final = Table(
    "resources",
    _metadata,
    Column("kind", String, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
    Column("etag", String, nullable=False),
    Column("created", String, nullable=False),
    Column("modified", String, nullable=False),
    sqlite_with_rowid=False,
)
_counters: Final = Table(
    "counters",
    _metadata,
    Column("kind", String, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("last", Integer, nullable=False),
    sqlite_with_rowid=False,
)


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


class StoreError(Exception):
    """The data folder cannot be used: says which file, and what to do."""


class Transaction:
    """All of it happens, or nothing. Nobody else writes meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, kind: str, scope: str, name: str) -> Entry | None:
        row = self._connection.execute(
            select(_resources).where(*_is(kind, scope), _resources.c.name == name)
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
                insert(_resources).values(kind=kind, scope=scope, name=name, created=now, **values)
            )
        else:
            self._connection.execute(
                update(_resources)
                .where(*_is(kind, scope), _resources.c.name == name)
                .values(**values)
            )
        created = now if before is None else before.created
        return Entry(kind, scope, name, json.loads(text), etag, created, now)

    def delete(self, kind: str, scope: str, name: str, *, if_match: str | None = None) -> bool:
        """False if there was none. Raises ApiError 412 as `put` does."""
        before = self.get(kind, scope, name)
        _check_match(before, if_match)
        self._connection.execute(
            delete(_resources).where(*_is(kind, scope), _resources.c.name == name)
        )
        return before is not None

    def delete_all(self, kind: str, scope: str) -> None:
        self._connection.execute(delete(_resources).where(*_is(kind, scope)))

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
        found = select(_resources).where(_resources.c.kind == kind)
        if scope is not None:
            found = found.where(_resources.c.scope == scope)
        if prefix:
            found = found.where(_resources.c.name.startswith(prefix, autoescape=True))
        if start:
            found = found.where(_resources.c.name >= start)
        found = found.order_by(_resources.c.scope, _resources.c.name).limit(limit)
        return [_entry(row) for row in self._connection.execute(found)]

    def next_number(self, kind: str, scope: str) -> int:
        """1, 2, 3 … for that kind and scope; never the same again, whatever is deleted."""
        told = self._connection.execute(
            upsert(_counters)
            .values(kind=kind, scope=scope, last=1)
            .on_conflict_do_update(
                index_elements=[_counters.c.kind, _counters.c.scope],
                set_={"last": _counters.c.last + 1},
            )
            .returning(_counters.c.last)
        )
        return int(told.scalar_one())


class Store:
    """
    One file; may be used by any thread, one transaction at a time.

    Raises StoreError if *path* is not a database of ours, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._engine = _open(path)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Committed at the end; whatever is raised inside undoes all of it."""
        with self._lock, self._engine.connect() as connection, connection.begin():
            yield Transaction(connection)

    def get(self, kind: str, scope: str, name: str) -> Entry | None:
        """As `Transaction.get`, on its own."""
        with self.transaction() as transaction:
            return transaction.get(kind, scope, name)

    def close(self) -> None:
        self._engine.dispose()


def _open(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: IMMEDIATE, so that none fails
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            if version not in (0, SCHEMA_VERSION):
                raise StoreError(
                    f"{path} is of version {version}, this fc-runtime knows {SCHEMA_VERSION}: "
                    "use a newer one, or another --data-dir"
                )
            _metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    except StoreError:
        engine.dispose()
        raise
    except Exception as error:
        engine.dispose()
        raise StoreError(f"{path} cannot be used: {error}") from error
    return engine


def _is(kind: str, scope: str) -> tuple[Any, Any]:
    return _resources.c.kind == kind, _resources.c.scope == scope


def _entry(row: Row[Any]) -> Entry:
    kind, scope, name, document, etag, created, modified = tuple(row)
    return Entry(kind, scope, name, json.loads(document), etag, created, modified)


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
