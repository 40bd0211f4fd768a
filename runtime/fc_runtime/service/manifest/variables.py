"""
``${…}`` of Serverless Devs: what can be known on this machine is put in.

    ${env('X')}  ${env(X, default)}  ${env.X}      our own environment
    ${vars.a.b}  ${vars.a, default}                the file's ``vars``
    ${this.props.x}  ${this.name}                  the resource that it stands in
    ${resources.r.props.x}  ${r.props.x}           another resource
    ${path(./x)}  ${file(./x)}                     a path, or the text of a file, beside this one
    ${config(AccountID)}  ${config(Region)}        the daemon's own

Anything else (outputs of other resources, credentials) is left as it stands, with a warning. An
expression that is the whole value keeps its type; one inside a text becomes text.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fc_runtime.service.manifest.reading import Key, Source, spoken

MAX_NODES: Final = 100_000  # YAML's aliases can make a small file endless
MAX_DEPTH: Final = 60
_EXPRESSION: Final = re.compile(r"\$\{\{?\s*([^{}]+?)\s*\}?\}")
_CALL: Final = re.compile(r"(\w+)\(\s*(.*?)\s*\)", re.DOTALL)
_QUOTES: Final = "'\""


class _UnknownError(Exception):
    """It cannot be known here; the text says why."""


class Resolver:
    """
    Args:
        settings: what ``config(NAME)`` is to give, by the name in lower case.
    """

    def __init__(self, source: Source, settings: Mapping[str, str]) -> None:
        self._source = source
        self._settings = settings
        self._nodes = 0
        self._open: list[str] = []  # expressions being resolved: a circle is told, not followed
        self.warnings: list[str] = []

    def resolve(self, value: object, path: tuple[Key, ...], this: Mapping[str, Any]) -> Any:
        """A copy of *value* without the expressions. Raises ManifestError if it has no end."""
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise self._source.error(path[:4], "too large or too deep, with its aliases followed")
        if isinstance(value, dict):
            return {
                str(key): self.resolve(inner, (*path, str(key)), this)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.resolve(inner, (*path, n), this) for n, inner in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path, this)
        return value

    def _text(self, text: str, path: tuple[Key, ...], this: Mapping[str, Any]) -> Any:
        whole = _EXPRESSION.fullmatch(text)
        if whole:
            return self._put(whole, path, this)

        def as_text(match: re.Match[str]) -> str:
            found = self._put(match, path, this)
            return _as_text(found)

        return _EXPRESSION.sub(as_text, text)

    def _put(self, match: re.Match[str], path: tuple[Key, ...], this: Mapping[str, Any]) -> Any:
        expression = match[1]
        if expression in self._open:
            raise self._source.error(path, f"{match[0]} refers to itself")
        self._open.append(expression)
        try:
            return self.resolve(self._value(expression, this), path, this)
        except _UnknownError as unknown:
            line = self._source.line(path)
            self.warnings.append(
                f"{self._source.file}:{line}: {spoken(path)}: {match[0]} is left as it stands: "
                f"{unknown}"
            )
            return _as_it_stands(match[0])
        finally:
            self._open.pop()

    def _value(self, expression: str, this: Mapping[str, Any]) -> Any:
        call = _CALL.fullmatch(expression)
        if call:
            return _as_it_stands(self._call(call[1].lower(), *_default(call[2])))
        name, default = _default(expression)
        if name.startswith("env."):
            return _as_it_stands(self._call("env", name.removeprefix("env."), default))
        try:
            return self._reference(name, this)
        except _UnknownError:
            if default is None:
                raise
            return default

    def _call(self, function: str, argument: str, default: str | None) -> Any:
        beside = self._source.file.parent / argument
        text = _text_of(beside) if function == "file" else None
        match function:
            case "env" if argument in os.environ:
                return os.environ[argument]
            case "config" if argument.lower() in self._settings:
                return self._settings[argument.lower()]
            case "path":
                return str(beside.absolute())
            case "file" if text is not None:
                return text
            case _ if default is not None:
                return default
            case "env":
                raise _UnknownError(f"{argument} is not set in the environment")
            case "file":
                raise _UnknownError(f"there is no file {argument} that can be read as UTF-8")
            case _:
                raise _UnknownError("that is not known here")

    def _reference(self, name: str, this: Mapping[str, Any]) -> Any:
        first, *rest = name.split(".")
        root = self._source.value
        resources = {**_mapping(root.get("services")), **_mapping(root.get("resources"))}
        if first in ("resources", "services") and rest:
            first, *rest = rest
        places: dict[str, Any] = {"vars": root.get("vars"), "this": this}
        value = places[first] if first in places else resources.get(first)
        for key in rest:
            if not isinstance(value, Mapping) or key not in value:
                raise _UnknownError(
                    "only a deployment has it" if "output" in rest else f"there is no {name}"
                )
            value = value[key]
        if value is None:
            raise _UnknownError(f"there is no {name}")
        return value


def _text_of(file: Path) -> str | None:
    """None if there is none: no file, none of ours to read, no text."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):  # the latter: not UTF-8, or a name with NUL in it
        return None


def _as_it_stands(text: str) -> str:
    """*text*, marked so that nothing in it is looked at again; `finished` takes the mark away."""
    return text.replace("${", "$\0{")


def finished(value: Any) -> Any:
    """*value* with what was left as it stands, as it stood."""
    if isinstance(value, dict):
        return {key: finished(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finished(inner) for inner in value]
    return value.replace("$\0{", "${") if isinstance(value, str) else value


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _default(text: str) -> tuple[str, str | None]:
    """``'X', 'or this'`` as both, without the quotes."""
    name, comma, default = text.partition(",")
    return _bare(name), _bare(default) if comma else None


def _bare(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0]
    return text[1:-1] if quoted else text


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
