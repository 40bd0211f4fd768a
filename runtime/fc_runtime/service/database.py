"""The file that the account is in: its tables, how it is opened, and what may be wrong with it."""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

SCHEMA_VERSION: Final = 1
BUSY_MS: Final = 10_000
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNUSABLE: Final = _DAMAGED | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
}
_RESTORE: Final = "restore a backup of it, or choose another --data-dir"
_metadata: Final = MetaData()
RESOURCES: Final = Table(
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
COUNTERS: Final = Table(
    "counters",
    _metadata,
    Column("kind", String, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("last", Integer, nullable=False),
    sqlite_with_rowid=False,
)


class StoreError(Exception):
    """The data folder cannot be used: says which file, and what to do."""


def opened(path: Path) -> tuple[Engine, bool]:
    """
    And was there nothing in it until now?

    Raises StoreError if *path* is damaged, not a database of ours, or of a later version.
    """
    _make_private(path)
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
            # All of it, now: else a bad page is met by whoever needs it first, amid his work.
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
                raise StoreError(f"{path} cannot be used: it is damaged: {_RESTORE}")
            _metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    except StoreError:
        engine.dispose()
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        engine.dispose()
        mend = f": {_RESTORE}" if _code(error) in _DAMAGED else ""
        raise StoreError(f"{path} cannot be used: {reason(error)}{mend}") from error
    except Exception as error:
        engine.dispose()
        raise StoreError(f"{path} cannot be used: {error}") from error
    return engine, version == 0


def is_unusable(error: DatabaseError) -> bool:
    """Is it the file's or the disk's fault, and not ours?"""
    return _code(error) in _UNUSABLE


def reason(error: SQLAlchemyError | sqlite3.Error) -> str:
    """What SQLite says, without the statement and its values, which may be secrets."""
    told = getattr(error, "orig", None) or error
    return "text in it is damaged" if _is_no_text(told) else str(told)


def _code(error: SQLAlchemyError | sqlite3.Error) -> int:
    told = getattr(error, "orig", None) or error
    if _is_no_text(told):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(told, "sqlite_errorcode", 0)) & 0xFF  # the rest says more than is asked here


def _is_no_text(told: Exception) -> bool:
    """Bytes that are no UTF-8: Python's own, without a code, and with all of the text in it."""
    return isinstance(told, sqlite3.OperationalError) and not hasattr(told, "sqlite_errorcode")


def _make_private(path: Path) -> None:
    """Before SQLite makes it, whose other files take its mode: secrets are in environments."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}") from error
