"""
The access keys that may call the daemon: from the environment or a file, never a command line.

One key is ``id:secret``, or ``id:secret:token`` for a temporary one. No message and no repr shows
more of it than the id, and a message about a text that could not be read not even that: what stands
in the id's place may be the secret.
"""

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from fc_runtime.errors import InvalidFunctionError

ENVIRONMENT_NAME: Final = "FC_RUNTIME_ACCESS_KEYS"
MOST_KEYS: Final = 10_000
LOOK_AGAIN_S: Final = 1.0  # after which a lookup asks whether the file has changed
# What both Authorization headers can carry: ids end at a colon or a comma there.
_ID: Final = re.compile(r"[!-+\--9;-~]{1,256}")
_SECRET: Final = re.compile(r"[!-+\--9;-~]{1,4096}")

_log = structlog.get_logger("fc_runtime.service.auth")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """
    Args:
        security_token: what each request must bring along with it; "" for a lasting key.
    """

    id: str
    secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


class AccessKeys:
    """
    The keys by their id; from a file, as it is now.

    A file that changes is read again, at a lookup at most `LOOK_AGAIN_S` later. One that has become
    unreadable or wrong is told in the log, and the keys before it stay.
    """

    def __init__(
        self,
        keys: Iterable[AccessKey] = (),
        *,
        file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fixed = tuple(keys)
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = _version(file)
        self._looked_at = clock()
        self._by_id = _by_id([*self._fixed, *_read(file)])

    @classmethod
    def load(cls, environ: MutableMapping[str, str], file: Path | None = None) -> "AccessKeys":
        """
        From ``FC_RUNTIME_ACCESS_KEYS`` (pairs, separated by commas) and *file* (one a line).

        The variable is taken out of *environ*, so that nothing started later inherits it.
        Raises InvalidFunctionError, which names the place and shows nothing of a secret.
        """
        text = environ.pop(ENVIRONMENT_NAME, "")
        entries = [entry.strip() for entry in text.split(",")]
        keys = [
            _parse(entry, f"{ENVIRONMENT_NAME}, entry {number}")
            for number, entry in enumerate(entries, 1)
            if entry
        ]
        return cls(keys, file=file)

    def get(self, key_id: str) -> AccessKey | None:
        """None for an id that nobody configured. Looks at the file again, once a second at most."""
        if self._file is not None and self._clock() - self._looked_at >= LOOK_AGAIN_S:
            self._look_again(self._file)
        return self._by_id.get(key_id)

    @property
    def first(self) -> AccessKey | None:
        """In the order that they were given in; None if there is none."""
        return next(iter(self._by_id.values()), None)

    def __len__(self) -> int:
        return len(self._by_id)

    def _look_again(self, file: Path) -> None:
        with self._lock:
            self._looked_at = self._clock()
            try:
                version = _version(file)
                if version == self._seen:
                    return
                self._seen = version
                self._by_id = _by_id([*self._fixed, *_read(file)])
            except InvalidFunctionError as error:
                _log.warning("access_keys.kept", file=str(file), reason=error.mend)
            else:
                _log.info("access_keys.read", file=str(file), keys=len(self._by_id))


def _version(file: Path | None) -> tuple[int, int, int]:
    if file is None:
        return (0, 0, 0)
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(file: Path | None) -> list[AccessKey]:
    if file is None:
        return []
    try:
        with file.open(encoding="utf-8") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            lines = opened.read().splitlines()
    except OSError as error:
        raise _unreadable(file, error) from error
    except UnicodeDecodeError:  # its message would show the bytes
        raise InvalidFunctionError("access_keys", str(file), "a text file in UTF-8") from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        _log.warning(
            "access_keys.exposed", file=str(file), mend="chmod 600: others can read or write it"
        )
    return [
        _parse(line.strip(), f"{file}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _parse(text: str, place: str) -> AccessKey:
    key_id, *rest = text.split(":")
    well_formed = (
        1 <= len(rest) <= 2
        and _ID.fullmatch(key_id) is not None
        and all(_SECRET.fullmatch(part) is not None for part in rest)
    )
    if not well_formed:
        raise InvalidFunctionError(
            "access_keys", place, "id:secret or id:secret:token, printable ASCII without spaces"
        )
    return AccessKey(key_id, *rest)


def _by_id(keys: list[AccessKey]) -> dict[str, AccessKey]:
    found: dict[str, AccessKey] = {}
    for key in keys:
        if key.id in found:
            raise InvalidFunctionError("access_keys", key.id, "one secret for one id")
        found[key.id] = key
    if len(found) > MOST_KEYS:
        raise InvalidFunctionError("access_keys", len(found), f"at most {MOST_KEYS} of them")
    return found


def _unreadable(file: Path, error: OSError) -> InvalidFunctionError:
    return InvalidFunctionError(
        "access_keys", str(file), f"a file that can be read ({error.strerror})"
    )
