"""How the store's database is opened: SQLite or PostgreSQL, its tables, and what may be wrong."""

import fcntl
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fc_runtime.errors import InvalidFunctionError, StoreError

HEAD: Final = "0001"  # of `migrations.versions`
VERSION_TABLE: Final = "fc_tasks_version"
BUSY_MS: Final = 10_000
CONNECT_S: Final = 10
MOST_LOG_BYTES: Final = 64 * 1024 * 1024  # of SQLite's write-ahead log, once it has been emptied
CACHE_KB: Final = 32 * 1024  # SQLite's own 2 MB are less than the indexes of a deep queue
LEAST_SQLITE: Final = (3, 35)  # RETURNING
_MIGRATION_LOCK: Final = 0x66637461736B73  # any number, as long as it is ours
_READING: Final = "fc_reading"
_ENGINES: "Final[weakref.WeakSet[Engine]]" = weakref.WeakSet()


def opened(url: str) -> Engine:
    """
    The database at *url*, with its tables as this version wants them.

    Raises: InvalidFunctionError, if *url* is not one of ours. StoreError, if the database cannot
        be used, or is of a later version.
    """
    parsed = _parsed(url)
    shown = parsed.render_as_string(hide_password=True)
    try:
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    except ModuleNotFoundError as error:
        raise InvalidFunctionError(
            "store", shown, "its driver is missing: pip install 'fc-runtime[postgres]'"
        ) from error
    try:
        with engine.begin() as connection:
            _migrate(connection, shown)
    except StoreError:
        engine.dispose()
        raise
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"{shown} cannot be used: {reason(error)}") from error
    _ENGINES.add(engine)
    return engine


def reason(error: SQLAlchemyError) -> str:
    """What the database says, without the statement and its values: they may be secrets."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database, and holds nobody up."""
    with engine.connect().execution_options(**{_READING: True}) as connection, connection.begin():
        yield connection


def _parsed(url: object) -> URL:
    mend = "sqlite:////absolute/path.db or postgresql+psycopg://user@host/database"
    if not isinstance(url, str):
        raise InvalidFunctionError("store", type(url).__name__, mend)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidFunctionError("store", "…", mend) from None  # there may be a password in it
    shown = parsed.render_as_string(hide_password=True)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise InvalidFunctionError("store", shown, mend)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidFunctionError("store", shown, f"a file, or nothing would be durable: {mend}")
    return parsed


def _sqlite(url: URL) -> Engine:
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        raise StoreError(f"SQLite is {sqlite3.sqlite_version}, at least 3.35 is needed")
    path = Path(url.database or "")
    _make_private(path)
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        with _alone_in(path.parent):
            # Before the first table, or never: what is deleted can then be given back bit by bit.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a commit is on the disk, not on its way
        connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        connection.execute(f"PRAGMA journal_size_limit={MOST_LOG_BYTES}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: one that has begun to read and then wants to write might be refused.
        is_reading = connection.get_execution_options().get(_READING)
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """
    One connection at a time: SQLite does not wait for others when it changes a journal's mode, but
    says at once that the database is locked. Where the folder cannot be locked, that may happen.
    """
    fd = -1
    try:
        with suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        if fd >= 0:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)  # a fork meanwhile has a copy of the descriptor
            os.close(fd)


def _postgresql(url: URL) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_S, "application_name": "fc-runtime"},
    )


def _migrate(connection: Connection, shown: str) -> None:
    if connection.dialect.name == "postgresql":
        # Several may start at once; the lock goes with the transaction.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    if _version(connection) == HEAD:
        return  # nearly always; Alembic would take a tenth of a second to be imported
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "fc_runtime.tasks:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"{shown} is of version {_version(connection)}, this fc-runtime knows {HEAD}: "
            "use a newer one, or another store"
        ) from error


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    statement = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 (a constant)
    return str(connection.exec_driver_sql(statement).scalar())


def _make_private(path: Path) -> None:
    """Before SQLite makes it, whose other files take its mode: events may hold secrets."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    os.close(fd)


def _forget_all() -> None:
    """In a forked child of the host: the connections are its parent's."""
    for engine in list(_ENGINES):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_all)
