"""
All that is around functions; and what needs the cloud, each with what it needs.

An operation that is refused says so with status 501 and a reason; none is accepted and forgotten.
"""

from functools import partial
from typing import Final, NoReturn

from fc_runtime.service.api import configs, domains, layers, tags, triggers
from fc_runtime.service.api.addresses import OF_FC2, OF_FC3
from fc_runtime.service.api.operations import FC2, FC3, Call, Operation, Reply
from fc_runtime.service.errors import not_implemented

_BOTH: Final = (*FC3, *FC2)
_LATER: Final = "asynchronous tasks: nothing is invoked asynchronously yet"
_OSS: Final = "uploads through OSS: send the code as zipFile, at most 100 MB"
_VPC: Final = "networks of the cloud: functions run on this machine's own network"
_SESSIONS: Final = "sessions and snapshots of instances"
_ACCOUNT: Final = "resource groups: there is one account, without groups"
_SOURCES: Final = "event sources of the cloud: nothing of them reaches this machine"
_GPU: Final = "GPU instances"
_TASK: Final = "/async-tasks"
_STATEFUL: Final = "/stateful-async-invocations"
REFUSED: Final = (  # name, verb, path, API versions, why
    ("GetTempBucketToken", "GET", "/tempBucketToken", _BOTH, _OSS),
    ("ListAsyncTasks", "GET", f"{OF_FC3}{_TASK}", FC3, _LATER),
    ("GetAsyncTask", "GET", f"{OF_FC3}{_TASK}/{{task}}", FC3, _LATER),
    ("StopAsyncTask", "PUT", f"{OF_FC3}{_TASK}/{{task}}/stop", FC3, _LATER),
    ("ListStatefulAsyncInvocations", "GET", f"{OF_FC2}{_STATEFUL}", FC2, _LATER),
    ("GetStatefulAsyncInvocation", "GET", f"{OF_FC2}{_STATEFUL}/{{task}}", FC2, _LATER),
    ("StopStatefulAsyncInvocation", "PUT", f"{OF_FC2}{_STATEFUL}/{{task}}", FC2, _LATER),
    ("CreateVpcBinding", "POST", "/vpc-bindings", FC3, _VPC),
    ("CreateFunctionVpcBinding", "POST", f"{OF_FC3}/vpc-bindings", FC3, _VPC),
    ("ListVpcBindings", "GET", f"{OF_FC3}/vpc-bindings", FC3, _VPC),
    ("DeleteVpcBinding", "DELETE", f"{OF_FC3}/vpc-bindings/{{vpc}}", FC3, _VPC),
    ("CreateServiceVpcBinding", "POST", "/services/{service}/bindings", FC2, _VPC),
    ("ListServiceVpcBindings", "GET", "/services/{service}/bindings", FC2, _VPC),
    ("DeleteServiceVpcBinding", "DELETE", "/services/{service}/bindings/{vpc}", FC2, _VPC),
    ("CreateSession", "POST", f"{OF_FC3}/sessions", FC3, _SESSIONS),
    ("ListSessions", "GET", f"{OF_FC3}/sessions", FC3, _SESSIONS),
    ("GetSession", "GET", f"{OF_FC3}/sessions/{{session}}", FC3, _SESSIONS),
    ("UpdateSession", "PUT", f"{OF_FC3}/sessions/{{session}}", FC3, _SESSIONS),
    ("DeleteSession", "DELETE", f"{OF_FC3}/sessions/{{session}}", FC3, _SESSIONS),
    ("ChangeResourceGroup", "PUT", "/resource-groups", FC3, _ACCOUNT),
    ("RegisterEventSource", "POST", f"{OF_FC2}/event-sources", FC2, _SOURCES),
    ("ListEventSources", "GET", f"{OF_FC2}/event-sources", FC2, _SOURCES),
    ("DeregisterEventSource", "DELETE", f"{OF_FC2}/event-sources/{{arn:path}}", FC2, _SOURCES),
    ("ReleaseGPUInstance", "DELETE", "/gpuInstances/{instance}", FC2, _GPU),
)


def _refuse(what: str, _call: Call) -> NoReturn:
    raise not_implemented(f"not available here: {what}")


def _account_settings(_call: Call) -> Reply:
    """There are no zones, and no role that a service gets unasked."""
    return Reply({"availableAZs": [], "defaultRole": ""})


def _no_capacities(_call: Call) -> Reply:
    """Nobody can buy any here."""
    return Reply({"reservedCapacities": []})


OPERATIONS: Final[tuple[Operation, ...]] = (
    *layers.OPERATIONS,
    *triggers.OPERATIONS,
    *configs.OPERATIONS,
    *domains.OPERATIONS,
    *tags.OPERATIONS,
    Operation("GetAccountSettings", "GET", "/account-settings", _account_settings, _BOTH),
    Operation("ListReservedCapacities", "GET", "/reservedCapacities", _no_capacities, FC2),
    Operation("ListReservedCapacities", "GET", "/reserved-capacities", _no_capacities, FC2),
    *(
        Operation(name, verb, path, partial(_refuse, why), prefixes)
        for name, verb, path, prefixes, why in REFUSED
    ),
)
