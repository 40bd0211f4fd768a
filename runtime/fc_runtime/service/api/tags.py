"""Tags: FC3's of several resources at once (``/tags-v2``), FC2's of one (``/tag``, ``/tags``)."""

from collections.abc import Iterator
from typing import Any, Final

from fc_runtime.service.account import given
from fc_runtime.service.account.tags import Tagged
from fc_runtime.service.api.operations import FC2, FC3, NO_CONTENT, Call, Operation, Reply
from fc_runtime.service.api.paging import DEFAULT_LIMIT, MOST
from fc_runtime.service.errors import invalid

MOST_RESOURCES: Final = 50  # in one request


def _tag(call: Call) -> Reply:
    tags = {}
    for pair in given.listing(call.body, "Tag", MOST_RESOURCES):
        given.mapping({"Tag": pair or ""}, "Tag")
        tags[given.text(pair, "Key", 128)] = given.text(pair, "Value", 128)
    if not tags:
        raise invalid("Tag is needed: a list of Key and Value")
    for resource in _needed(given.texts(call.body, "ResourceId", MOST_RESOURCES)):
        call.account.tag(resource, tags)
    return Reply({})


def _untag(call: Call) -> Reply:
    """Everything is in the query, lists as JSON."""
    everything = call.query.get("All", "").lower() == "true"
    keys = _texts(call, "TagKey")
    if not keys and not everything:
        raise invalid("TagKey is needed, or All")
    for resource in _needed(_texts(call, "ResourceId")):
        call.account.untag(resource, keys, everything=everything and not keys)
    return NO_CONTENT


def _list(call: Call) -> Reply:
    """Of some resources, or of all; filtered by tags, each a key with or without a value."""
    resources = _texts(call, "ResourceId")
    wanted = [
        (given.text(tag, "Key", 128), tag.get("Value"))
        for tag in _json_list(call, "Tag")
        if isinstance(tag, dict)
    ]
    kind = call.query.get("ResourceType", "").lower()
    found = (
        [call.account.tags_of(resource) for resource in resources]
        if resources
        else call.account.all_tagged()
    )
    rows = [
        row
        for tagged in found
        if kind in {"", _kind(tagged).lower()}
        and all(_has(tagged, key, value) for key, value in wanted)
        for row in _rows(tagged)
    ]
    start, limit = _number(call, "NextToken", 0), _number(call, "Limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MOST:
        raise invalid(f"Limit: a whole number from 1 to {MOST}, not {limit}")
    body: dict[str, Any] = {"TagResources": rows[start : start + limit]}
    if len(rows) > start + limit:
        body["NextToken"] = str(start + limit)
    return Reply(body)


def _tag_one(call: Call) -> Reply:
    tags = given.mapping(call.body, "tags")
    if not tags:
        raise invalid("tags is needed: an object of keys and values")
    call.account.tag(call.text("resourceArn"), tags)
    return Reply({})


def _untag_one(call: Call) -> Reply:
    keys = given.texts(call.body, "tagKeys", MOST_RESOURCES)
    everything = bool(given.flag(call.body, "all")) and not keys
    call.account.untag(call.text("resourceArn"), keys, everything=everything)
    return Reply({})


def _get_one(call: Call) -> Reply:
    return Reply(_of_one(call.account.tags_of(call.query.get("resourceArn", ""))))


def _list_one(call: Call) -> Reply:
    return Reply({"resources": [_of_one(tagged) for tagged in call.account.all_tagged()]})


def _of_one(tagged: Tagged) -> dict[str, Any]:
    return {"resourceArn": tagged.arn, "tags": tagged.tags}


def _kind(tagged: Tagged) -> str:
    return "function" if tagged.is_function else "service"


def _has(tagged: Tagged, key: str, value: object) -> bool:
    return key in tagged.tags and value in (None, tagged.tags[key])


def _rows(tagged: Tagged) -> Iterator[dict[str, str]]:
    for key, value in tagged.tags.items():
        yield {
            "ResourceId": tagged.arn,
            "ResourceType": _kind(tagged),
            "TagKey": key,
            "TagValue": value,
        }


def _json_list(call: Call, name: str) -> list[Any]:
    text = call.query.get(name)
    if not text:
        return []
    return given.listing({name: given.parsed(name, text)}, name, MOST_RESOURCES)


def _texts(call: Call, name: str) -> list[str]:
    return given.texts({name: _json_list(call, name)}, name, MOST_RESOURCES)


def _needed(resources: list[str]) -> list[str]:
    if not resources:
        raise invalid("ResourceId is needed: a list of ARNs")
    return resources


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise invalid(f"{name}: a whole number, not '{text[:64]}'")
    return int(text)


OPERATIONS: Final = (
    Operation("TagResources", "POST", "/tags-v2", _tag, FC3),
    Operation("UntagResources", "DELETE", "/tags-v2", _untag, FC3),
    Operation("ListTagResources", "GET", "/tags-v2", _list, FC3),
    Operation("TagResource", "POST", "/tag", _tag_one, FC2),
    Operation("UntagResource", "DELETE", "/tag", _untag_one, FC2),
    Operation("UntagResource", "PUT", "/tag", _untag_one, FC2),
    Operation("GetResourceTags", "GET", "/tag", _get_one, FC2),
    Operation("ListTaggedResources", "GET", "/tags", _list_one, FC2),
)
