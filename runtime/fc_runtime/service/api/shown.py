"""How resources look from outside: what is stored, with the names that each family knows."""

from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account import Account
from fc_runtime.service.store import Entry

_ONLY_FC3: Final = frozenset({"internetAccess", "role"})


def fc3_function(account: Account, entry: Entry) -> dict[str, Any]:
    """Spec 7.C. What is stored is ready: nothing is ever Pending or InProgress."""
    restriction = account.restriction(entry.name)
    return {
        **_function(entry),
        "functionArn": account.function_arn("", entry.name),
        "layers": [
            {"arn": arn, "size": account.layer_size(arn)} for arn in entry.document["layers"]
        ],
        "state": "Active",
        "lastUpdateStatus": "Successful",
        **({"invocationRestriction": restriction} if restriction else {}),
    }


def fc2_function(entry: Entry) -> dict[str, Any]:
    """Spec 7.D: the initializer is in its own fields, layers are ARNs."""
    shown = {name: value for name, value in _function(entry).items() if name not in _ONLY_FC3}
    hooks = shown.get("instanceLifecycleConfig")
    if hooks is not None:
        shown["instanceLifecycleConfig"] = {
            name: hook for name, hook in hooks.items() if name != "initializer"
        }
    return shown


def service(entry: Entry) -> dict[str, Any]:
    return {**entry.document, "serviceName": entry.name, **_times(entry)}


def version(entry: Entry) -> dict[str, Any]:
    description = entry.document["description"]
    return {"versionId": entry.name, "description": description, **_times(entry)}


def alias(entry: Entry) -> dict[str, Any]:
    return {**entry.document, "aliasName": entry.name, **_times(entry)}


def _function(entry: Entry) -> dict[str, Any]:
    code: Mapping[str, Any] = entry.document["code"]
    return {
        **{name: value for name, value in entry.document.items() if name != "code"},
        "functionName": entry.name,
        "codeSize": code.get("size", 0),
        "codeChecksum": code.get("checksum", "0"),
        **_times(entry),
    }


def _times(entry: Entry) -> dict[str, str]:
    return {"createdTime": entry.created, "lastModifiedTime": entry.modified}
