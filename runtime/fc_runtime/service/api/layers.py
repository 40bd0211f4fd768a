"""Layers, in both families (spec 7.C)."""

from typing import Any, Final

from fc_runtime.service.api.code import url_of
from fc_runtime.service.api.operations import (
    FC2,
    FC3,
    NO_CONTENT,
    WITH_CODE,
    Call,
    Operation,
    Reply,
    with_etag,
)
from fc_runtime.service.api.paging import listed, wanted
from fc_runtime.service.errors import invalid
from fc_runtime.service.store import Entry


def _create(call: Call) -> Reply:
    entry = call.account.create_layer_version(call.path["layer"], call.body)
    return with_etag(_shown(call, entry), entry)


def _get(call: Call) -> Reply:
    entry = call.account.get_layer_version(call.path["layer"], call.path["version"])
    return with_etag(_shown(call, entry), entry)


def _get_by_arn(call: Call) -> Reply:
    entry = call.account.get_layer_version_by_arn(call.path["arn"])
    return with_etag(_shown(call, entry), entry)


def _delete(call: Call) -> Reply:
    call.account.delete_layer_version(call.path["layer"], call.path["version"])
    return NO_CONTENT


def _list(call: Call) -> Reply:
    part = wanted(call)
    page = call.account.list_layers(
        prefix=part.prefix, start=part.start, limit=part.limit, public=_flag(call, "public")
    )
    if _flag(call, "official"):  # FC's own, of which there are none here
        return Reply({"layers": []})
    return listed("layers", page, lambda entry: _shown(call, entry))


def _list_versions(call: Call) -> Reply:
    start = call.query.get("startVersion") or "1"
    if not (start.isascii() and start.isdecimal() and len(start) <= 8):
        raise invalid(f"startVersion: a number, not '{start[:64]}'")
    page = call.account.list_layer_versions(
        call.path["layer"], start=int(start), limit=wanted(call).limit
    )
    body: dict[str, Any] = {"layers": [_shown(call, entry) for entry in page.entries]}
    if page.next is not None:
        body["nextVersion"] = int(page.next)
    return Reply(body)


def _put_acl(call: Call) -> Reply:
    """FC3 says ``acl=1`` or ``public=true``, FC2 ``public=true``; both in the query."""
    acl = {**call.query, **call.body}.get("acl")
    public = _flag(call, "public")
    if acl is not None and str(acl) not in {"0", "1"}:
        raise invalid(f"acl: 0 or 1, not '{acl}'")
    if acl is None and public is None:
        raise invalid("acl (0 or 1) or public (true or false) is needed")
    call.account.put_layer_acl(
        call.path["layer"], public=public if public is not None else str(acl) == "1"
    )
    return NO_CONTENT


def _flag(call: Call, name: str) -> bool | None:
    value = call.query.get(name, call.body.get(name))
    if value is None or value == "":
        return None
    said = str(value).lower()
    if said not in {"true", "false"}:
        raise invalid(f"{name}: true or false, not '{value}'")
    return said == "true"


def _shown(call: Call, entry: Entry) -> dict[str, Any]:
    document = entry.document
    arn = call.account.layer_arn(entry)
    code = document["code"]
    shown = {
        "layerName": entry.scope,
        "version": document["version"],
        "description": document["description"],
        "compatibleRuntime": document["compatibleRuntime"],
        "license": document["license"],
        "acl": call.account.layer_acl(entry.scope),
        "code": {"location": url_of(call, code["digest"]), "repositoryType": "OSS"},
        "codeChecksum": code["checksum"],
        "codeSize": code["size"],
        "createTime": entry.created,
    }
    if call.prefix in FC3:
        return {**shown, "layerVersionArn": arn}
    return {**shown, "arn": arn, "arnV2": arn, "codesize": code["size"]}  # both are read


_LAYER: Final = "/layers/{layer}"
OPERATIONS: Final = (
    Operation("CreateLayerVersion", "POST", f"{_LAYER}/versions", _create, (*FC3, *FC2), WITH_CODE),
    Operation("ListLayers", "GET", "/layers", _list, (*FC3, *FC2)),
    Operation("ListLayerVersions", "GET", f"{_LAYER}/versions", _list_versions, (*FC3, *FC2)),
    Operation("GetLayerVersion", "GET", f"{_LAYER}/versions/{{version}}", _get, (*FC3, *FC2)),
    Operation(
        "DeleteLayerVersion", "DELETE", f"{_LAYER}/versions/{{version}}", _delete, (*FC3, *FC2)
    ),
    Operation("GetLayerVersionByArn", "GET", "/layerarn/{arn:path}", _get_by_arn, (*FC3, *FC2)),
    Operation("PutLayerACL", "PUT", f"{_LAYER}/acl", _put_acl, (*FC3, *FC2)),
)
