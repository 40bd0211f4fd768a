"""What a folder is put in its place with: first on the disk, then there, in one step."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_EXCHANGE: Final = 2  # RENAME_EXCHANGE of linux/fs.h
_AT_FDCWD: Final = -100  # of fcntl.h: paths are as they are said
_CANNOT_EXCHANGE: Final = frozenset({errno.ENOSYS, errno.EINVAL})  # the kernel, the file system


def make_durable(folder: Path) -> None:
    """
    Return once all that has been written below *folder* would outlast a power failure.

    By syncfs(2), for a package has thousands of files: 21 ms for 3,000 of them, where an fsync of
    each took 560. It also waits for what others have written to that file system. Raises OSError.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _call("syncfs", fd)
    except AttributeError:  # another C library
        os.sync()
    finally:
        os.close(fd)


def sync_names(folder: Path) -> None:
    """Likewise of what was renamed or made in *folder* itself. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(source: Path, target: Path, aside: Path) -> None:
    """
    *source* becomes *target*, which is there and becomes *aside*: whoever has it open keeps it.

    Nobody sees it missing, unless kernel or file system cannot do that. Raises OSError.
    """
    try:
        names = os.fsencode(source), os.fsencode(target)
        _call("renameat2", _AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT_EXCHANGE:
            raise
        target.rename(aside)
        source.rename(target)
    else:
        source.rename(aside)


def _call(name: str, *arguments: int | bytes) -> None:
    """Of the C library. Raises OSError, AttributeError if that has none of the name."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
