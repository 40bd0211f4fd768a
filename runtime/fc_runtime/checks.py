"""
What a field of a `Function` may hold: each check hands back the value as it is kept, or raises an
InvalidFunctionError that names the field, its value, and what would do.
"""

import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fc_runtime import code_package
from fc_runtime.credentials import is_text
from fc_runtime.errors import InvalidFunctionError

MAX_TIMEOUT_S: Final = 86_400.0  # FC's own, spec 12
MAX_ENVIRONMENT_BYTES: Final = 64 * 1024  # FC allows 4 KiB; we are no stricter than need be
MAX_LIST_BYTES: Final = 16 * 1024  # all preloads, or all layers: it goes in one datagram
MAX_LABEL_CHARS: Final = 512
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
    path = Path(given).absolute()
    if path.is_dir():
        return path.resolve()
    if not path.exists():
        raise InvalidFunctionError("code", str(value), f"there is no {path}")
    if path.suffix != ".zip":
        raise InvalidFunctionError("code", str(value), "neither a folder nor a .zip file")
    code_package.check_zip(path)
    return path.resolve()


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
    return MappingProxyType(dict(value))


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
