"""
Code given as a .zip: looked at without unpacking, and unpacked without trusting it.

Refused: absolute paths, ``..``, links that lead outside, device nodes, duplicate names, and more
bytes or entries than FC takes (spec 12: 500 MB), or more folders than anybody has.
"""

import errno
import itertools
import lzma
import os
import stat
import zipfile
import zlib
from importlib.machinery import all_suffixes
from pathlib import Path, PurePosixPath
from typing import IO, Final

from fc_runtime.errors import InvalidFunctionError, OverloadedError

MAX_UNPACKED_BYTES: Final = 500 * 1000 * 1000
MAX_ENTRIES: Final = 100_000  # and folders that they lie in
MAX_DEPTH: Final = 128  # folders in one another
MAX_LINK_BYTES: Final = 4096  # PATH_MAX
# Damaged, encrypted, compressed in a way we lack, or a file where a folder should be.
_NOT_UNPACKABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_SUFFIXES: Final = tuple(kind + end for end in all_suffixes() for kind in ("", "/__init__"))


def check_zip(path: Path) -> None:
    """Raises InvalidFunctionError if *path* is no zip file that may be unpacked."""
    _checked_entries(path)


def has_module(code: Path, stem: str) -> bool:
    """Is there a module or package *stem* (``dir/name``) in this folder or zip file?"""
    wanted = [stem + suffix for suffix in _SUFFIXES]
    if code.is_dir():
        try:
            return any((code / name).is_file() for name in wanted)
        except OSError:  # longer than any name may be
            return False
    names = {entry.filename.removeprefix("./") for entry in _checked_entries(code)}
    return any(name in names for name in wanted)


def unpack(path: Path, folder: Path) -> None:
    """
    Unpack the zip file *path* into *folder*, which must not exist yet.

    Raises InvalidFunctionError, or, as there is nothing wrong with the function, OverloadedError
    if the host has no room for it.
    """
    entries = _checked_entries(path)
    try:
        folder.mkdir(parents=True)
        _unpack(path, folder, entries)
    except _NOT_UNPACKABLE as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise OverloadedError(f"code={str(path)!r}: no room to unpack it: {error}") from error
        raise InvalidFunctionError(
            "code", str(path), f"cannot be unpacked: {_told(error, folder)}"
        ) from error


def is_unpacked(archive: Path | IO[bytes], folder: Path) -> bool:
    """
    Is all of the zip in *folder*, every file with its size? What is in the files is not read, and
    there may be more of them.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return all(_is_there(entry, folder) for entry in opened.infolist())
    except (*_NOT_UNPACKABLE, ValueError):
        return False


def _is_there(entry: zipfile.ZipInfo, folder: Path) -> bool:
    status = (folder / entry.filename).lstat()  # raises if it is not there
    if entry.is_dir():
        return stat.S_ISDIR(status.st_mode)
    is_same = stat.S_ISLNK if _is_link(entry) else stat.S_ISREG
    return is_same(status.st_mode) and status.st_size == entry.file_size


def _unpack(path: Path, folder: Path, entries: list[zipfile.ZipInfo]) -> None:
    left = MAX_UNPACKED_BYTES  # the sizes in a zip's directory are only what its maker says
    with zipfile.ZipFile(path) as archive:
        for entry in sorted(entries, key=_is_link):  # links last: nothing is written through one
            target = folder / entry.filename
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if _is_link(entry):
                target.symlink_to(_checked_link(path, archive, entry))
                continue
            mode = (entry.external_attr >> 16) & 0o755 | 0o644
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with (
                archive.open(entry) as source,
                os.fdopen(os.open(target, flags, mode), "wb") as out,
            ):
                while chunk := source.read(1024 * 1024):
                    left -= len(chunk)
                    if left < 0:
                        raise InvalidFunctionError(
                            "code", str(path), f"unpacks to more than {MAX_UNPACKED_BYTES} bytes"
                        )
                    out.write(chunk)


def _told(error: Exception, place: Path) -> str:
    """What is wrong; a file by its name in the zip: where it was to go is not for everybody."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    file = str(error.filename or "")
    inside = file.removeprefix(f"{place}{os.sep}")
    return error.strerror if inside == file else f"{error.strerror}: {inside!r}"


def _checked_entries(path: Path) -> list[zipfile.ZipInfo]:
    entries = _listed(path)
    if len(entries) > MAX_ENTRIES:
        raise InvalidFunctionError("code", str(path), f"more than {MAX_ENTRIES} entries")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise InvalidFunctionError(
            "code", str(path), f"unpacks to more than {MAX_UNPACKED_BYTES} bytes"
        )
    links = {str(PurePosixPath(entry.filename)) for entry in entries if _is_link(entry)}
    seen: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = PurePosixPath(entry.filename)
        _check_entry(path, entry, name)
        if not links.isdisjoint(map(str, name.parents)):
            raise InvalidFunctionError("code", str(path), f"{entry.filename!r} lies in a link")
        if str(name) in seen and not entry.is_dir():
            raise InvalidFunctionError("code", str(path), f"{entry.filename!r} is in it twice")
        seen.add(str(name))
        if len(name.parts) > MAX_DEPTH:
            raise InvalidFunctionError("code", str(path), f"more than {MAX_DEPTH} folders deep")
        for parent in map(str, name.parents):
            if parent in folders:
                break
            folders.add(parent)
        if len(folders) > MAX_ENTRIES:
            raise InvalidFunctionError("code", str(path), f"more than {MAX_ENTRIES} folders")
    return entries


def _listed(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in itertools.islice(filter(_is_link, entries), MAX_ENTRIES):
                _checked_link(path, archive, entry)
    except InvalidFunctionError:
        raise
    except (*_NOT_UNPACKABLE, ValueError) as error:
        raise InvalidFunctionError(
            "code", str(path), f"not a readable .zip: {_told(error, path)}"
        ) from error
    return entries


def _check_entry(path: Path, entry: zipfile.ZipInfo, name: PurePosixPath) -> None:
    if not name.parts and not entry.filename.endswith("/"):
        raise InvalidFunctionError("code", str(path), f"{entry.filename!r} is no file's name")
    if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
        raise InvalidFunctionError(
            "code", str(path), f"{entry.filename!r} would be written outside the code folder"
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise InvalidFunctionError("code", str(path), f"{entry.filename!r} is a special file")


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def _checked_link(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """
    Where it leads to. Upwards only at its beginning, from a folder that is no link: so as far as
    there are folders above it, and down from there by names, it stays inside.
    """
    with archive.open(entry) as source:
        text = source.read(MAX_LINK_BYTES + 1)
    target = text.decode()
    steps = [step for step in target.split("/") if step not in ("", ".")]
    upwards = next((at for at, step in enumerate(steps) if step != ".."), len(steps))
    if (
        not 0 < len(text) < MAX_LINK_BYTES
        or "\0" in target
        or target.startswith("/")
        or entry.is_dir()
        or ".." in steps[upwards:]
        or upwards >= len(PurePosixPath(entry.filename).parts)
    ):
        raise InvalidFunctionError(
            "code", str(path), f"{entry.filename!r} is a link that leads outside the code folder"
        )
    return target
