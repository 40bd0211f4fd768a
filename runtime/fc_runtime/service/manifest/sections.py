"""A part of a manifest: asked for what it must hold, it gives that, or a ManifestError."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Never

from fc_runtime.service.manifest.keys import Place, unknown
from fc_runtime.service.manifest.reading import Key, Source, spoken

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"accessKeyID", "accessKeySecret", "securityToken"})  # spec 9.B


class Section:
    """A mapping at a place in the file. Keys are read by name; `rest` is what nobody asked for."""

    def __init__(self, source: Source, path: tuple[Key, ...], value: Mapping[str, Any]) -> None:
        self._source = source
        self._path = path
        self._value = value
        self._read: set[str] = set()

    def fail(self, key: str | None, problem: str) -> Never:
        """Raise for *key*, or for the section as a whole."""
        raise self._source.error(self._path if key is None else (*self._path, key), problem)

    def where(self, key: str | None = None) -> str:
        path = self._path if key is None else (*self._path, key)
        return f"{self._source.file}:{self._source.line(path)}"

    def get(self, key: str) -> Any:
        """As it is; None if it is not there."""
        self._read.add(key)
        return self._value.get(key)

    def text(self, key: str, mend: str) -> str | None:
        value = self.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.fail(key, f"{value!r}: {mend}")
        return str(value)

    def required(self, key: str, mend: str) -> str:
        value = self.text(key, mend)
        if value is None:
            self.fail(key, f"missing: {mend}")
        return value

    def name(self, key: str, what: str) -> str:
        """A name by FC's rules (spec 7.C)."""
        mend = f"the name of {what}: letters, digits, _ and -, not starting with a digit or -"
        value = self.required(key, mend)
        if not NAME.fullmatch(value):
            self.fail(key, f"{value!r}: {mend}, at most 128")
        return value

    def whole(self, key: str, least: int, most: int, unit: str) -> int | None:
        """A number, which may also be written as text (a variable's value is)."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.fail(key, f"{value!r}: a whole number{unit} from {least} to {most}")
        return value

    def section(self, key: str, mend: str = "a mapping") -> "Section | None":
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, f"{value!r}: {mend}")
        return Section(self._source, (*self._path, key), value)

    def inner(self, key: str, value: Mapping[str, Any]) -> "Section":
        """*value*, which is what *key* comes to: the text of a mapping is one, too."""
        self._read.add(key)
        return Section(self._source, (*self._path, key), value)

    def unknown(self, place: Place) -> Iterator[str]:
        """Each key that *place* does not have, with its own place in the file."""
        for path, told in unknown(self._path, self._value, place):
            yield f"{self._source.file}:{self._source.line(path)}: {spoken(path)}: {told}"

    def sections(self, key: str) -> Iterator["Section"]:
        """Of a list of mappings, each."""
        value = self.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.fail(key, f"{value!r}: a list")
        for number, inner in enumerate(value):
            path = (*self._path, key, number)
            if not isinstance(inner, dict):
                raise self._source.error(path, f"{inner!r}: a mapping")
            yield Section(self._source, path, inner)

    def variables(self, key: str) -> dict[str, str] | None:
        """``environmentVariables``: values become text; none is shown, as it may be secret."""
        section = self.section(key, "a mapping of names to texts")
        if section is None:
            return None
        found: dict[str, str] = {}
        for name, value in section.items():
            if not _VARIABLE.fullmatch(name):
                section.fail(name, "letters, digits and _, starting with a letter")
            if name in _RESERVED or name.startswith("FC_"):
                section.fail(name, "reserved by Function Compute: choose another name")
            if isinstance(value, bool):
                value = "true" if value else "false"  # noqa: PLW2901 (as JavaScript has it)
            if value is None:
                value = ""  # noqa: PLW2901
            if not isinstance(value, str | int | float):
                section.fail(name, f"a text, not a {type(value).__name__}")
            found[name] = str(value)
        return found

    def items(self) -> Iterator[tuple[str, Any]]:
        yield from self._value.items()

    def plain(self) -> dict[str, Any]:
        return dict(self._value)

    def rest(self) -> dict[str, Any]:
        """What was not read: FC knows it, we keep it and show it again."""
        return {key: value for key, value in self._value.items() if key not in self._read}
