"""
The folder that a daemon lives in, and that no other may live in at the same time.

    DATA/lock          held for as long as the daemon lives
    DATA/account.db    the account (`store`)
    DATA/tasks.db      asynchronous invocations (`fc_runtime.tasks`), unless they are kept elsewhere
    DATA/packages/     code (`packages`)
    DATA/access-keys   a key pair of its own making, if it was given none; mode 0600

A project that was given no folder has a temporary one. What a daemon that was killed leaves there
is taken up by the next one of the same project, as far as nobody else has it: its tasks.

    DATA/project       of a temporary folder: whose it is
"""

import fcntl
import os
import secrets
import shutil
import stat
import string
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_TEMPORARY: Final = "fc-runtime-serve-"
ABANDONED_S: Final = 86_400  # then nobody starts that project again
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
        project: whose folder that is then.
    """

    def __init__(self, folder: Path | None, project: str = "") -> None:
        self._is_temporary = folder is None
        self.was_left = False  # by a daemon of the same project
        try:
            if folder is None:
                self.folder, self._lock, self.was_left = _temporary(project)
                return
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder = folder.resolve()
            self._lock = _locked(self.folder, os.O_CREAT)
        except BlockingIOError as error:
            raise HomeError(
                f"--data-dir {folder}: another fc-runtime serve lives there: end it, or choose "
                "another folder"
            ) from error
        except OSError as error:
            place = "a temporary folder" if folder is None else f"--data-dir {folder}"
            raise HomeError(f"{place}: {error.strerror or error}") from error

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


def _temporary(project: str) -> tuple[Path, int, bool]:
    """A folder for *project*, its lock, and whether a daemon of it has left that."""
    left = _left_by(project)
    if left is not None:
        return *left, True
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY)).resolve()
    lock = _locked(folder, os.O_CREAT, 0)  # whoever looks whose it is lets go of it at once
    (folder / "project").write_bytes(os.fsencode(project))  # a path need not be text
    return folder, lock, False


def _left_by(project: str) -> tuple[Path, int] | None:
    """
    The temporary folder of a daemon of *project* that was killed, and its lock: nothing is in it
    but its tasks. Those of other projects, a day old, are removed.
    """
    found = None
    for folder in _left_over():
        try:
            lock = _locked(folder)
        except OSError:
            continue  # it is in use, or no daemon's
        if found is None and _project_of(folder) == os.fsencode(project):
            found = folder.resolve(), lock
            continue
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
    if found is not None:
        for path in found[0].iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in ("lock", "project") and not path.name.startswith("tasks.db"):
                path.unlink()
    return found


def _left_over() -> Iterator[Path]:
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                yield folder


def _project_of(folder: Path) -> bytes | None:
    try:
        return (folder / "project").read_bytes()
    except OSError:
        return None


def _locked(folder: Path, create: int = 0, without_waiting: int = fcntl.LOCK_NB) -> int:
    """The lock of *folder*, held. Raises BlockingIOError if somebody else holds it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | create, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | without_waiting)
    except OSError:
        os.close(lock)
        raise
    return lock
