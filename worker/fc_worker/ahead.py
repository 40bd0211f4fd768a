"""
A handler's module, found and compiled before the fork, with those of the function's own that it
imports: what every instance would do again.

Nothing of it runs. It is compiled in a child that is thrown away, as a text may crash CPython's
compiler or keep it busy, and leaves garbage behind. What does not work is left to the instances,
which then say why.
"""

import marshal
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import cache_from_source
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple

from fc_worker import apart
from fc_worker.own_imports import Compiled, Guesser, Own, State

MOST_BYTES: Final = 1024 * 1024  # of one source; compiling takes a hundred times as much memory
MOST_BYTES_OF_ALL: Final = 2 * MOST_BYTES
WITHIN_S: Final = 5.0
IMPORTS_WITHIN_S: Final = 1.0  # of that: most of it is what an instance is spared
_SIZE_BYTES: Final = 8  # before each part of what the child tells


class Ready(NamedTuple):
    """A module as good as loaded, for as long as what was looked at has not changed."""

    module: ModuleType  # empty: nothing of it has run
    compiled: Compiled
    seen: dict[str, State]

    def still_holds(self) -> bool:
        try:
            is_same = all(State.of(path) == state for path, state in self.seen.items())
        except OSError:
            return False
        return is_same and self.compiled.is_as_if_compiled_here()


def states_of(paths: Sequence[str]) -> dict[str, State]:
    """Raises OSError."""
    return {path: State.of(path) for path in paths}


def compile_apart(
    spec: ModuleSpec, folders: Sequence[str], private: Sequence[int], until: float
) -> tuple[Compiled | None, dict[str, Own]]:
    """
    The code of *spec*'s module, None if it is no source file, or cannot be had like that; and of
    those that it imports, by path.

    Args:
        folders: where modules of the function's own are looked for.
        private: descriptors that whoever compiles has no business with.
        until: when to give up, on `time.monotonic`.
    """
    loader = spec.loader
    if type(loader) is not SourceFileLoader:
        return None, {}

    def work(told_fd: int) -> None:
        sys.dont_write_bytecode = True  # a function's code folder is not ours to write to
        # What the compiler imports for a text's encoding is Python's own, or code would run here.
        sys.path[:] = [folder for folder in sys.path if folder not in folders]
        limit = int(WITHIN_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        compiled = _compiled(loader)
        if compiled is None:
            return
        _tell(told_fd, tuple(compiled))
        for path, own in _own_imports(loader.path, compiled.code, folders):
            _tell(told_fd, (path, own.folder, tuple(own.state), tuple(own.compiled)))

    try:
        if os.path.getsize(loader.path) > MOST_BYTES:
            return None, {}
        told = apart.tell(work, private, until)
    except OSError:
        return None, {}
    parts = _parts(told.data)
    first = next(parts, None)
    own = {
        path: Own(folder, State(*state), Compiled(*compiled))
        for path, folder, state, compiled in parts
    }
    return None if first is None else Compiled(*first), own


def _compiled(loader: SourceFileLoader) -> Compiled | None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        code = loader.get_code(loader.name)
    return Compiled(code, bool(caught)) if isinstance(code, CodeType) else None


def _own_imports(path: str, code: CodeType, folders: Sequence[str]) -> Iterator[tuple[str, Own]]:
    """What the module at *path* imports, and what that does, for as long as there is room."""
    guesser = Guesser(folders)
    until = time.monotonic() + IMPORTS_WITHIN_S
    seen = {path}
    room = MOST_BYTES_OF_ALL
    left: list[tuple[CodeType, tuple[str, ...]]] = [(code, ())]
    while left:
        for found in guesser.imports_of(*left.pop()):
            if time.monotonic() > until:
                return
            loader = found.spec.loader
            if type(loader) is not SourceFileLoader or loader.path in seen:
                continue
            seen.add(loader.path)
            if os.path.exists(cache_from_source(loader.path)):
                continue  # with bytecode beside it there is little to gain
            state = State.of(loader.path)
            room -= state.size
            if state.size > MOST_BYTES or room < 0:
                return
            try:
                compiled = _compiled(loader)
            except (SyntaxError, ValueError, RecursionError):
                continue  # an instance will say what is wrong, if it comes to that
            if compiled is not None:
                yield loader.path, Own(found.folder, state, compiled)
                left.append((compiled.code, found.packages))


def _tell(fd: int, part: Any) -> None:
    data = marshal.dumps(part)
    left = memoryview(len(data).to_bytes(_SIZE_BYTES, "little") + data)
    while left:
        left = left[os.write(fd, left) :]


def _parts(data: bytes) -> Iterator[Any]:
    """Those that came whole: the child may have been ended in the middle of one."""
    at = 0
    while True:
        begin = at + _SIZE_BYTES
        at = begin + int.from_bytes(data[at:begin], "little")
        if begin > len(data) or at > len(data):
            return
        yield marshal.loads(data[begin:at])  # noqa: S302 (from a fork of this process)
