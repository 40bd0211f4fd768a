"""
What a function is: frozen data, checked where it is made.

Units are in the docstring because the names are FC's own (`timeout` in seconds, `memory_mb`).
"""

import keyword
import math
import os
import posixpath
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fc_runtime import code_package
from fc_runtime.credentials import Credentials, CredentialsSource, is_text
from fc_runtime.errors import InvalidFunctionError

MIN_MEMORY_MB: Final = 32  # an interpreter with msgpack, json and logging holds 15 to 20
MAX_MEMORY_MB: Final = 32 * 1024  # FC's own, spec 12
MAX_TIMEOUT_S: Final = 86_400.0  # FC's own, spec 12
MAX_IDLE_S: Final = 1e9  # thirty years: as good as never
MAX_ENVIRONMENT_BYTES: Final = 64 * 1024  # FC allows 4 KiB; we are no stricter than need be
MAX_LIST_BYTES: Final = 16 * 1024  # all preloads, or all layers: it goes in one datagram
MAX_PROCESSES: Final = 32_768
MAX_SCRATCH_MB: Final = 10 * 1024  # FC's own, spec 12
MIN_CPUS: Final = 0.05  # FC's own, spec 12
MAX_CPUS: Final = 256.0
SANDBOXES: Final = ("none", "standard", "strict")
SCRATCHES: Final = ("keep", "empty", "host")
NETWORKS: Final = ("none", "host")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"accessKeyID", "accessKeySecret", "securityToken"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """
    A handler and what it may use.

    Args:
        name: letters, digits, ``_`` and ``-``, at most 128 (spec 7.C).
        code: a folder, or a .zip file, that holds the handler's module.
        handler: ``index.handler``, ``dir/index.handler`` or ``pkg.mod.handler`` (spec 1.A).
        initializer: a handler string too; called once per instance with the context (spec 3).
        timeout: seconds for one invocation, at most 86,400. FC's default.
        initialization_timeout: seconds for import and initializer together. FC2's default of 3
            kills whoever imports pandas on a laptop, so ours is 30.
        memory_mb: MiB for the whole process tree, 32 to 32,768.
        environment: variables besides FC's own, whose names are reserved (spec 9.B).
        credentials: for ``context.credentials``; a callable is asked again before they expire.
        min_instances: kept warm even when idle; started by `Runtime.register`.
        max_instances: invocations at the same time.
        idle_timeout: seconds after which an unused instance is retired.
        max_invocations: replace an instance after so many; 1 means a fresh process every time.
        preload: modules that the zygote imports once for all instances.
        sandbox: ``none``, ``standard`` or ``strict`` (docs/security.md).
        network: ``host`` or ``none``; None is ``none`` under ``strict``, else ``host``.
        max_processes: processes and threads of one instance, as FC's 1,024 (spec 12).
        cpu: CPUs' worth of time for one instance; None for as much as there is.
        scratch: ``keep``: an instance has a /tmp of its own that lasts as long as it does, as in
            FC; ``empty``: emptied after every invocation; ``host``: the host's own /tmp.
        scratch_mb: MiB that fit in it, 1 to 10,240; what is in it counts as memory.
        layers: folders laid out like an FC layer; ``python/`` in them is importable (spec 9.B).

    Raises:
        InvalidFunctionError: names the field, its value, and what would do.
    """

    name: str
    code: str | os.PathLike[str]  # a Path once made
    handler: str = "index.handler"
    initializer: str | None = None
    timeout: float = 3.0
    initialization_timeout: float = 30.0
    memory_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    credentials: CredentialsSource | None = None
    min_instances: int = 0
    max_instances: int = 10
    idle_timeout: float = 300.0
    max_invocations: int | None = None
    preload: Sequence[str] = ()
    sandbox: str = "standard"
    layers: Sequence[str | os.PathLike[str]] = ()
    network: str | None = None
    max_processes: int = 1024
    cpu: float | None = None
    scratch: str = "keep"
    scratch_mb: int = 512

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidFunctionError(
                "name", self.name, "letters, digits, _ and -, not starting with a digit or -"
            )
        _put(self, "code", _existing_code(self.code))
        _check_handler(self, "handler", self.handler)
        if self.initializer is not None:
            _check_handler(self, "initializer", self.initializer)
        for name, most in (
            ("timeout", MAX_TIMEOUT_S),
            ("initialization_timeout", MAX_TIMEOUT_S),
            ("idle_timeout", MAX_IDLE_S),
        ):
            _put(self, name, positive_seconds(name, getattr(self, name), most))
        _check_whole("memory_mb", self.memory_mb, MIN_MEMORY_MB, MAX_MEMORY_MB)
        _check_whole("min_instances", self.min_instances, 0, 10_000)
        _check_whole("max_instances", self.max_instances, max(1, self.min_instances), 10_000)
        if self.max_invocations is not None:
            _check_whole("max_invocations", self.max_invocations, 1, 2**63)
        _put(self, "environment", _checked_environment(self.environment))
        if not (
            self.credentials is None
            or isinstance(self.credentials, Credentials)
            or callable(self.credentials)
        ):
            raise InvalidFunctionError(
                "credentials",
                type(self.credentials).__name__,
                "a Credentials, or a callable that returns one",
            )
        _put(self, "preload", _checked_preload(self.preload))
        _check_word("sandbox", self.sandbox, SANDBOXES)
        if self.network is not None:
            _check_word("network", self.network, NETWORKS)
            if self.network == "none" and self.sandbox != "strict":
                raise InvalidFunctionError(
                    "network", "none", "only sandbox='strict' can take the network away"
                )
        elif self.sandbox != "strict":
            _put(self, "network", "host")
        _check_whole("max_processes", self.max_processes, 1, MAX_PROCESSES)
        if self.cpu is not None:
            _put(self, "cpu", _checked_cpu(self.cpu))
        _check_word("scratch", self.scratch, SCRATCHES)
        if self.scratch == "host" and self.sandbox == "strict":
            raise InvalidFunctionError("scratch", "host", "sandbox='strict' hides the host's /tmp")
        if self.scratch == "empty" and self.sandbox == "none":
            raise InvalidFunctionError("scratch", "empty", "sandbox='none' has the host's /tmp")
        _check_whole("scratch_mb", self.scratch_mb, 1, MAX_SCRATCH_MB)
        _put(self, "layers", _checked_layers(self.layers))

    @classmethod
    def made_from(cls, name: str, options: Mapping[str, Any]) -> "Function":
        """As the constructor, but an unknown option is an InvalidFunctionError too."""
        known = [entry.name for entry in fields(cls) if entry.name != "name"]
        for option, value in options.items():
            if option not in known:
                raise InvalidFunctionError(option, value, f"no such field; {', '.join(known)}")
        if "code" not in options:
            raise InvalidFunctionError("code", None, "the folder or .zip that holds the handler")
        return cls(name=name, **options)


