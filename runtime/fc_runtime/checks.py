"""
What a field of a `Function` may hold: each check hands back the value as it is kept, or raises an
InvalidFunctionError that names the field, its value, and what would do.
"""

import logging
import math
import os
import re
import select
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from fc_runtime import code_package
from fc_runtime.credentials import is_text
from fc_runtime.errors import InvalidFunctionError

MAX_TIMEOUT_S: Final = 86_400.0  # FC's own, spec 12
MAX_ENVIRONMENT_BYTES: Final = 64 * 1024  # FC allows 4 KiB; we are no stricter than need be
MAX_LIST_BYTES: Final = 16 * 1024  # all preloads, or all layers: it goes in one datagram
MAX_LABEL_CHARS: Final = 512
LONGEST_DRAIN_S: Final = 1e9  # a lock cannot be waited for much longer
MIN_CPUS: Final = 0.05  # FC's own, spec 12
MAX_CPUS: Final = 256.0
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"accessKeyID", "accessKeySecret", "securityToken"})


def positive_seconds(name: str, value: object, most: float = MAX_TIMEOUT_S) -> float:
    """*value* as seconds; refuses zero, negatives, NaN, booleans and what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFunctionError(name, value, "a number of seconds")
    # Compared before it is converted: an int may be larger than any float.
    if not 0 < value <= min(most, sys.float_info.max):
        limit = "" if math.isinf(most) else f", at most {most:g}"
        raise InvalidFunctionError(name, value, f"a positive, finite number of seconds{limit}")
    return float(value)


def check_label(name: str, value: object) -> None:
    """A short text that stands on a line of its own, or nothing."""
    if not isinstance(value, str) or not is_text(value):
        raise InvalidFunctionError(name, value, "a text")
    if len(value) > MAX_LABEL_CHARS or _CONTROL.search(value):
        raise InvalidFunctionError(
            name, value, f"at most {MAX_LABEL_CHARS} characters, none of them a control character"
        )


def checked_drain(value: object) -> float | None:
    """Seconds to go on for; None is as long as need be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidFunctionError("drain", value, "a number of seconds, or None")
    return float(min(value, LONGEST_DRAIN_S))


def check_log(value: object) -> None:
    for word in ("debug", "info", "warning"):
        if not callable(getattr(value, word, None)):
            raise InvalidFunctionError("log", value, "a structlog logger, or None")
    if isinstance(value, logging.Logger | logging.LoggerAdapter):
        raise InvalidFunctionError(
            "log", value, "structlog.wrap_logger(…) of it: events have fields of their own"
        )


def check_interpreter() -> None:
    """What this program is run by: instances are made by it, too."""
    path = sys.executable
    named_python = isinstance(path, str) and Path(path).name.startswith("python")
    if not isinstance(path, str) or not path or (hasattr(sys, "frozen") and not named_python):
        raise InvalidFunctionError(
            "sys.executable", path, "the path of a Python interpreter, which makes the instances"
        )
    if not hasattr(select, "epoll"):
        raise InvalidFunctionError(
            "select", "no epoll", "a process that nothing (gevent?) has patched, on Linux"
        )


def check_word(name: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise InvalidFunctionError(name, value, f"one of {', '.join(words)}")


def checked_cpu(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFunctionError("cpu", value, "a number of CPUs")
    if not MIN_CPUS <= value <= MAX_CPUS:  # also refuses NaN
        raise InvalidFunctionError("cpu", value, f"from {MIN_CPUS:g} to {MAX_CPUS:g}")
    return float(value)


def check_whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFunctionError(name, value, "a whole number")
    if not least <= value <= most:
        raise InvalidFunctionError(name, value, f"from {least} to {most}")


def existing_code(value: object) -> Path:
    given = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not given or not is_text(given):
        raise InvalidFunctionError("code", value, "the path of a folder or of a .zip file")
    try:
        path = Path(given).absolute()
        is_folder = path.is_dir()
        if not path.exists():
            raise InvalidFunctionError("code", str(value), f"there is no {path}")
    except OSError as error:  # no working directory; a name that is too long
        raise InvalidFunctionError(
            "code", given[:100], f"it cannot be looked at: {error}"
        ) from error
    if is_folder:
        return path.resolve()
    if path.suffix != ".zip":
        raise InvalidFunctionError("code", str(value), "neither a folder nor a .zip file")
    code_package.check_zip(path)
    return path.resolve()


class FixedMapping(dict[str, str]):
    """A dict that stays as it is, so that it can have a hash; copies and pickles as any other."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this mapping cannot be changed; make another one")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type["FixedMapping"], tuple[dict[str, str]]]:
        return FixedMapping, (dict(self),)


def checked_environment(value: object) -> Mapping[str, str]:
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
    return FixedMapping(value)


def checked_modules(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidFunctionError(field, value, "a sequence of module names")
    for name in value:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidFunctionError(field, name, "a module's name, such as 'numpy'")
    _check_bytes(field, value, MAX_LIST_BYTES)
    return tuple(value)


def check_flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidFunctionError(field, value, "True or False")


def checked_layers(value: object) -> tuple[Path, ...]:
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
