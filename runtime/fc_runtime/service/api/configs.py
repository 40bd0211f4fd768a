"""
Async-invoke, provision, scaling, concurrency (FC3) and on-demand (FC2) configs.

How each kind is shown is in `SHOWN`; verbs and paths are the same for all.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from fc_runtime.service.account.addressing import qualified_arn
from fc_runtime.service.account.lookups import LATEST
from fc_runtime.service.api.addresses import NOTE, OF_FC2, OF_FC3, function_of, is_fc3
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
from fc_runtime.service.destinations import destination
from fc_runtime.service.store import Entry

_NOTES: Final = {
    "destinations": "that destination is stored only: nothing of the cloud is told from here",
    "policies": "scheduled and metric policies are stored only: the target is kept at all times",
}
_POLICIES: Final = (
    *("scheduledActions", "targetTrackingPolicies"),
    *("horizontalScalingPolicies", "scheduledPolicies"),
)


def _put(kind: str, call: Call) -> Reply:
    entry = call.account.put_config(kind, *function_of(call), call.body)
    return _answer(call, entry)


def _get(kind: str, call: Call) -> Reply:
    return _answer(call, call.account.get_config(kind, *function_of(call)))


def _delete(kind: str, call: Call) -> Reply:
    call.account.delete_config(kind, *function_of(call))
    return NO_CONTENT


def _list(kind: str, name: str, call: Call) -> Reply:
    """FC3: of the function in the query, or of all; FC2: of that in the path, or as the query."""
    part = wanted(call)
    if is_fc3(call):
        service: str | None = ""
        function = call.query.get("functionName")
    elif "function" in call.path:
        service, function, _ = function_of(call)
    else:
        service, function = call.query.get("serviceName") or None, None
    page = call.account.list_configs(
        kind,
        service=service,
        function=function,
        qualifier=call.qualifier,
        start=part.start,
        limit=part.limit,
    )
    return listed(name, page, lambda entry: SHOWN[kind](call, entry))


def _answer(call: Call, entry: Entry) -> Reply:
    body = SHOWN[entry.kind](call, entry)
    headers = dict(with_etag(body, entry).headers) if entry.etag else {}
    if any(entry.document.get(name) for name in _POLICIES):
        headers[NOTE] = _NOTES["policies"]
    elif _tells_the_cloud(entry):
        headers[NOTE] = _NOTES["destinations"]
    return Reply(body, 200, headers)


def _tells_the_cloud(entry: Entry) -> bool:
    """Has it a destination that cannot be reached from here?"""
    told = entry.document.get("destinationConfig") or {}
    texts = [(told.get(event) or {}).get("destination") for event in ("onSuccess", "onFailure")]
    return any(text and destination(text) is None for text in texts)


def _async(call: Call, entry: Entry) -> dict[str, Any]:
    service, function = _names(entry)
    shown = {**entry.document, "createdTime": entry.created, "lastModifiedTime": entry.modified}
    shown["qualifier"] = entry.name
    if is_fc3(call):
        return {**shown, "functionArn": _arn(call, entry)}
    stateful = shown.pop("asyncTask", None)
    if stateful is not None:
        shown["statefulInvocation"] = stateful
    return {**shown, "service": service, "function": function}


def _provision(call: Call, entry: Entry) -> dict[str, Any]:
    shown = {**entry.document, "current": _current(call, entry, entry.document["target"])}
    if is_fc3(call):
        return {**shown, "functionArn": _arn(call, entry)}
    shown.pop("defaultTarget", None)
    return {**shown, "resource": _resource(call, entry)}


def _scaling(call: Call, entry: Entry) -> dict[str, Any]:
    return {
        **entry.document,
        "currentInstances": _current(call, entry, entry.document["minInstances"]),
        "targetInstances": entry.document["minInstances"],
        "functionArn": _arn(call, entry),
    }


def _concurrency(call: Call, entry: Entry) -> dict[str, Any]:
    service, function = _names(entry)
    return {**entry.document, "functionArn": qualified_arn(call.account, service, function, None)}


def _ondemand(_call: Call, entry: Entry) -> dict[str, Any]:
    service, function = _names(entry)
    resource = f"services/{service}.{entry.name}/functions/{function}"
    return {**entry.document, "resource": resource}


def _names(entry: Entry) -> tuple[str, str]:
    service, _, function = entry.scope.partition("/")
    return service, function


def _arn(call: Call, entry: Entry) -> str:
    return qualified_arn(call.account, *_names(entry), entry.name or LATEST)


def _resource(call: Call, entry: Entry) -> str:
    """As FC2 names what is provisioned: ``account#service#qualifier#function``."""
    service, function = _names(entry)
    return f"{call.account.account_id}#{service}#{entry.name}#{function}"


def _current(call: Call, entry: Entry, wanted: int) -> int:
    """Of the *wanted*, those that there are; 0 where nobody runs anything."""
    ask = call.account.provisioned
    return 0 if ask is None else min(wanted, ask(*_names(entry), entry.name))


SHOWN: Final[Mapping[str, Callable[[Call, Entry], dict[str, Any]]]] = {
    "async": _async,
    "provision": _provision,
    "scaling": _scaling,
    "concurrency": _concurrency,
    "ondemand": _ondemand,
}


def _operations(
    kind: str, name: str, path: str, prefixes: tuple[str, ...]
) -> tuple[Operation, ...]:
    below = OF_FC3 if prefixes == FC3 else OF_FC2
    return tuple(
        Operation(f"{spoken}{name}", verb, f"{below}/{path}", partial(answer, kind), prefixes)
        for spoken, verb, answer in (
            ("Put", "PUT", _put),
            ("Get", "GET", _get),
            ("Delete", "DELETE", _delete),
        )
    )


def _listing(
    kind: str, name: str, path: str, field: str, prefixes: tuple[str, ...]
) -> tuple[Operation, ...]:
    return (Operation(name, "GET", path, partial(_list, kind, field), prefixes),)


OPERATIONS: Final = (
    *_operations("async", "AsyncInvokeConfig", "async-invoke-config", FC3),
    *_operations("async", "FunctionAsyncInvokeConfig", "async-invoke-config", FC2),
    *_listing("async", "ListAsyncInvokeConfigs", "/async-invoke-configs", "configs", FC3),
    *_listing(
        "async",
        "ListFunctionAsyncInvokeConfigs",
        f"{OF_FC2}/async-invoke-configs",
        "configs",
        FC2,
    ),
    *_operations("provision", "ProvisionConfig", "provision-config", FC3),
    *_operations("provision", "ProvisionConfig", "provision-config", FC2),
    *_listing(
        "provision",
        "ListProvisionConfigs",
        "/provision-configs",
        "provisionConfigs",
        (*FC3, *FC2),
    ),
    *_operations("scaling", "ScalingConfig", "scaling-config", FC3),
    *_listing("scaling", "ListScalingConfigs", "/scaling-configs", "scalingConfigs", FC3),
    *_operations("concurrency", "ConcurrencyConfig", "concurrency", FC3),
    *_listing("concurrency", "ListConcurrencyConfigs", "/concurrency-configs", "configs", FC3),
    *_operations("ondemand", "FunctionOnDemandConfig", "on-demand-config", FC2),
    *_listing("ondemand", "ListOnDemandConfigs", "/on-demand-configs", "configs", FC2),
)
