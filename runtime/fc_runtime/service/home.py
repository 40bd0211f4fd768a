"""
The folder that a daemon lives in, and that no other may live in at the same time.

    DATA/lock          held for as long as the daemon lives
    DATA/account.db    the account (`store`)
    DATA/tasks.db      asynchronous invocations (`fc_runtime.tasks`), unless they are kept elsewhere
    DATA/packages/     code (`packages`)
    DATA/access-keys   a key pair of its own making, if it was given none; mode 0600
"""

import fcntl
import os
import secrets
import shutil
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

KEY_ID_LETTERS: Final = 20
SECRET_LETTERS: Final = 40
_LETTERS: Final = string.ascii_letters + string.digits


class HomeError(Exception):
    """One line for people: which folder, what is wrong with it, what to do."""


class Home:
    """
    Use it in a ``with``. Raises HomeError if the folder cannot be had.

    Args:
        folder: made if it is not there; None for one that is removed at the end.
    """

    def __init__(self, folder: Path | None) -> None:
        self._is_temporary = folder is None
        try:
            if folder is None:
                folder = Path(tempfile.mkdtemp(prefix="fc-runtime-serve-"))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder = folder.resolve()
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeError(f"--data-dir {folder}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise HomeError(
                f"--data-dir {folder}: another fc-runtime serve lives there: end it, or choose "
                "another folder"
            ) from error

    @property
    def database(self) -> Path:
        return self.folder / "account.db"

    @property
    def tasks(self) -> Path:
        return self.folder / "tasks.db"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    @property
    def keys(self) -> Path:
        return self.folder / "access-keys"

    def make_keys(self) -> Path:
        """The file with the daemon's own key pair, made if it is not there yet."""
        if not self.keys.exists():
            self._write_keys()
        return self.keys

    def _write_keys(self) -> None:
        key_id = "FC" + "".join(secrets.choice(_LETTERS) for _ in range(KEY_ID_LETTERS))
        secret = "".join(secrets.choice(_LETTERS) for _ in range(SECRET_LETTERS))
        # Whole or not at all, whenever we are killed: an empty file would lock everybody out.
        unfinished = self.folder / f".access-keys-{secrets.token_hex(8)}"
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as out:
            out.write(f"# made by fc-runtime serve; id:secret\n{key_id}:{secret}\n")
        unfinished.replace(self.keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._lock)
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


def of_the_user(environ: Mapping[str, str]) -> Path:
    """Where an account lives that was given no folder: ``$XDG_DATA_HOME/fc-runtime``."""
    data = environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "fc-runtime"
