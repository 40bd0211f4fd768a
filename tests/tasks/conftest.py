"""A store of each kind: a file of SQLite, a database of a PostgreSQL of our own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from fc_runtime.tasks import Limits, Store
from support import postgres

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a cluster, ``{}`` for the database; skips where there can be none."""
    missing = postgres.why_not()
    if missing:
        pytest.skip(missing)
    with postgres.cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tasks.db"
    cluster = request.getfixturevalue("postgresql")
    name = f"tasks{next(_NUMBERS)}"
    engine = sqlalchemy.create_engine(cluster.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return str(cluster.format(name))


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Store]]:
    """Opens that database, as often as it is called; all are closed in the end."""
    stores: list[Store] = []

    def again(**limits: float) -> Store:
        stores.append(Store(url, limits=Limits(**limits)))  # type: ignore[arg-type]
        return stores[-1]

    yield again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    """One that is open."""
    return opened()
