"""
Learned preload: what a first worker imported from outside of its function's folders, the next
generation of its zygote imports before it forks.

The worker's half hears which imports begin (`Imports`), outermost first. The zygote's half tries
them in a child that is thrown away (`try_out`), and only what left no trace there that a fork
must not share, or would lose, is imported for good (`import_learned`). A trace is a thread that a
fork does not end by itself, a descriptor, memory shared for writing, a child process, a changed
environment, folder, umask, timer, signal handler or garbage collector, a written line, a module of
the function's own folders, a denied one.

Nothing of the function's own may run here, and what it would have shadowed must not be imported in
its place: a name that is found in its folders is refused, with whatever wanted it (`Guard`).
"""

import gc
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import FileFinder, ModuleSpec
from types import ModuleType
from typing import Final, Self

from fc_worker import apart, traces, tree
from fc_worker.load import own_folders
from fc_worker.own_imports import KINDS

LEARN_FROM_NS: Final = 50_000_000  # what is worth another zygote
MOST_NAMES: Final = 2000
MOST_CHARS: Final = 48 * 1024  # of all names: they travel in one frame, and in one datagram
MOST_TRIALS: Final = 8  # one for each name that is refused, and one that goes well
TRIAL_S: Final = 60.0  # all of them; nobody waits for it


def roots_of(code: str, layers: Sequence[str]) -> tuple[str, ...]:
    """How the path of a file in one of the function's own folders may begin."""
    own = (*own_folders(code, layers), *layers)
    return tuple(f"{os.path.abspath(folder)}{os.sep}" for folder in own)


class Imports:
    """In a worker: what it imports, in the order in which the imports begin."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        """*roots*: what `roots_of` says."""
        self._roots = roots
        self._used_ns = time.process_time_ns()
        self._begun: dict[str, None] = {}

    def heard(self, name: str) -> None:
        """CPython's audit event "import": of what is not imported already."""
        self._begun[name] = None

    def told(self) -> str:
        """
        Names of those from files outside of the function's folders, a line each; bounded. None if
        all of it was quick: by CPU time, as a busy host makes any import look slow.
        """
        names: list[str] = []
        if time.process_time_ns() - self._used_ns < LEARN_FROM_NS:
            return ""
        left = MOST_CHARS
        for name in self._begun:
            if self._is_from_outside(name):
                left -= len(name) + 1
                if left < 0 or len(names) == MOST_NAMES:
                    break
                names.append(name)
        return "\n".join(names)

    def _is_from_outside(self, name: str) -> bool:
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType):
            return False
        # Not by getattr: a lazy module would go and import what it stands for.
        origin = getattr(vars(module).get("__spec__"), "origin", None)
        if not isinstance(origin, str) or not origin.startswith(os.sep):
            return False  # failed, built in, frozen, or a folder only
        return is_module_name(name) and not origin.startswith(self._roots)


def is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


class Guard:
    """A finder before all others that does not let modules of the function's folders be found."""

    def __init__(self, own: Iterable[str]) -> None:
        self._own = tuple(own)
        self._finders: dict[str, FileFinder] = {}
        self.stopped: str | None = None

    def find_spec(
        self, name: str, path: Iterable[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """The import system's question; raises ImportError if *name* is the function's own."""
        del target
        # Of a package that lies in several places, one of them may be the function's.
        places = self._own if path is None else [one for one in path if self._is_own(one)]
        for place in places:
            found = self._finder(place).find_spec(name)
            if found is not None and found.loader is not None:  # a folder alone shadows nothing
                self.stopped = name
                raise ImportError(f"{name} is in the function's own folders", name=name)
        return None

    def _is_own(self, place: str) -> bool:
        return any(place == own or place.startswith(own + os.sep) for own in self._own)

    def _finder(self, place: str) -> FileFinder:
        # Of our own: what those of sys.path know of a folder would be handed on to the workers.
        if place not in self._finders:
            self._finders[place] = FileFinder(place, *KINDS)
        return self._finders[place]

    def __enter__(self) -> Self:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        for place in self._own:
            sys.path_importer_cache.pop(place, None)


@dataclass(slots=True)
class Learned:
    """What came of it: what was imported, in order, and why others were not."""

    names: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    spoilt: str | None = None  # why this process may not fork


def try_out(
    names: Sequence[str], denied: Mapping[str, str], own: Sequence[str], private: Sequence[int]
) -> Learned:
    """
    Import *names* in a child, as often as it takes to do without those that will not do.

    Args:
        denied: modules that must not be imported here, and why.
        own: the function's folders.
        private: descriptors that the child has no business with.
    """
    found = Learned()
    until = time.monotonic() + TRIAL_S
    for _ in range(MOST_TRIALS):
        left = [name for name in names if name not in found.refused]
        tops, refused, reason = _Trial(left, denied, own, private).run(until)
        if refused is None:
            found.names = tops
            break
        found.refused[refused] = reason
    return found


def import_learned(names: Iterable[str], own: Sequence[str], say: Callable[[str], None]) -> Learned:
    """Import *names*, which have been tried, in this process for good; *say* which is next."""
    done = Learned()
    with Guard(own):
        for name in names:
            if name in sys.modules:
                continue
            say(name)
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a module raises)
                done.refused[name] = _told(error)
            else:
                done.names.append(name)
    if traces.outlasting_threads():
        done.spoilt = "a learned module"
    return done


# -- the child -------------------------------------------------------------------------------------


class _Trial:
    """One child that imports until something will not do. It tells what it does, line by line."""

    def __init__(
        self,
        names: Sequence[str],
        denied: Mapping[str, str],
        own: Sequence[str],
        private: Sequence[int],
    ) -> None:
        self._names = names
        self._denied = denied
        self._own = own
        self._private = private

    def run(self, until: float) -> tuple[list[str], str | None, str]:
        """Names that had to be imported; the one that will not do, if there is one, and why."""
        told = apart.tell(self._import_all, self._private, until)
        tree.sweep_children()
        begun: list[str] = []
        for line in told.data.decode("utf-8", "replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "begin":
                begun.append(rest)
            elif word == "refused":
                return [], begun[-1], rest
            elif word == "end":
                return begun, None, ""
        if not begun:
            return [], self._names[0] if self._names else "", "the trial did not begin"
        how = f"it ended the process ({told.exit_code})" if told.in_time else "it took too long"
        return [], begun[-1], how

    def _import_all(self, told_fd: int) -> None:
        written = os.memfd_create("fc-trial", os.MFD_CLOEXEC)
        for fd in (1, 2):
            os.dup2(written, fd)
        gc.enable()
        with Guard(self._own) as guard:
            for name in self._names:
                if name in sys.modules:
                    continue
                os.write(told_fd, f"begin {name}\n".encode())
                reason = self._import_one(name, guard, written)
                if reason is not None:
                    line = reason.encode("utf-8", "replace").splitlines()[0]
                    os.write(told_fd, b"refused " + line[:400] + b"\n")
                    return
        os.write(told_fd, b"end\n")

    def _import_one(self, name: str, guard: Guard, written: int) -> str | None:
        if name in self._denied:
            return self._denied[name]
        there = set(sys.modules)
        before = traces.Traces()
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 (a module may raise anything)
            return _told(error)
        if guard.stopped is not None:
            return f"it looks for {guard.stopped}, which the function has a file of"
        for new in sys.modules.keys() - there:
            if new in self._denied:
                return f"it imports {new}: {self._denied[new]}"
        if os.fstat(written).st_size:
            return "it writes to the log"
        return before.difference()


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
