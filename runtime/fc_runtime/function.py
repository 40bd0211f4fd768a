"""
What a function is: frozen data, checked where it is made.

Units are in the docstring because the names are FC's own (`timeout` in seconds, `memory_mb`).
"""

import keyword
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from fc_runtime import code_package
from fc_runtime.checks import (
    MAX_TIMEOUT_S,
    check_flag,
    check_label,
    check_whole,
    check_word,
    checked_cpu,
    checked_environment,
    checked_layers,
    checked_modules,
    existing_code,
    positive_seconds,
)
from fc_runtime.credentials import Credentials, CredentialsSource
from fc_runtime.errors import InvalidFunctionError

MIN_MEMORY_MB: Final = 32  # an interpreter with msgpack, json and logging holds 15 to 20
MAX_MEMORY_MB: Final = 32 * 1024  # FC's own, spec 12
MAX_HOOK_S: Final = 90.0  # FC's own, spec 3
MAX_IDLE_S: Final = 1e9  # thirty years: as good as never
MAX_PROCESSES: Final = 32_768
MAX_SCRATCH_MB: Final = 10 * 1024  # FC's own, spec 12
SANDBOXES: Final = ("none", "standard", "strict")
SCRATCHES: Final = ("keep", "empty", "host")
NETWORKS: Final = ("none", "host")
_LABELS: Final = "service qualifier version_id region account_id log_project log_store".split()
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


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
        preload_learned: have it also import what a first instance imported from outside of the
            code folder and the layers, where that does no harm (docs/operations.md).
        preload_denied: modules that are not to be learned, nor what imports them.
        sandbox: ``none``, ``standard`` or ``strict`` (docs/security.md).
        network: ``host`` or ``none``; None is ``none`` under ``strict``, else ``host``.
        max_processes: processes and threads of one instance, as FC's 1,024 (spec 12).
        cpu: CPUs' worth of time for one instance; None for as much as there is.
        scratch: ``keep``: an instance has a /tmp of its own that lasts as long as it does, as in
            FC; ``empty``: emptied after every invocation; ``host``: the host's own /tmp.
        scratch_mb: MiB that fit in it, 1 to 10,240; what is in it counts as memory.
        layers: folders laid out like an FC layer; ``python/`` in them is importable (spec 9.B).
        known_as: what a `Runtime` knows it by; None for its name. Two versions of one function
            can be registered side by side: to the handler both are called ``name``.
        service, qualifier, version_id, log_project, log_store: for the context (spec 2.A), and
            the first three for ``FC_SERVICE_NAME``, ``FC_QUALIFIER`` and ``FC_VER_ID``.
        region, account_id: as well; empty for those of the `Runtime`.
        pre_stop: a handler string; called with the context before an instance is retired in good
            order (idle, replaced, worn out, closed), for at most ``pre_stop_timeout`` seconds, 90.
        pre_freeze: as well, after each invocation, whose caller does not wait for it.

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
    preload_learned: bool = True
    preload_denied: Sequence[str] = ()
    sandbox: str = "standard"
    layers: Sequence[str | os.PathLike[str]] = ()
    network: str | None = None
    max_processes: int = 1024
    cpu: float | None = None
    scratch: str = "keep"
    scratch_mb: int = 512
    known_as: str | None = None
    service: str = ""
    qualifier: str = "LATEST"
    version_id: str = ""
    region: str = ""
    account_id: str = ""
    log_project: str = ""
    log_store: str = ""
    pre_stop: str | None = None
    pre_stop_timeout: float = 3.0
    pre_freeze: str | None = None
    pre_freeze_timeout: float = 3.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidFunctionError(
                "name", self.name, "letters, digits, _ and -, not starting with a digit or -"
            )
        _put(self, "code", existing_code(self.code))
        _check_handler(self, "handler", self.handler)
        _check_hooks(self)
        for name, most in (
            ("timeout", MAX_TIMEOUT_S),
            ("initialization_timeout", MAX_TIMEOUT_S),
            ("idle_timeout", MAX_IDLE_S),
            ("pre_stop_timeout", MAX_HOOK_S),
            ("pre_freeze_timeout", MAX_HOOK_S),
        ):
            _put(self, name, positive_seconds(name, getattr(self, name), most))
        check_whole("memory_mb", self.memory_mb, MIN_MEMORY_MB, MAX_MEMORY_MB)
        check_whole("min_instances", self.min_instances, 0, 10_000)
        check_whole("max_instances", self.max_instances, max(1, self.min_instances), 10_000)
        if self.max_invocations is not None:
            check_whole("max_invocations", self.max_invocations, 1, 2**63)
        _put(self, "environment", checked_environment(self.environment))
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
        for name in ("preload", "preload_denied"):
            _put(self, name, checked_modules(name, getattr(self, name)))
        check_flag("preload_learned", self.preload_learned)
        check_word("sandbox", self.sandbox, SANDBOXES)
        if self.network is not None:
            check_word("network", self.network, NETWORKS)
            if self.network == "none" and self.sandbox != "strict":
                raise InvalidFunctionError(
                    "network", "none", "only sandbox='strict' can take the network away"
                )
        elif self.sandbox != "strict":
            _put(self, "network", "host")
        check_whole("max_processes", self.max_processes, 1, MAX_PROCESSES)
        if self.cpu is not None:
            _put(self, "cpu", checked_cpu(self.cpu))
        check_word("scratch", self.scratch, SCRATCHES)
        if self.scratch == "host" and self.sandbox == "strict":
            raise InvalidFunctionError("scratch", "host", "sandbox='strict' hides the host's /tmp")
        if self.scratch == "empty" and self.sandbox == "none":
            raise InvalidFunctionError("scratch", "empty", "sandbox='none' has the host's /tmp")
        check_whole("scratch_mb", self.scratch_mb, 1, MAX_SCRATCH_MB)
        _put(self, "layers", checked_layers(self.layers))
        _check_labels(self)

    @property
    def key(self) -> str:
        """What a `Runtime` knows it by."""
        return self.known_as or self.name

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


def _check_hooks(function: Function) -> None:
    for name in ("initializer", "pre_stop", "pre_freeze"):
        value = getattr(function, name)
        if value is not None:
            _check_handler(function, name, value)


def _check_labels(function: Function) -> None:
    for name in _LABELS:
        check_label(name, getattr(function, name))
    if function.known_as is not None:
        check_label("known_as", function.known_as)
        if not function.known_as:
            raise InvalidFunctionError("known_as", "", "a text, or None for the name")


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
