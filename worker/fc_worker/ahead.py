"""
A handler's module, found and compiled before the fork: what every instance would do again.

Nothing of it runs. It is compiled in a child that is thrown away, as a text may crash CPython's
compiler or keep it busy, and leaves garbage behind. What does not work is left to the instances,
which then say why.
"""

import marshal
import os
import resource
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType
from typing import Final, NamedTuple

from fc_worker import apart

MOST_BYTES: Final = 1024 * 1024  # of source; compiling takes a hundred times as much memory
WITHIN_S: Final = 5.0


class State(NamedTuple):
    """Of a file or folder: another one, or another content, has another."""

    inode: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, path: str) -> "State":
        """Raises OSError."""
        status = os.stat(path)
        return cls(status.st_ino, status.st_ctime_ns, status.st_size)


class Compiled(NamedTuple):
    """Good for as long as what was looked at has not changed."""

    spec: ModuleSpec
    code: CodeType
    seen: dict[str, State]

    def still_holds(self) -> bool:
        try:
            return all(State.of(path) == state for path, state in self.seen.items())
        except OSError:
            return False


def states_of(paths: Sequence[str]) -> dict[str, State]:
    """Raises OSError."""
    return {path: State.of(path) for path in paths}


def compile_apart(spec: ModuleSpec, private: Sequence[int]) -> CodeType | None:
    """
    The code of *spec*'s module; None if it is no source file, or cannot be had like that.

    Args:
        private: descriptors that whoever compiles has no business with.
    """
    loader = spec.loader
    if type(loader) is not SourceFileLoader:
        return None

    def work(told_fd: int) -> None:
        sys.dont_write_bytecode = True  # a function's code folder is not ours to write to
        limit = int(WITHIN_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        told = memoryview(marshal.dumps(loader.get_code(spec.name)))
        while told:
            told = told[os.write(told_fd, told) :]

    try:
        if os.path.getsize(loader.path) > MOST_BYTES:
            return None
        told = apart.tell(work, private, time.monotonic() + WITHIN_S)
        code = marshal.loads(told.data) if told.in_time else None  # noqa: S302 (from a fork of this)
    except (OSError, EOFError, ValueError, TypeError):  # the last three: it did not get to its end
        return None
    return code if isinstance(code, CodeType) else None
