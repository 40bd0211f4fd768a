"""
Modules that a handler's module will import from the function's own folders, as far as its code
tells: found and compiled with it, before the fork.

Nothing runs, so this is a guess: every name that a module's own level uses, and every text in a
tuple there, might be a module's. What is guessed wrong is compiled in vain; what is missed, as
imports within functions are, each instance compiles itself.
"""

import os
import sys
import warnings
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
from os import stat as _stat  # the name that others replace is not ours
from types import CodeType
from typing import Any, Final, NamedTuple

KINDS: Final[tuple[tuple[Any, list[str]], ...]] = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)
_HOOKS: Final = tuple(sys.path_hooks)
_WAYS: Final = ("get_code", "get_data", "source_to_code")  # from a source to its code
_OWN_WAYS: Final = [getattr(SourceFileLoader, way) for way in _WAYS]


class State(NamedTuple):
    """Of a file or folder: another one, or another content, has another."""

    inode: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, path: str) -> "State":
        """Raises OSError."""
        status = _stat(path)
        return cls(status.st_ino, status.st_ctime_ns, status.st_size)


class Compiled(NamedTuple):
    """A module's code, and whether the compiler had to warn of it."""

    code: CodeType
    warned: bool

    def is_as_if_compiled_here(self) -> bool:
        """Would the compiler do the same now, and be heard by nobody?"""
        if [getattr(SourceFileLoader, way) for way in _WAYS] != _OWN_WAYS:
            return False
        return not self.warned or warnings.filters[:1] == _SILENCE


_SILENCE: Final = [("ignore", None, Warning, None, 0)]  # a zygote is started so


class Own(NamedTuple):
    """A module of the function's own: the folder that it is found in, and what it was then."""

    folder: str
    state: State
    compiled: Compiled


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
        self._finders: dict[str, FileFinder] = {}
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
            spec = self._finders[folder].find_spec(part) if self._has(folder, part) else None
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
            self._finders[folder] = FileFinder(folder, *KINDS)
        return name in self._stems[folder]


def offer(modules: Mapping[str, Own]) -> None:
    """
    From now on an import of one of *modules*, by path, takes its code if it is still as seen, and
    imports are made as the interpreter makes them.
    """
    if tuple(sys.path_hooks) != _HOOKS:
        return

    def loader(name: str, path: str) -> SourceFileLoader:
        made = SourceFileLoader(name, path)
        own = modules.get(path)
        if own is not None and _is_as_seen(own, path):
            _lend(own, made)
        return made

    kinds: list[tuple[Any, list[str]]] = [
        (loader if kind is SourceFileLoader else kind, names) for kind, names in KINDS
    ]
    for folder in {own.folder for own in modules.values()}:
        known = sys.path_importer_cache.get(folder)
        if known is None:
            sys.path_importer_cache[folder] = _Placeholder(folder, *kinds)
        elif type(known) is FileFinder:
            sys.path_importer_cache[folder] = FileFinder(folder, *kinds)


class _Placeholder(FileFinder):
    """Of a folder that no import has come to: when one does, hooks that are new are asked first."""

    def __init__(self, folder: str, *kinds: Any) -> None:
        super().__init__(folder, *kinds)
        self._folder = folder  # as it was written

    def find_spec(self, fullname: str, target: Any = None) -> ModuleSpec | None:
        if tuple(sys.path_hooks) == _HOOKS:
            return super().find_spec(fullname, target)
        finder: Any = None
        for hook in sys.path_hooks:
            try:
                finder = hook(self._folder)
            except ImportError:
                continue
            break
        sys.path_importer_cache[self._folder] = finder
        return None if finder is None else finder.find_spec(fullname, target)


def _is_as_seen(own: Own, path: str) -> bool:
    try:
        return State.of(path) == own.state and own.compiled.is_as_if_compiled_here()
    except OSError:
        return False


def _lend(own: Own, loader: SourceFileLoader) -> None:
    """For its next import, if that is soon; then it is a loader like any other."""

    def get_code(fullname: str) -> CodeType | None:
        del loader.get_code
        if fullname == loader.name and _is_as_seen(own, loader.path):
            return own.compiled.code
        return loader.get_code(fullname)

    loader.get_code = get_code  # type: ignore[method-assign]
