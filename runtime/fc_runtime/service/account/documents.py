"""
What a function and a service *are*: FC3's names and shapes for both families (spec 7.C, 7.D).

Pure: from what a client gives and what was there before, to what is stored. Names that are not
known here are kept and shown again, for FC grows faster than we do.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account import fields
from fc_runtime.service.account.fields import Check
from fc_runtime.service.errors import invalid

# What only we say: a client that sends back what it got means no harm by it.
READ_ONLY: Final = frozenset(
    """
    functionName functionArn functionId codeSize codeChecksum createdTime lastModifiedTime state
    stateReason stateReasonCode lastUpdateStatus lastUpdateStatusReason lastUpdateStatusReasonCode
    invocationRestriction lockInfo layersArnV2 serviceName serviceId code
    """.split()
)
FUNCTION_CHECKS: Final[Mapping[str, Check]] = {
    "runtime": fields.runtime,
    "handler": fields.text(fields.MOST_HANDLER),
    "description": fields.text(fields.MOST_DESCRIPTION),
    "memorySize": fields.whole(32, 32 * 1024),
    "cpu": fields.number(0.05, 16),
    "diskSize": fields.whole(512, 10 * 1024),
    "timeout": fields.whole(1, 86_400),
    "instanceConcurrency": fields.whole(1, 200),
    "environmentVariables": fields.environment,
    "layers": fields.layers,
    "internetAccess": fields.flag,
    "role": fields.text(256),
    "logConfig": fields.mapping,
    "vpcConfig": fields.mapping,
    "nasConfig": fields.mapping,
    "instanceLifecycleConfig": fields.lifecycle,
    "customRuntimeConfig": fields.custom_runtime,
    "customContainerConfig": fields.mapping,
    "initializer": fields.text(fields.MOST_HANDLER),
    "initializationTimeout": fields.whole(1, fields.MOST_INITIALIZER_S),
    "caPort": fields.whole(1, 65_535),
}
SERVICE_CHECKS: Final[Mapping[str, Check]] = {
    name: check
    for name, check in FUNCTION_CHECKS.items()
    if name in {"description", "internetAccess", "role", "logConfig", "vpcConfig", "nasConfig"}
} | {"tracingConfig": fields.mapping, "ossMountConfig": fields.mapping}
_BOTH: Final[Mapping[str, Any]] = {
    "description": "",
    "timeout": 3,
    "instanceConcurrency": 1,
    "environmentVariables": {},
    "layers": [],
    "diskSize": 512,
}
_FC3: Final[Mapping[str, Any]] = {**_BOTH, "memorySize": 512, "internetAccess": True, "role": ""}
_FC2: Final[Mapping[str, Any]] = {
    **_BOTH,
    "memorySize": 128,
    "instanceType": "e1",
    "initializer": "",
    "initializationTimeout": 3,
}
_SERVICE: Final[Mapping[str, Any]] = {
    "description": "",
    "internetAccess": True,
    "role": "",
    "logConfig": {"project": "", "logstore": ""},
}


def changes_of_function(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is to change, checked field by field; null is as good as nothing."""
    changes = _given(given)
    # The 2021-04-06 clients write it so (spec 7.D).
    if "InstanceConcurrency" in changes:
        changes["instanceConcurrency"] = changes.pop("InstanceConcurrency")
    if isinstance(changes.get("layers"), list):  # as we show them
        changes["layers"] = [
            layer.get("arn") if isinstance(layer, dict) else layer for layer in changes["layers"]
        ]
    fields.checked("", changes, FUNCTION_CHECKS)
    return changes


def new_function(service: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document, but for its code. Raises ApiError 400 if something is missing."""
    kind = changes.get("runtime")
    if kind is None:
        raise invalid("Runtime is required but not provided")
    if not changes.get("handler") and not kind.startswith("custom"):
        raise invalid("Handler is required but not provided")
    before = {**(_FC2 if service else _FC3), "functionId": str(uuid.uuid4()), "handler": ""}
    return changed_function(service, before, changes)


def changed_function(
    service: str, before: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """*before* with *changes*. Fields that are objects are replaced as a whole."""
    after = {**before, **changes}
    if service:
        _settle_initializer(before, after, changes)
    if not after["handler"] and not after["runtime"].startswith("custom"):
        raise invalid("Handler is required but not provided")
    return after


def changes_of_service(given: Mapping[str, Any]) -> dict[str, Any]:
    """As `changes_of_function`."""
    changes = _given(given)
    fields.checked("", changes, SERVICE_CHECKS)
    return changes


def new_service(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {**_SERVICE, "serviceId": str(uuid.uuid4()), **changes}


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in given.items() if value is not None and name not in READ_ONLY
    }


def _settle_initializer(
    before: Mapping[str, Any], after: dict[str, Any], changes: Mapping[str, Any]
) -> None:
    """
    FC2's two flat fields and FC3's hook say the same; here they agree.

    FC2's clients send a time without an initializer, and hooks without the initializer that is
    there already.
    """
    hooks = dict(after.get("instanceLifecycleConfig") or {})
    given = (changes.get("instanceLifecycleConfig") or {}).get("initializer")
    if given and "initializer" not in changes:
        after["initializer"] = given.get("handler") or ""
        after["initializationTimeout"] = given.get("timeout") or before["initializationTimeout"]
    if after["initializer"]:
        hooks["initializer"] = {
            "handler": after["initializer"],
            "timeout": after["initializationTimeout"],
        }
    else:
        hooks.pop("initializer", None)
    if hooks or "instanceLifecycleConfig" in after:
        after["instanceLifecycleConfig"] = hooks
