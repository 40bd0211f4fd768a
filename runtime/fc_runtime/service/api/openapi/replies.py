"""What replies hold, as JSON Schema, by the name of the component."""

from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account.documents import FUNCTION_CHECKS, SERVICE_CHECKS
from fc_runtime.service.account.domains import PROTOCOLS
from fc_runtime.service.account.fields import Check, Schema
from fc_runtime.tasks.states import Status

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
_OBJECT: Final[Schema] = {"type": "object"}
_LIST: Final[Schema] = {"type": "array"}
_FLAG: Final[Schema] = {"type": "boolean"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIMES: Final[Mapping[str, Schema]] = {"createdTime": _TIME, "lastModifiedTime": _TIME}
_TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
_NO_TIME_YET: Final[Schema] = {"anyOf": [_TIME, {"const": ""}]}
_OF_FC3: Final = frozenset({"initializer", "initializationTimeout", "caPort"})
ERROR: Final[Schema] = {
    "type": "object",
    "description": "the keys of all API generations at once",
    "properties": dict.fromkeys(
        ("ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"), TEXT
    ),
    "required": ["ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"],
    "additionalProperties": False,
}


def _all(properties: Mapping[str, Schema], **optional: Schema) -> dict[str, Any]:
    """An object that always has *properties*, sometimes *optional*, and maybe what is newer."""
    return {
        "type": "object",
        "properties": {**properties, **optional},
        "required": list(properties),
    }


def _stored(checks: Mapping[str, Check]) -> dict[str, Schema]:
    """What was checked when it came is shown as it was."""
    return {name: check.schema for name, check in checks.items()}


def _list(name: str, of: str) -> dict[str, Any]:
    return _all(
        {name: {"type": "array", "items": {"$ref": f"#/components/schemas/{of}"}}}, nextToken=TEXT
    )


_OF_EVERY_FUNCTION: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("functionName", "functionId", "codeChecksum"), TEXT),
    "codeSize": WHOLE,
    **{
        name: FUNCTION_CHECKS[name].schema
        for name in (
            *("runtime", "handler", "description", "memorySize", "timeout", "diskSize"),
            *("instanceConcurrency", "environmentVariables"),
        )
    },
    **_TIMES,
}
_RESTRICTION: Final = _all({"disable": _FLAG, "lastModifiedTime": _TIME}, reason=TEXT)
_LAYER: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("layerName", "description", "license", "codeChecksum"), TEXT),
    "version": {"type": "integer", "minimum": 1},
    "compatibleRuntime": _TEXTS,
    "acl": {"enum": [0, 1]},
    "code": _all({"location": {"type": "string", "format": "uri"}, "repositoryType": TEXT}),
    "codeSize": WHOLE,
    "createTime": _TIME,
}
_TRIGGER: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("triggerName", "triggerType", "triggerId", "description", "qualifier"), TEXT),
    **dict.fromkeys(("invocationRole", "sourceArn", "targetArn"), TEXT),
    "status": {"enum": ["OK", "StoredOnly"]},
    **_TIMES,
}
_PROVISION: Final = _all(
    {"target": WHOLE, "current": WHOLE},
    functionArn=TEXT,
    resource=TEXT,
    scheduledActions=_LIST,
    targetTrackingPolicies=_LIST,
)
_TASK: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("qualifier", "requestId", "instanceId", "destinationStatus"), TEXT),
    "status": {"enum": list(Status)},
    "alreadyRetriedTimes": WHOLE,
    "events": {
        "type": "array",
        "items": _all(
            {
                "eventId": WHOLE,
                "status": {"enum": list(Status)},
                "timestamp": WHOLE,
                "eventDetail": TEXT,
            }
        ),
    },
}
_TASK_ONCE_KNOWN: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("startedTime", "endTime", "durationMs"), WHOLE),
    "returnPayload": TEXT,
}
_TAGGED: Final = _all(
    {"resourceArn": TEXT, "tags": {"type": "object", "additionalProperties": TEXT}}
)

