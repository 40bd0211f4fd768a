"""
What requests may hold, as JSON Schema: the account's own rules, and the little that is around them.

The names are those of the components of the document.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account import (
    aliases,
    config_rules,
    domains,
    fields,
    layers,
    restrictions,
    triggers,
)
from fc_runtime.service.account.documents import FUNCTION_CHECKS, SERVICE_CHECKS
from fc_runtime.service.account.fields import Check, Schema, object_of, or_null
from fc_runtime.service.api.tags import MOST_RESOURCES

TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
_CODE: Final[Schema] = {
    "type": "object",
    "description": "zipFile; or, where the daemon takes them, a folder of its own machine",
    "properties": {
        "zipFile": {"type": ["string", "null"], "contentEncoding": "base64"},
        "ossBucketName": {"type": ["string", "null"]},
        "ossObjectName": {"type": ["string", "null"]},
        "folder": {"type": ["string", "null"]},
        "checksum": {
            "type": ["string", "null"],
            "description": "CRC-64/ECMA-182 of the zip, as an unsigned decimal number",
        },
    },
}
_ARN: Final[Schema] = FUNCTION_CHECKS["layers"].schema["items"]
_LAYERS: Final[Schema] = {  # as they are written, or as they are shown
    **FUNCTION_CHECKS["layers"].schema,
    "items": {
        "anyOf": [_ARN, {"type": "object", "properties": {"arn": _ARN}, "required": ["arn"]}]
    },
}
_TAGS: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"minLength": 1, "maxLength": 128},
    "additionalProperties": {"type": ["string", "null"], "maxLength": 128},
}
_RESOURCES: Final[Schema] = {
    "type": "array",
    "items": TEXT,
    "minItems": 1,
    "maxItems": MOST_RESOURCES,
}


def _with(schema: Schema, needed: Mapping[str, Schema], **more: Schema) -> dict[str, Any]:
    """*schema* and what is not the account's own rule: *needed*, and what may be null."""
    nullable = {name: or_null(each) for name, each in more.items()}
    return {
        **schema,
        "properties": {**schema["properties"], **nullable, **needed},
        **({"required": [*schema.get("required", ()), *needed]} if needed else {}),
    }


def _of(checks: Mapping[str, Check], *required: str) -> dict[str, Any]:
    return object_of(checks, required=required)


_FUNCTION: Final = _with(_of(FUNCTION_CHECKS), {}, code=_CODE, layers=_LAYERS)
_TRIGGER: Final = _of(triggers.CHECKS)
_LAYER: Final = _of(layers.CHECKS)

BODIES: Final[Mapping[str, Schema]] = {
    "FunctionToCreate": _with(
        _FUNCTION,
        {"functionName": fields.NAME, "runtime": FUNCTION_CHECKS["runtime"].schema},
    ),
    "FunctionToUpdate": _FUNCTION,
    "ServiceToCreate": _with(_of(SERVICE_CHECKS), {"serviceName": fields.NAME}),
    "ServiceToUpdate": _of(SERVICE_CHECKS),
    "VersionToPublish": _of({"description": fields.text(fields.MOST_DESCRIPTION)}),
    "AliasToCreate": _with(
        _of(aliases.CHECKS, "versionId"), {"aliasName": aliases.ALIAS_NAME.schema}
    ),
    "AliasToUpdate": _of(aliases.CHECKS),
    "TriggerToCreate": _with(
        _TRIGGER, {name: check.schema for name, check in triggers.NEW.items()}
    ),
    "TriggerToUpdate": _TRIGGER,
    "AsyncInvokeConfigToPut": _of(config_rules.CHECKS["async"]),
    "ProvisionConfigToPut": _of(config_rules.CHECKS["provision"]),
    "ScalingConfigToPut": _of(config_rules.CHECKS["scaling"]),
    "ConcurrencyConfigToPut": _of(
        config_rules.CHECKS["concurrency"], config_rules.NEEDED["concurrency"]
    ),
    "OnDemandConfigToPut": _of(config_rules.CHECKS["ondemand"], config_rules.NEEDED["ondemand"]),
    "InvocationToDisable": _of(restrictions.CHECKS),
    "LayerVersionToCreate": _with(_LAYER, {}, code=_CODE),
    "CustomDomainToCreate": _with(_of(domains.CHECKS), {"domainName": domains.NAMED}),
    "CustomDomainToUpdate": _of(domains.CHECKS),
    "TagsOfResources": _with(
        {"type": "object", "properties": {}},
        {
            "ResourceId": _RESOURCES,
            "Tag": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_RESOURCES,
                "items": {
                    "type": "object",
                    "properties": {
                        "Key": {"type": "string", "minLength": 1, "maxLength": 128},
                        "Value": {"type": ["string", "null"], "maxLength": 128},
                    },
                    "required": ["Key"],
                },
            },
        },
    ),
    "TagsOfResource": _with(
        {"type": "object", "properties": {}}, {"resourceArn": TEXT, "tags": _TAGS}
    ),
    "TagsToRemove": _with(
        {"type": "object", "properties": {}},
        {"resourceArn": TEXT},
        tagKeys={"type": "array", "items": TEXT, "maxItems": MOST_RESOURCES},
        all=FLAG,
    ),
}

_NAMES: Final = {
    "name": fields.NAME,
    "number": {"type": "string", "pattern": "^[0-9]{1,8}$"},
    "text": {"type": "string", "minLength": 1},
    # A service, or one in a version or an alias.
    "qualified": {
        "type": "string",
        "pattern": re.sub(r"\$$", r"(?:\\.[A-Za-z0-9_-]{1,128})?$", fields.NAME["pattern"]),
    },
}
PATH: Final[Mapping[str, Schema]] = {  # parameters of paths
    "service": _NAMES["qualified"],
    "function": _NAMES["name"],
    "trigger": _NAMES["name"],
    "alias": _NAMES["name"],
    "layer": _NAMES["name"],
    "version": _NAMES["number"],
    **dict.fromkeys(
        ("domain", "arn", "task", "vpc", "session", "snapshot", "instance"), _NAMES["text"]
    ),
}
