"""
What is told of each operation beside its verb and path: what it takes and what it answers.

An operation that is missing here makes the document fail, and a test with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fc_runtime.service.account.fields import Schema
from fc_runtime.service.account.versions import BACKWARD, FORWARD
from fc_runtime.service.api.filters import GENERATIONS
from fc_runtime.service.api.openapi.bodies import TEXT
from fc_runtime.service.api.operations import FC3, Operation
from fc_runtime.service.api.paging import MOST
from fc_runtime.service.api.refused import REFUSED
from fc_runtime.service.api.tasks import ORDERS
from fc_runtime.tasks.states import Status


@dataclass(frozen=True, slots=True)
class Told:
    """
    Args:
        reply: the component; None: nothing, with status 204.
        fc2: likewise, where that of FC2's generations is another one; of the oldest, `oldest`.
        body: the component; None: what is sent is not looked at, beyond being JSON.
        query: names of `QUERY`.
        filters: more of them, of FC3 alone.
        statuses: of refusals, beside those that any operation may have.
    """

    reply: str | None = None
    fc2: str | None = None
    oldest: str | None = None
    body: str | None = None
    query: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    statuses: frozenset[int] = frozenset()


def _or_empty(schema: Schema) -> dict[str, Any]:
    """An empty value in a query is as good as none."""
    return {"anyOf": [schema, {"const": ""}]}


_FLAG: Final = _or_empty({"type": "boolean"})
QUERY: Final[Mapping[str, Schema]] = {
    "limit": _or_empty({"type": "integer", "minimum": 1, "maximum": MOST}),
    "nextToken": {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]*$",
        "description": "of the page before",
    },
    "startKey": {"type": "string", "description": "the name that the page begins with"},
    "prefix": {"type": "string", "description": "of the names"},
    "qualifier": {"type": "string", "description": "LATEST, a version or an alias"},
    "direction": {"enum": [FORWARD, BACKWARD]},
    "fcVersion": _or_empty({"enum": list(GENERATIONS)}),
    "description": TEXT,
    "runtime": TEXT,
    "gpuType": TEXT,
    "resourceGroupId": TEXT,
    "functionName": TEXT,
    "serviceName": TEXT,
    "startVersion": _or_empty({"type": "integer", "minimum": 0, "maximum": 99_999_999}),
    "public": _FLAG,
    "official": _FLAG,
    "acl": {"enum": ["0", "1"]},
    "resourceArn": TEXT,
    "All": _FLAG,
    "Limit": _or_empty({"type": "integer", "minimum": 1, "maximum": MOST}),
    "NextToken": _or_empty({"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    "ResourceType": TEXT,
    "status": _or_empty({"enum": list(Status)}),
    "sortOrderByTime": {"enum": list(ORDERS)},
    "startedTimeBegin": _or_empty({"type": "integer", "minimum": 0, "maximum": 10**15}),
    "startedTimeEnd": _or_empty({"type": "integer", "minimum": 0, "maximum": 10**15}),
    "includePayload": _FLAG,
    "invocationIdPrefix": {"type": "string", "description": "of the ids"},
}
LISTS: Final = {"ResourceId", "TagKey", "Tag", "tags"}  # of the query, each the text of a JSON list
_CHANGED, _GONE, _THERE, _USED = (frozenset({status}) for status in (412, 404, 409, 409))
_CODE: Final = frozenset({501, 503})  # it is somewhere else; there is no room to unpack it
_FILTERS: Final = (  # FC3's
    *("fcVersion", "functionName", "description", "runtime", "gpuType", "resourceGroupId", "tags"),
)
_PAGE: Final = ("limit", "nextToken", "startKey", "prefix")
_QUALIFIED: Final = ("qualifier",)
_TASKS: Final = (
    *(
        "limit",
        "nextToken",
        "prefix",
        "invocationIdPrefix",
        "qualifier",
        "status",
        "includePayload",
    ),
    *("sortOrderByTime", "startedTimeBegin", "startedTimeEnd"),
)
_NO_QUEUE: Final = frozenset({501, 503})  # nothing runs functions; its store cannot be used


def _configs(name: str, plural: str, body: str, listing: str, **more: Any) -> dict[str, Told]:
    return {
        f"Put{name}": Told(body, body=f"{body}ToPut", query=_QUALIFIED),
        f"Get{name}": Told(body, query=_QUALIFIED),
        f"Delete{name}": Told(query=_QUALIFIED),
        listing: Told(plural, query=(*_PAGE, "qualifier", "functionName", "serviceName"), **more),
    }


_TOLD: Final[Mapping[str, Told]] = {
    "CreateFunction": Told(
        "Function", "FunctionOfService", body="FunctionToCreate", statuses=_THERE | _CODE
    ),
    "ListFunctions": Told(
        "Functions", "FunctionsOfService", query=(*_PAGE, "qualifier"), filters=_FILTERS
    ),
    "GetFunction": Told("Function", "FunctionOfService", query=_QUALIFIED),
    "UpdateFunction": Told(
        "Function", "FunctionOfService", body="FunctionToUpdate", statuses=_CHANGED | _CODE
    ),
    "DeleteFunction": Told(statuses=_CHANGED),
    "GetFunctionCode": Told("Code", query=_QUALIFIED),
    "CreateService": Told("Service", body="ServiceToCreate", statuses=_THERE),
    "ListServices": Told("Services", query=_PAGE),
    "GetService": Told("Service", query=_QUALIFIED),
    "UpdateService": Told("Service", body="ServiceToUpdate", statuses=_CHANGED),
    "DeleteService": Told(statuses=_CHANGED | _USED),
    **{
        name: told
        for what in ("Function", "Service")
        for name, told in {
            f"Publish{what}Version": Told(
                "Version", body="VersionToPublish", statuses=_CHANGED | frozenset({503})
            ),
            f"List{what}Versions": Told(
                "Versions", query=("limit", "nextToken", "startKey", "direction")
            ),
            f"Delete{what}Version": Told(statuses=_USED),
        }.items()
    },
    "CreateAlias": Told("Alias", body="AliasToCreate", statuses=_THERE),
    "ListAliases": Told("Aliases", query=_PAGE),
    "GetAlias": Told("Alias"),
    "UpdateAlias": Told("Alias", body="AliasToUpdate", statuses=_CHANGED),
    "DeleteAlias": Told(statuses=_CHANGED),
    "CreateTrigger": Told(
        "Trigger", oldest="TriggerWithObject", body="TriggerToCreate", statuses=_THERE
    ),
    "ListTriggers": Told("Triggers", oldest="TriggersWithObjects", query=_PAGE),
    "GetTrigger": Told("Trigger", oldest="TriggerWithObject"),
    "UpdateTrigger": Told(
        "Trigger", oldest="TriggerWithObject", body="TriggerToUpdate", statuses=_CHANGED
    ),
    "DeleteTrigger": Told(statuses=_CHANGED),
    **_configs(
        "AsyncInvokeConfig",
        "AsyncInvokeConfigs",
        "AsyncInvokeConfig",
        "ListAsyncInvokeConfigs",
        statuses=_GONE,
    ),
    **_configs(
        "FunctionAsyncInvokeConfig",
        "AsyncInvokeConfigs",
        "AsyncInvokeConfig",
        "ListFunctionAsyncInvokeConfigs",
    ),
    **_configs(
        "ProvisionConfig",
        "ProvisionConfigs",
        "ProvisionConfig",
        "ListProvisionConfigs",
        statuses=_GONE,
    ),
    **_configs(
        "ScalingConfig", "ScalingConfigs", "ScalingConfig", "ListScalingConfigs", statuses=_GONE
    ),
    **_configs(
        "ConcurrencyConfig",
        "ConcurrencyConfigs",
        "ConcurrencyConfig",
        "ListConcurrencyConfigs",
        statuses=_GONE,
    ),
    **_configs(
        "FunctionOnDemandConfig",
        "OnDemandConfigs",
        "OnDemandConfig",
        "ListOnDemandConfigs",
        statuses=_GONE,
    ),
    "CreateLayerVersion": Told(
        "LayerVersion", "LayerVersionOfFc2", body="LayerVersionToCreate", statuses=_CODE
    ),
    "ListLayers": Told("Layers", "LayersOfFc2", query=(*_PAGE, "public", "official")),
    "ListLayerVersions": Told("Layers", "LayersOfFc2", query=("limit", "startVersion")),
    "GetLayerVersion": Told("LayerVersion", "LayerVersionOfFc2"),
    "GetLayerVersionByArn": Told("LayerVersion", "LayerVersionOfFc2"),
    "DeleteLayerVersion": Told(),
    "PutLayerACL": Told(query=("acl", "public")),
    "CreateCustomDomain": Told("CustomDomain", body="CustomDomainToCreate", statuses=_THERE),
    "ListCustomDomains": Told("CustomDomains", query=_PAGE),
    "GetCustomDomain": Told("CustomDomain"),
    "UpdateCustomDomain": Told("CustomDomain", body="CustomDomainToUpdate", statuses=_CHANGED),
    "DeleteCustomDomain": Told(statuses=_CHANGED),
    "TagResources": Told("Nothing", body="TagsOfResources", statuses=_GONE),
    "UntagResources": Told(query=("ResourceId", "TagKey", "All"), statuses=_GONE),
    "ListTagResources": Told(
        "TagResources",
        query=("ResourceId", "Tag", "ResourceType", "Limit", "NextToken"),
        statuses=_GONE,
    ),
    "TagResource": Told("Nothing", body="TagsOfResource", statuses=_GONE),
    "UntagResource": Told("Nothing", body="TagsToRemove", statuses=_GONE),
    "GetResourceTags": Told("Tagged", query=("resourceArn",), statuses=_GONE),
    "ListTaggedResources": Told("AllTagged"),
    **{
        f"{verb}{name}": told
        for name in ("AsyncTask", "StatefulAsyncInvocation")
        for verb, told in {
            "Get": Told(name, query=_QUALIFIED, statuses=_NO_QUEUE),
            "Stop": Told(query=_QUALIFIED, statuses=_NO_QUEUE),
            "Retry": Told(query=_QUALIFIED, statuses=_NO_QUEUE),
        }.items()
    },
    "ListAsyncTasks": Told("AsyncTasks", query=_TASKS, statuses=_NO_QUEUE),
    "ListStatefulAsyncInvocations": Told(
        "StatefulAsyncInvocations", query=_TASKS, statuses=_NO_QUEUE
    ),
    "ListInstances": Told("Instances", query=_QUALIFIED, statuses=frozenset({501})),
    "EnableFunctionInvocation": Told("Success"),
    "DisableFunctionInvocation": Told(
        "Success", body="InvocationToDisable", statuses=frozenset({501})
    ),
    "DescribeRegions": Told("Regions"),
    "GetAccountSettings": Told("AccountSettings"),
    "ListReservedCapacities": Told("ReservedCapacities"),
}
_REFUSED: Final = {name: why for name, _verb, _path, _prefixes, why in REFUSED}


def told(operation: Operation) -> Told | None:
    """None of one that is always refused. Raises KeyError: somebody has added an operation."""
    return None if operation.name in _REFUSED else _TOLD[operation.name]


def why_refused(operation: Operation) -> str:
    return _REFUSED[operation.name]


def query_of(what: Told, prefix: str) -> tuple[str, ...]:
    return (*what.query, *what.filters) if prefix in FC3 else what.query


def reply_of(what: Told, prefix: str) -> str | None:
    """The component that *what* answers under *prefix*."""
    if prefix == "/2016-08-15" and what.oldest is not None:
        return what.oldest
    return what.reply if prefix in FC3 or what.fc2 is None else what.fc2
