"""
From a handler string to a function: ``dir/index.handler`` as Function Compute reads it.

The module is *found* in the code directory only, one name after the other and without importing
parent packages, and then *named* by the whole text before the last dot (``dir/index``, slashes
kept). If that name is in `sys.modules` already, that module is used, whatever was found: a user
file called ``json.py`` loses to the standard library's. All that fails here is one of five error
types with a flat stack trace, unlike what fails later (spec 1.A, 5.A).
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import FileFinder, ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from types import CodeType, ModuleType, TracebackType
from typing import Any, Final, NamedTuple

from fc_worker import ahead, respond
from fc_worker.own_imports import KINDS, Own, offer

_LIBRARIES: Final = f"python/lib/python{sys.version_info.major}.{sys.version_info.minor}"


class LoadError(Exception):
    """
    The handler string names nothing that can be called.

    ``error_type`` is one of ImportModuleError, UserCodeSyntaxError, UserCodeError,
    InvalidHandleName, HandlerNotFound (spec 5.A). ``traceback`` is for people and shows where the
    user's module failed. All texts are bounded and encodable; `body` is what the caller gets.
    """

    def __init__(self, error_type: str, error_message: str, cause: Exception) -> None:
        super().__init__(error_message)
        self.error_type = error_type
        self.error_message = respond.encodable(error_message)
        self.stack_trace = _flat_stack_trace(cause)
        self.traceback = respond.traceback_text(cause, _without_ours(cause.__traceback__))

    def details(self) -> dict[str, Any]:
        """What Function Compute logs as this dict's repr, and answers as JSON."""
        return respond.error_details(self.error_type, self.error_message, self.stack_trace)

    def body(self) -> bytes:
        """The error body: JSON, sorted, 4 spaces, UTF-8 (spec 5.A)."""
        return respond.error_body(self.details())


# A file named like a module that is already imported is never run (spec 1.A): FC's trap, with
# FC's modules. These are imported here and not there, so a file of that name has to run.
_ONLY_OURS: Final = frozenset(
    "ast copy ctypes dataclasses dis faulthandler gc inspect msgpack opcode resource typing".split()
)


class Found(NamedTuple):
    """Where a module is, and in which folders it was looked for."""

    spec: ModuleSpec
    places: list[str]

    def leads_like(self, other: "Found") -> bool:
        return self.places == other.places and self.spec.origin == other.spec.origin


class Loader:
    """Loads from one code directory. Modules and functions are looked up once (spec 1.12)."""

    def __init__(self, code_dir: str) -> None:
        self._code_dir = os.path.abspath(code_dir)
        self._ahead: dict[str, ahead.Ready] = {}
        self._own: dict[str, Own] = {}
        self._modules: dict[str, ModuleType] = {}
        self._functions: dict[str, Callable[..., object]] = {}

    def load(self, handler: str) -> Callable[..., object]:
        """
        The object that *handler* names, importing its module on the first call.

        It is not asked whether it can be called: calling it will say so (spec 1.A, last row).
        Raises: LoadError; what a module's ``__getattr__`` raises other than AttributeError; any
            BaseException that is no Exception, such as SystemExit at import (spec 1.13).
        """
        if handler in self._functions:
            return self._functions[handler]
        try:
            module_name, name = handler.rsplit(".", 1)
        except ValueError as error:
            raise LoadError("InvalidHandleName", f"Invalid handler '{handler}'", error) from error
        module = self._module(module_name)
        try:
            function: Callable[..., object] = getattr(module, name)
        except AttributeError as error:
            message = f"Handler '{name}' is missing on module '{module_name}'"
            raise LoadError("HandlerNotFound", message, error) from error
        self._functions[handler] = function
        return function

    def look_ahead(
        self, handler: str, folders: Sequence[str], private: Sequence[int], until: float
    ) -> None:
        """
        Find and compile what `load` will run, where that can be done ahead. Never raises.

        Args:
            folders: as `own_folders` has them; what is imported from there is compiled, too.
            private: descriptors that whoever compiles has no business with.
            until: when to give up, on `time.monotonic`.
        """
        name = handler.rpartition(".")[0]
        if name in self._ahead:
            return
        try:
            found = self._find(name)
            seen = ahead.states_of([*found.places, str(found.spec.origin)])
            again = self._find(name)
        except (ImportError, OSError, ValueError):
            return  # an instance will say what is wrong
        compiled, own = ahead.compile_apart(found.spec, folders, private, until)
        self._own.update(own)
        offer(self._own)
        if compiled is None:
            return
        ready = ahead.Ready(module_from_spec(found.spec), compiled, seen)
        if again.leads_like(found) and ready.still_holds():
            self._ahead[name] = ready

    def _module(self, name: str) -> ModuleType:
        if name not in self._modules:
            try:
                self._modules[name] = self._loaded(name)
            except Exception as error:
                raise _import_failure(error, name) from error
        return self._modules[name]

    def _loaded(self, name: str) -> ModuleType:
        trapped = name in sys.modules and name not in _ONLY_OURS
        ready = self._ahead.get(name)
        if ready is not None and ready.still_holds():
            return sys.modules[name] if trapped else _execute(ready.module, ready.compiled.code)
        spec = self._find(name).spec
        return sys.modules[name] if trapped else _execute(module_from_spec(spec), None)

    def _find(self, name: str) -> Found:
        """Raises ImportError."""
        folder, _, dotted = name.rpartition("/")
        places: list[str] = []
        place = os.path.normpath(os.path.join(self._code_dir, folder))
        inside = place == self._code_dir or place.startswith(self._code_dir + os.sep)
        for segment in dotted.split("."):
            places.append(place)
            # A finder of our own: those of sys.path may remember the folder as it was before.
            found = FileFinder(place, *KINDS).find_spec(segment) if inside else None
            if found is None or found.origin is None:  # a folder alone is no package here
                raise ImportError(f"No module named {segment!r}", name=segment)
            location = found.origin
            # Below a plain file the next finder will find nothing.
            place = next(iter(found.submodule_search_locations or ()), location)
        # Never None for a suffix that the finder has just accepted.
        return Found(spec_from_file_location(name, location), places)  # type: ignore[arg-type]