REPLIES: Final[Mapping[str, Schema]] = {
    "Error": ERROR,
    "Function": _all(
        {
            **_OF_EVERY_FUNCTION,
            "functionArn": TEXT,
            "layers": {"type": "array", "items": _all({"arn": TEXT, "size": WHOLE})},
            "internetAccess": _FLAG,
            "role": TEXT,
            "state": {"const": "Active"},
            "lastUpdateStatus": {"const": "Successful"},
        },
        invocationRestriction=_RESTRICTION,
    ),
    "FunctionOfService": _all(
        {
            **_OF_EVERY_FUNCTION,
            "layers": FUNCTION_CHECKS["layers"].schema,
            "initializer": FUNCTION_CHECKS["initializer"].schema,
            "initializationTimeout": WHOLE,
            "instanceType": TEXT,
        }
    ),
    "Functions": _list("functions", "Function"),
    "FunctionsOfService": _list("functions", "FunctionOfService"),
    "Code": _all({"url": {"type": "string", "format": "uri"}, "checksum": TEXT}),
    "Service": _all(
        {
            **{name: SERVICE_CHECKS[name].schema for name in ("description", "role", "logConfig")},
            "internetAccess": _FLAG,
            **dict.fromkeys(("serviceName", "serviceId"), TEXT),
            **_TIMES,
        }
    ),
    "Services": _list("services", "Service"),
    "Version": _all({"versionId": TEXT, "description": TEXT, **_TIMES}),
    "Versions": {
        **_list("versions", "Version"),
        "required": ["versions", "direction"],
    },
    "Alias": _all(
        {
            **dict.fromkeys(("aliasName", "versionId", "description"), TEXT),
            "additionalVersionWeight": _OBJECT,
            **_TIMES,
        }
    ),
    "Aliases": _list("aliases", "Alias"),
    "Trigger": _all({**_TRIGGER, "triggerConfig": TEXT}, httpTrigger=_OBJECT),
    "TriggerWithObject": _all({**_TRIGGER, "triggerConfig": _OBJECT}, urlInternet=TEXT),
    "Triggers": _list("triggers", "Trigger"),
    "TriggersWithObjects": _list("triggers", "TriggerWithObject"),
    "AsyncInvokeConfig": _all({"qualifier": TEXT, **_TIMES}, destinationConfig=_OBJECT),
    "AsyncInvokeConfigs": _list("configs", "AsyncInvokeConfig"),
    "AsyncTask": _all(
        {**_TASK, **dict.fromkeys(("taskId", "functionArn", "taskErrorMessage"), TEXT)},
        **_TASK_ONCE_KNOWN,
        taskPayload=TEXT,
    ),
    "AsyncTasks": _list("tasks", "AsyncTask"),
    "StatefulAsyncInvocation": _all(
        {
            **_TASK,
            **dict.fromkeys(
                ("invocationId", "serviceName", "functionName", "invocationErrorMessage"), TEXT
            ),
        },
        **_TASK_ONCE_KNOWN,
        invocationPayload=TEXT,
    ),
    "StatefulAsyncInvocations": _list("invocations", "StatefulAsyncInvocation"),
    "ProvisionConfig": _PROVISION,
    "ProvisionConfigs": _list("provisionConfigs", "ProvisionConfig"),
    "ScalingConfig": _all(
        {
            **dict.fromkeys(("minInstances", "currentInstances", "targetInstances"), WHOLE),
            "functionArn": TEXT,
        }
    ),
    "ScalingConfigs": _list("scalingConfigs", "ScalingConfig"),
    "ConcurrencyConfig": _all({"reservedConcurrency": WHOLE, "functionArn": TEXT}),
    "ConcurrencyConfigs": _list("configs", "ConcurrencyConfig"),
    "OnDemandConfig": _all({"maximumInstanceCount": WHOLE, "resource": TEXT}),
    "OnDemandConfigs": _list("configs", "OnDemandConfig"),
    "Instances": _all({"instances": {"type": "array", "items": _all({"instanceId": TEXT})}}),
    "LayerVersion": _all({**_LAYER, "layerVersionArn": TEXT}),
    "LayerVersionOfFc2": _all({**_LAYER, "arn": TEXT, "arnV2": TEXT}),
    "Layers": {**_list("layers", "LayerVersion")},
    "LayersOfFc2": {**_list("layers", "LayerVersionOfFc2")},
    "CustomDomain": _all(
        {
            **dict.fromkeys(("domainName", "accountId", "apiVersion"), TEXT),
            "protocol": {"enum": list(PROTOCOLS)},
            "routeConfig": _all({"routes": {"type": "array", "items": _OBJECT}}),
            **_TIMES,
        }
    ),
    "CustomDomains": _list("customDomains", "CustomDomain"),
    "TagResources": _all(
        {
            "TagResources": {
                "type": "array",
                "items": _all(
                    dict.fromkeys(("ResourceId", "ResourceType", "TagKey", "TagValue"), TEXT)
                ),
            }
        },
        NextToken=TEXT,
    ),
    "Tagged": _TAGGED,
    "AllTagged": _all({"resources": {"type": "array", "items": _TAGGED}}),
    "Nothing": {"type": "object", "maxProperties": 0},
    "Success": _all({"success": _FLAG}),
    "Regions": _all({"Regions": _all({"Region": {"type": "array", "items": _OBJECT}})}),
    "AccountSettings": _all({"availableAZs": _TEXTS, "defaultRole": TEXT}),
    "ReservedCapacities": _all({"reservedCapacities": _LIST}),
}
