"""
What needs the cloud: refused with status 501 and the reason.

None is accepted and forgotten.
"""

from functools import partial
from typing import Final, NoReturn

from fc_runtime.service.api.addresses import OF_FC2, OF_FC3
from fc_runtime.service.api.operations import FC2, FC3, Call, Operation
from fc_runtime.service.errors import not_implemented

_OSS: Final = "uploads through OSS: send the code as zipFile, at most 100 MB"
_VPC: Final = "networks of the cloud: functions run on this machine's own network"
_SESSIONS: Final = "sessions of instances: any instance may serve any request"
_SNAPSHOTS: Final = "snapshots of instances"
_GROUPS: Final = "resource groups: there is one account, without groups"
_SOURCES: Final = "event sources of the cloud: nothing of them reaches this machine"
_GPU: Final = "GPU instances"
_BOTH: Final = (*FC3, *FC2)
_SESSION: Final = f"{OF_FC3}/sessions/{{session}}"

REFUSED: Final = (  # name, verb, path, API versions, why
    ("GetTempBucketToken", "GET", "/tempBucketToken", _BOTH, _OSS),
    ("CreateVpcBinding", "POST", f"{OF_FC3}/vpc-bindings", FC3, _VPC),
    ("ListVpcBindings", "GET", f"{OF_FC3}/vpc-bindings", FC3, _VPC),
    ("DeleteVpcBinding", "DELETE", f"{OF_FC3}/vpc-bindings/{{vpc}}", FC3, _VPC),
    ("CreateVpcBinding", "POST", "/services/{service}/bindings", FC2, _VPC),
    ("ListVpcBindings", "GET", "/services/{service}/bindings", FC2, _VPC),
    ("DeleteVpcBinding", "DELETE", "/services/{service}/bindings/{vpc}", FC2, _VPC),
    ("CreateSession", "POST", f"{OF_FC3}/sessions", FC3, _SESSIONS),
    ("ListSessions", "GET", f"{OF_FC3}/sessions", FC3, _SESSIONS),
    ("GetSession", "GET", _SESSION, FC3, _SESSIONS),
    ("UpdateSession", "PUT", _SESSION, FC3, _SESSIONS),
    ("PauseSession", "PUT", f"{_SESSION}/pause", FC3, _SESSIONS),
    ("ResumeSession", "PUT", f"{_SESSION}/resume", FC3, _SESSIONS),
    ("DeleteSession", "DELETE", _SESSION, FC3, _SESSIONS),
    ("CreateSnapshot", "POST", f"{OF_FC3}/snapshots", FC3, _SNAPSHOTS),
    ("ListSnapshots", "GET", "/snapshots", FC3, _SNAPSHOTS),
    ("GetSnapshot", "GET", f"{OF_FC3}/snapshots/{{snapshot}}", FC3, _SNAPSHOTS),
    ("DeleteSnapshot", "DELETE", f"{OF_FC3}/snapshots/{{snapshot}}", FC3, _SNAPSHOTS),
    ("ChangeResourceGroup", "PUT", "/resource-groups", FC3, _GROUPS),
    ("RegisterEventSource", "POST", f"{OF_FC2}/event-sources", FC2, _SOURCES),
    ("ListEventSources", "GET", f"{OF_FC2}/event-sources", FC2, _SOURCES),
    ("DeregisterEventSource", "DELETE", f"{OF_FC2}/event-sources/{{arn:path}}", FC2, _SOURCES),
    ("ClaimGPUInstance", "POST", "/gpuInstances", FC2, _GPU),
    ("ReleaseGPUInstance", "DELETE", "/gpuInstances/{instance}", FC2, _GPU),
)


def _refuse(what: str, _call: Call) -> NoReturn:
    raise not_implemented(f"not available here: {what}")


OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    Operation(name, verb, path, partial(_refuse, why), prefixes)
    for name, verb, path, prefixes, why in REFUSED
)
