"""Reading what a client sent, a field at a time: the value as its type, or ApiError 400."""

import json
from collections.abc import Mapping
from typing import Any

from fc_runtime.service.errors import invalid


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
        value = json.loads(content, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise invalid(f"{name}: its text is no JSON: {error}") from error
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


def shown(value: object) -> str:
    """For a message: short, whatever it is."""
    said = json.dumps(value, ensure_ascii=False, default=repr)
    return said if len(said) <= 80 else f"{said[:77]}..."
