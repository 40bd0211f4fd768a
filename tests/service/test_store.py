"""What becomes of an account whose file is damaged: said in one line, without what was in it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fc_runtime.service.database import StoreError
from fc_runtime.service.errors import ApiError
from fc_runtime.service.store import Store

PAGE_BYTES = 4096
MANY = 1000  # of 4 kB each: more than SQLite keeps in memory
SECRET = "the password of somebody"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A store with many documents, closed."""
    path = tmp_path / "account.db"
    store = Store(path)
    with store.transaction() as transaction:
        for number in range(MANY):
            document = {"environment": SECRET, "filler": "x" * PAGE_BYTES}
            transaction.put("function", "", f"f{number:04}", document)
    store.close()
    return path


def damage(path: Path) -> None:
    """All but the first page, which says what the file is."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(PAGE_BYTES)
        file.write(b"\xa5" * (size - PAGE_BYTES))


def read_all(store: Store) -> int:
    with store.transaction() as transaction:
        return len(transaction.list("function", None))


def refused(words: str):
    """503, with *words*, and nothing of the statement or of the content."""
    kept = ("[SQL", "Background on this error", "SELECT", SECRET)
    return pytest.raises(
        ApiError,
        match=words,
        check=lambda e: e.status == 503 and not any(word in e.message for word in kept),
    )


def test_damaged_pages_are_found_when_it_is_opened(path: Path) -> None:
    """Whatever page it is: not by whoever needs it first. It says which file, and what to do."""
    damage(path)

    with pytest.raises(StoreError, match=r"account\.db cannot be used: .*restore a backup") as told:
        Store(path)
    assert "\n" not in str(told.value)


def test_what_is_no_database_is_said_in_one_line(path: Path) -> None:
    """In SQLite's words, not in those of the library between."""
    path.write_bytes(b"\xa5" * 2 * PAGE_BYTES)

    with pytest.raises(StoreError, match=r"file is not a database: restore a backup") as told:
        Store(path)
    assert "\n" not in str(told.value)


def test_damage_while_it_is_in_use_is_no_bug_of_ours(path: Path) -> None:
    """A request that meets it is told 503; so is the next."""
    store = Store(path)
    assert MANY == read_all(store)
    damage(path)

    for _ in range(2):
        with refused("nothing was changed: the data folder: .*malformed"):
            read_all(store)
    store.close()


@pytest.mark.parametrize(
    ("value", "words"),
    [("'{\"environ'", "function /f0007 is damaged"), (r"CAST(x'7bff22' AS TEXT)", "text in it")],
    ids=["no JSON", "no text"],
)
def test_damage_within_a_document_is_told_likewise(path: Path, value: str, words: str) -> None:
    """SQLite has no checksums: it hands such a one out as if it were whole."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE resources SET document = {value} WHERE name = 'f0007'")
    connection.close()
    store = Store(path)

    with refused(words):
        read_all(store)
    assert store.get("function", "", "f0008") is not None
    store.close()
