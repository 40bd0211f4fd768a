"""Which functions FC3's ListFunctions is asked for, beside the prefix of their names."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from fc_runtime.service.account import given
from fc_runtime.service.account.tags import MOST_TAGS
from fc_runtime.service.api.operations import Call
from fc_runtime.service.errors import invalid
from fc_runtime.service.store import Entry

Filter: TypeAlias = Callable[[Entry], bool]
GENERATIONS: Final = ("v2", "v3")


def wanted_functions(call: Call) -> Filter | None:
    """
    None if all are. How each is compared is inferred: names and descriptions contain what is
    asked for, everything else is the same.

    Raises ApiError 400.
    """
    asked: list[Filter] = []
    generation = call.query.get("fcVersion")
    if generation and generation not in GENERATIONS:
        raise invalid(f"fcVersion: one of {', '.join(GENERATIONS)}, not '{generation[:64]}'")
    if generation == "v2":  # those of services: they are not shown through FC3's API
        asked.append(lambda _entry: False)
    for name, of in _COMPARED.items():
        value = call.query.get(name)
        if value:
            asked.append(_comparison(of, value))
    tags = given.listing({"tags": _parsed(call, "tags")}, "tags", MOST_TAGS)
    if tags:
        asked.append(_tagged(call, [_pair(tag) for tag in tags]))
    if not asked:
        return None
    return lambda entry: all(each(entry) for each in asked)


def _comparison(of: Callable[[Entry, str], bool], value: str) -> Filter:
    return lambda entry: of(entry, value)


def _parsed(call: Call, name: str) -> Any:
    text = call.query.get(name)
    return given.parsed(name, text) if text else None


def _pair(tag: object) -> tuple[str, object]:
    """``Key`` and ``Value`` of the official client; others write them small."""
    either = {n.lower(): v for n, v in given.mapping({"tags": tag or ""}, "tags").items()}
    return given.text(either, "key", 128), either.get("value")


def _tagged(call: Call, pairs: list[tuple[str, object]]) -> Filter:
    """All of the *pairs*: each a key, with or without a value."""

    def has_all(entry: Entry) -> bool:
        tags = call.account.tags_of(f"functions/{entry.name}").tags
        return all(key in tags and value in (None, tags[key]) for key, value in pairs)

    return has_all


def _gpu(document: Mapping[str, Any]) -> object:
    config = document.get("gpuConfig")
    return config.get("gpuType") if isinstance(config, dict) else None


_COMPARED: Final[Mapping[str, Callable[[Entry, str], bool]]] = {
    "functionName": lambda entry, value: value in entry.name,
    "description": lambda entry, value: value in entry.document["description"],
    "runtime": lambda entry, value: entry.document["runtime"] == value,
    "gpuType": lambda entry, value: _gpu(entry.document) == value,
    "resourceGroupId": lambda entry, value: entry.document.get("resourceGroupId") == value,
}