def prepare_sys_path(code_dir: str, layers: Iterable[str]) -> None:
    """
    Put code directory, layers and ``/opt`` before what `sys.path` has, each entry once.

    Args:
        code_dir: absolute path, becomes ``sys.path[0]``.
        layers: absolute paths of unpacked layers, first one first.
    Source: spec 1.B, 9.B. In Function Compute all layers lie in one ``/opt``: so what any of them
    has in ``site-packages`` comes before what any of them has in ``python``.
    """
    sys.path[:] = dict.fromkeys([*own_folders(code_dir, layers), *sys.path])


def own_folders(code_dir: str, layers: Iterable[str]) -> list[str]:
    """Where modules of the function's own are looked for, as `prepare_sys_path` has them."""
    roots = [*layers, "/opt"]
    libraries = [f"{root}/{_LIBRARIES}/site-packages" for root in roots]
    return [code_dir, *libraries, *(f"{root}/python" for root in roots)]


def _execute(module: ModuleType, code: CodeType | None) -> ModuleType:
    """
    Run the empty *module*. It is in `sys.modules` meanwhile and, unless it fails, for good.

    Args:
        code: of it, if that has been compiled already.
    """
    spec: ModuleSpec = module.__spec__  # type: ignore[assignment]  # it was made of one
    sys.modules[spec.name] = module
    try:
        if code is not None:
            exec(code, vars(module))  # noqa: S102 (what a loader does)
        else:
            spec.loader.exec_module(module)  # type: ignore[union-attr]  # a file's spec has one
    except BaseException:
        sys.modules.pop(spec.name, None)
        raise
    return sys.modules.get(spec.name, module)  # some modules put another object in their place


def _import_failure(error: Exception, module_name: str) -> LoadError:
    # Order and quirk are Function Compute's: any ValueError blames the handler string.
    if isinstance(error, ImportError):
        return LoadError("ImportModuleError", f"Unable to import module '{module_name}'", error)
    if isinstance(error, SyntaxError):
        return LoadError("UserCodeSyntaxError", f"Syntax error in module '{module_name}'", error)
    if isinstance(error, ValueError):
        return LoadError("InvalidHandleName", f"Invalid handler '{module_name}'", error)
    message = f"Module initialization error: '{respond.message_of(error)}'"
    return LoadError("UserCodeError", message, error)


def _flat_stack_trace(error: Exception) -> list[str]:
    """
    The end of *error*'s traceback, carets taken out, its first part cut at every comma: meant for
    the place of a syntax error, but done to every message.
    """
    first, *rest = respond.exception_lines(error)
    parts = first.replace("\n", ",").split(",")
    for text in rest:
        parts += text.split("\n")
    stripped = (respond.encodable(part).replace("^", "").strip() for part in parts)
    return [part for part in stripped if part]


def _without_ours(step: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is neither ours nor the import system's."""
    while step is not None:
        file_name = step.tb_frame.f_code.co_filename
        if file_name != __file__ and not file_name.startswith("<frozen importlib"):
            break
        step = step.tb_next
    return step
