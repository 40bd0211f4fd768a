"""
YAML as Serverless Devs reads it: the core schema of YAML 1.2, where ``on``, ``no``, ``010`` and
``12:30`` are what they look like, and not booleans and numbers as in 1.1.

The node tree is kept, so that any key can be found again with its line.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from fc_runtime.service.manifest.model import ManifestError

Key: TypeAlias = str | int
MAX_BYTES: Final = 1024 * 1024
_PLAIN: Final = (
    ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)


class _Loader(yaml.SafeLoader):
    """Plain values only, and a key that is there twice is an error, as it is to a person."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is here for the second time", key.start_mark
                    )
                seen.add(key.value)
        self.flatten_mapping(node)
        node.value = list({_name(key): (key, value) for key, value in node.value}.values())
        return super().construct_mapping(node, deep)


def _name(key: yaml.Node) -> object:
    """For telling keys apart: what is written out comes after what is merged in, and wins."""
    return key.value if isinstance(key, yaml.ScalarNode) else id(key)


for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^{_pattern}$"), _first)


class Source:
    """
    One file, read. Raises ManifestError if it cannot be, or is no YAML mapping.

    ``value`` may hold one object in several places (YAML's aliases).
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ManifestError(file, None, "", error.strerror or str(error)) from error
        if len(content) > MAX_BYTES:
            raise ManifestError(file, None, "", f"more than {MAX_BYTES} bytes, no manifest has")
        try:
            loader = _Loader(content)
            self._root = loader.get_single_node()
            value = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = None if mark is None else mark.line + 1
            raise ManifestError(file, line, "", f"no YAML: {error.problem}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ManifestError(file, None, "", f"no YAML: {told}") from error
        if not isinstance(value, dict):
            raise ManifestError(
                file, 1, "", "not a mapping: it needs edition, name, and services or resources"
            )
        self.value: dict[str, Any] = value

    def line(self, path: tuple[Key, ...]) -> int | None:
        """Of the key at *path*, or of the nearest one above it that is there."""
        node = self._root
        line: int | None = None
        for key in path:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return line

    def error(self, path: tuple[Key, ...], problem: str) -> ManifestError:
        return ManifestError(self.file, self.line(path), spoken(path), problem)


def spoken(path: tuple[Key, ...]) -> str:
    """``services.hi.triggers[0].name``"""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.lstrip(".")


def _child(node: yaml.Node | None, key: Key) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return name.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None
