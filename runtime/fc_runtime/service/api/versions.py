"""Versions and aliases over HTTP: FC3's of a function, FC2's of a service."""

from typing import Final

from fc_runtime.service.account.versions import BACKWARD
from fc_runtime.service.api import shown
from fc_runtime.service.api.operations import (
    FC2,
    FC3,
    NO_CONTENT,
    Call,
    Operation,
    Reply,
    with_etag,
)
from fc_runtime.service.api.paging import listed, wanted


def _owner(call: Call) -> tuple[str, str]:
    return call.service_to_change(), call.path.get("function", "")


def _publish(call: Call) -> Reply:
    entry = call.account.publish_version(
        *_owner(call), call.body.get("description"), if_match=call.if_match
    )
    return with_etag(shown.version(entry), entry)


def _list_versions(call: Call) -> Reply:
    part = wanted(call)
    direction = call.query.get("direction") or BACKWARD
    page = call.account.list_versions(
        *_owner(call), direction=direction, start=part.start, limit=part.limit
    )
    reply = listed("versions", page, shown.version)
    return Reply({**(reply.body or {}), "direction": direction})


def _delete_version(call: Call) -> Reply:
    call.account.delete_version(*_owner(call), call.path["version"])
    return NO_CONTENT


def _create_alias(call: Call) -> Reply:
    entry = call.account.create_alias(*_owner(call), call.body.get("aliasName"), call.body)
    return with_etag(shown.alias(entry), entry)


def _list_aliases(call: Call) -> Reply:
    part = wanted(call)
    page = call.account.list_aliases(
        *_owner(call), prefix=part.prefix, start=part.start, limit=part.limit
    )
    return listed("aliases", page, shown.alias)


def _get_alias(call: Call) -> Reply:
    entry = call.account.get_alias(*_owner(call), call.path["alias"])
    return with_etag(shown.alias(entry), entry)


def _update_alias(call: Call) -> Reply:
    entry = call.account.update_alias(
        *_owner(call), call.path["alias"], call.body, if_match=call.if_match
    )
    return with_etag(shown.alias(entry), entry)


def _delete_alias(call: Call) -> Reply:
    call.account.delete_alias(*_owner(call), call.path["alias"], if_match=call.if_match)
    return NO_CONTENT


def _of_family(owner: str, what: str, prefixes: tuple[str, ...]) -> tuple[Operation, ...]:
    versions, aliases = f"{owner}/versions", f"{owner}/aliases"
    version, alias = f"{versions}/{{version}}", f"{aliases}/{{alias}}"
    return (
        Operation(f"Publish{what}Version", "POST", versions, _publish, prefixes),
        Operation(f"List{what}Versions", "GET", versions, _list_versions, prefixes),
        Operation(f"Delete{what}Version", "DELETE", version, _delete_version, prefixes),
        Operation("CreateAlias", "POST", aliases, _create_alias, prefixes),
        Operation("ListAliases", "GET", aliases, _list_aliases, prefixes),
        Operation("GetAlias", "GET", alias, _get_alias, prefixes),
        Operation("UpdateAlias", "PUT", alias, _update_alias, prefixes),
        Operation("DeleteAlias", "DELETE", alias, _delete_alias, prefixes),
    )


OPERATIONS: Final = (
    *_of_family("/functions/{function}", "Function", FC3),
    *_of_family("/services/{service}", "Service", FC2),
)
