"""
Modules that a handler's module will import from the function's own folders, as far as its code
tells: found and compiled with it, before the fork.

Nothing runs, so this is a guess: every name that a module's own level uses, and every text in a
tuple there, might be a module's. What is guessed wrong is compiled in vain; what is missed, as
imports within functions are, each instance compiles itself.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType
from typing import Any, Final, NamedTuple

KINDS: Final[tuple[tuple[Any, list[str]], ...]] = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


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


class Own(NamedTuple):
    """A module of the function's own: the folder that it is found in, and what it was then."""

    folder: str
    state: State
    code: CodeType


class Guess(NamedTuple):
    """*packages*: folders of the packages that it is in, the innermost first."""

    spec: ModuleSpec
    folder: str
    packages: tuple[str, ...]


class Guesser:
    """Guesses imports. Looks into each folder once: for a process that soon ends."""

    def __init__(self, folders: Sequence[str]) -> None:
        """*folders*: where modules of the function's own are looked for, in this order."""
        self._folders = folders
        self._stems: dict[str, frozenset[str]] = {}

    def imports_of(self, code: CodeType, packages: tuple[str, ...]) -> Iterator[Guess]:
        """Whatever the module with *code*, which is in *packages*, may import. Some come twice."""
        texts = [name for const in code.co_consts if type(const) is tuple for name in const]
        parts = [name for name in texts if type(name) is str]
        yield from self._inside(packages[:1], parts, packages)
        for name in code.co_names:
            for at, folder in enumerate((*packages, *self._folders)):
                found = None
                for found in self._resolved(name.split("."), folder, packages[at:]):
                    yield found
                if found is not None:
                    places = tuple(found.spec.submodule_search_locations or ())[:1]
                    yield from self._inside(places, parts, found.packages)

    def _inside(
        self, places: Sequence[str], names: Sequence[str], packages: tuple[str, ...]
    ) -> Iterator[Guess]:
        for place in places:
            for name in names:
                yield from self._resolved([name], place, packages)

    def _resolved(
        self, parts: Sequence[str], folder: str, packages: tuple[str, ...]
    ) -> Iterator[Guess]:
        """Each module on the way from *folder* down to the last of *parts*."""
        for part in parts:
            spec = FileFinder(folder, *KINDS).find_spec(part) if self._has(folder, part) else None
            if spec is None:
                return
            places = spec.submodule_search_locations
            packages = (*places, *packages) if places else packages
            yield Guess(spec, folder, packages)
            if not places:
                return
            folder = places[0]

    def _has(self, folder: str, name: str) -> bool:
        if folder not in self._stems:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []  # not every function has layers
            self._stems[folder] = frozenset(name.partition(".")[0] for name in names)
        return name in self._stems[folder]


def offer(modules: Mapping[str, Own]) -> None:
    """From now on an import of one of *modules*, by path, takes its code if it is still as seen."""

    def loader(name: str, path: str) -> SourceFileLoader:
        own = modules.get(path)
        return SourceFileLoader(name, path) if own is None else _loader_of(own, name, path)

    kinds: list[tuple[Any, list[str]]] = [
        (loader if kind is SourceFileLoader else kind, names) for kind, names in KINDS
    ]
    for folder in {own.folder for own in modules.values()}:
        sys.path_importer_cache[folder] = FileFinder(folder, *kinds)


class _CompiledLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 (a path has one code)
        return self._code


def _loader_of(own: Own, name: str, path: str) -> SourceFileLoader:
    try:
        is_same = State.of(path) == own.state
    except OSError:
        is_same = False
    return _CompiledLoader(name, path, own.code) if is_same else SourceFileLoader(name, path)
