"""What each kind of config may hold; FC2's names become FC3's."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fc_runtime.service.account.fields import (
    Check,
    checked as check,
    described,
    flag,
    items,
    mapping,
    object_of,
    or_null,
    text,
    whole,
)
from fc_runtime.service.errors import invalid

MOST_RETRIES: Final = 8  # spec 7.B
MOST_AGE_S: Final = 604_800
MOST_INSTANCES: Final = 10_000
_MOST_POLICIES: Final = 100
_DESTINATION: Final = {"destination": text(1024)}
_EVENTS: Final = ("onSuccess", "onFailure")


@described(
    {
        "type": "object",
        "properties": {event: or_null(object_of(_DESTINATION)) for event in _EVENTS},
    }
)
def _destinations(name: str, value: Any) -> None:
    mapping(name, value)
    for event in _EVENTS:
        if value.get(event) is not None:
            mapping(f"{name}.{event}", value[event])
            check(f"{name}.{event}", value[event], _DESTINATION)


CHECKS: Final[Mapping[str, Mapping[str, Check]]] = {
    "async": {
        "maxAsyncRetryAttempts": whole(0, MOST_RETRIES),
        "maxAsyncEventAgeInSeconds": whole(1, MOST_AGE_S),
        "asyncTask": flag,
        "statefulInvocation": flag,
        "destinationConfig": _destinations,
    },
    "provision": {
        "target": whole(0, MOST_INSTANCES),
        "defaultTarget": whole(0, MOST_INSTANCES),
        "scheduledActions": items(_MOST_POLICIES),
        "targetTrackingPolicies": items(_MOST_POLICIES),
        "alwaysAllocateCPU": flag,
        "alwaysAllocateGPU": flag,
    },
    "concurrency": {"reservedConcurrency": whole(1, MOST_INSTANCES)},
    "scaling": {
        "minInstances": whole(0, MOST_INSTANCES),
        "horizontalScalingPolicies": items(_MOST_POLICIES),
        "scheduledPolicies": items(_MOST_POLICIES),
        "enableOnDemandScaling": flag,
        "enableMixMode": flag,
        "residentPoolId": text(256),
        "requestDispatchPolicy": text(256),
    },
    "ondemand": {"maximumInstanceCount": whole(0, MOST_INSTANCES)},
}
NEEDED: Final[Mapping[str, str]] = {
    "concurrency": "reservedConcurrency",
    "ondemand": "maximumInstanceCount",
}


def checked(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document to keep, of *kind* as in `Configs`. Raises ApiError 400."""
    checks = CHECKS[kind]
    check("", document, checks)
    kept = {name: document[name] for name in checks if document.get(name) is not None}
    needed = NEEDED.get(kind)
    if needed is not None and needed not in kept:
        raise invalid(f"{needed} is needed")
    return _SETTLED[kind](kept) if kind in _SETTLED else kept


def _async(kept: dict[str, Any]) -> dict[str, Any]:
    stateful = kept.pop("statefulInvocation", None)
    return kept if stateful is None else {**kept, "asyncTask": stateful}


def _provision(kept: dict[str, Any]) -> dict[str, Any]:
    """The newer of the two names is defaultTarget."""
    wanted = kept.get("target", kept.get("defaultTarget"))
    if wanted is None:
        raise invalid("target (or defaultTarget) is needed")
    lists: dict[str, Any] = {"scheduledActions": [], "targetTrackingPolicies": []}
    return {**lists, "defaultTarget": wanted, **kept, "target": wanted}


def _scaling(kept: dict[str, Any]) -> dict[str, Any]:
    least: dict[str, Any] = {
        "minInstances": 0,
        "horizontalScalingPolicies": [],
        "scheduledPolicies": [],
    }
    return {**least, **{name: value for name, value in kept.items() if value != ""}}


_SETTLED: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "async": _async,
    "provision": _provision,
    "scaling": _scaling,
}
