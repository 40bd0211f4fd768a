"""Reading what a client sent, a field at a time: the value as its type, or ApiError 400."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fc_runtime.service.errors import invalid

DEEPEST: Final = 64  # objects and lists inside one another
_TOO_DEEP: Final = f"more than {DEEPEST} objects and lists inside one another"


def whole(document: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """A whole number from *least* to *most*; None if it is not there."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(f"{name}: a whole number from {least} to {most}, not {shown(value)}")
    return value


def text(document: Mapping[str, Any], name: str, most: int, default: str = "") -> str:
    """Of at most *most* characters."""
    value = document.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise invalid(f"{name}: a text of at most {most} characters, not {shown(value)}")
    return value


def flag(document: Mapping[str, Any], name: str) -> bool | None:
    """True, False, or None if it is not there."""
    value = document.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise invalid(f"{name}: true or false, not {shown(value)}")


def mapping(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; empty if it is not there."""
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name}: an object is needed, not {shown(value)}")
    return value


def mapping_or_json(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object, or the text of one: the API generations differ (spec 7.C, 7.D)."""
    value = document.get(name)
    if not isinstance(value, str):
        return mapping(document, name)
    return mapping({name: parsed(name, value)}, name)


def parsed(name: str, content: str) -> Any:
    """The value of JSON within JSON, or within a query; one that can be written again."""
    try:
        return strict_json(content)
    except ValueError as error:
        raise invalid(f"{name}: its text is no JSON: {error}") from error


def strict_json(content: bytes | bytearray | str) -> Any:
    """
    The value of a JSON text, in UTF-8, that every reader of it would take for the same.

    Raises ValueError, with words for the client, also for what Python alone takes for JSON: numbers
    beyond all bounds, half of a surrogate pair; for one name twice; and for what is nested deeper
    than anything is that FC knows.
    """
    text = content if isinstance(content, str) else content.decode()
    try:
        value = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_once
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [value]
    for _ in range(DEEPEST):
        level = [each for each in _inside(level) if isinstance(each, dict | list)]
        if not level:
            break
    else:
        raise ValueError(_TOO_DEEP)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


def listing(document: Mapping[str, Any], name: str, most: int) -> list[Any]:
    """A list of at most *most* items; empty if it is not there."""
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise invalid(f"{name}: a list of at most {most} items, not {shown(value)}")
    return value


def texts(document: Mapping[str, Any], name: str, most: int) -> list[str]:
    """A list of at most *most* texts; empty if it is not there."""
    value = listing(document, name, most)
    for item in value:
        if not isinstance(item, str):
            raise invalid(f"{name}: a list of texts, not of {shown(item)}")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice[:64]}' is there twice")
    return found


def _inside(level: list[Any]) -> Iterator[Any]:
    for each in level:
        yield from (
            each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        )


def shown(value: object) -> str:
    """For a message: short, whatever it is."""
    said = json.dumps(value, ensure_ascii=False, default=repr)
    return said if len(said) <= 80 else f"{said[:77]}..."