def _put(function: Function, name: str, value: object) -> None:
    object.__setattr__(function, name, value)  # the frozen dataclass's own way to normalise


def positive_seconds(name: str, value: object, most: float = MAX_TIMEOUT_S) -> float:
    """*value* as seconds; refuses zero, negatives, NaN, booleans and what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFunctionError(name, value, "a number of seconds")
    # Compared before it is converted: an int may be larger than any float.
    if not 0 < value <= min(most, sys.float_info.max):
        limit = "" if math.isinf(most) else f", at most {most:g}"
        raise InvalidFunctionError(name, value, f"a positive, finite number of seconds{limit}")
    return float(value)


def _check_word(name: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise InvalidFunctionError(name, value, f"one of {', '.join(words)}")


def _checked_cpu(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFunctionError("cpu", value, "a number of CPUs")
    if not MIN_CPUS <= value <= MAX_CPUS:  # also refuses NaN
        raise InvalidFunctionError("cpu", value, f"from {MIN_CPUS:g} to {MAX_CPUS:g}")
    return float(value)


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFunctionError(name, value, "a whole number")
    if not least <= value <= most:
        raise InvalidFunctionError(name, value, f"from {least} to {most}")


def _existing_code(value: object) -> Path:
    given = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not given or not is_text(given):
        raise InvalidFunctionError("code", value, "the path of a folder or of a .zip file")
    path = Path(given).absolute()
    if path.is_dir():
        return path.resolve()
    if not path.exists():
        raise InvalidFunctionError("code", str(value), f"there is no {path}")
    if path.suffix != ".zip":
        raise InvalidFunctionError("code", str(value), "neither a folder nor a .zip file")
    code_package.check_zip(path)
    return path.resolve()


def _check_handler(function: Function, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidFunctionError(name, value, "a text such as 'index.handler'")
    module, dot, attribute = value.rpartition(".")
    if not dot or not module or not attribute:
        raise InvalidFunctionError(name, value, "'module.function', such as 'index.handler'")
    if not attribute.isidentifier() or keyword.iskeyword(attribute):
        raise InvalidFunctionError(name, value, f"{attribute!r} cannot be a function's name")
    folder, slash, dotted = module.rpartition("/")
    if module.startswith("/") or ".." in folder.split("/"):
        raise InvalidFunctionError(name, value, "the module must lie in the code folder")
    if "" in dotted.split("."):
        raise InvalidFunctionError(name, value, f"{dotted!r} cannot be a module's name")
    stem = posixpath.normpath(folder + slash + dotted.replace(".", "/"))
    if not code_package.has_module(Path(function.code), stem):
        raise InvalidFunctionError(name, value, f"there is no {stem}.py in {function.code}")


def _checked_environment(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidFunctionError("environment", value, "a mapping of names to texts")
    for name, text in value.items():
        key = f"environment[{name!r}]"
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise InvalidFunctionError(key, name, "letters, digits and _, starting with a letter")
        if name in _RESERVED or name.startswith("FC_"):
            raise InvalidFunctionError(key, name, "reserved by Function Compute")
        if not is_text(text):
            raise InvalidFunctionError(key, type(text).__name__, "a text without NUL")
    _check_bytes(
        "environment", [f"{name}={text}\0" for name, text in value.items()], MAX_ENVIRONMENT_BYTES
    )
    return MappingProxyType(dict(value))


def _checked_preload(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidFunctionError("preload", value, "a sequence of module names")
    for name in value:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidFunctionError("preload", name, "a module's name, such as 'numpy'")
    _check_bytes("preload", value, MAX_LIST_BYTES)
    return tuple(value)


def _checked_layers(value: object) -> tuple[Path, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidFunctionError("layers", value, "a sequence of folders")
    for layer in value:
        if (
            not isinstance(layer, str | os.PathLike)
            or not is_text(os.fspath(layer))
            or not Path(layer).is_dir()
        ):
            raise InvalidFunctionError("layers", layer, "there is no such folder")
    layers = tuple(Path(layer).resolve() for layer in value)
    _check_bytes("layers", [str(layer) for layer in layers], MAX_LIST_BYTES)
    return layers


def _check_bytes(name: str, texts: Sequence[str], most: int) -> None:
    if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) > most:
        raise InvalidFunctionError(name, "…", f"at most {most} bytes in all")
