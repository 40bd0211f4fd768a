"""What each kind of config may hold; FC2's names become FC3's."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fc_runtime.service.account import given
from fc_runtime.service.errors import invalid

MOST_RETRIES: Final = 8  # spec 7.B
MOST_AGE_S: Final = 604_800
MOST_INSTANCES: Final = 10_000
_MOST_POLICIES: Final = 100


def checked(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document to keep, of *kind* as in `Configs`. Raises ApiError 400."""
    return _RULES[kind](document)


def _async(document: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    _keep(
        kept,
        maxAsyncRetryAttempts=given.whole(document, "maxAsyncRetryAttempts", 0, MOST_RETRIES),
        maxAsyncEventAgeInSeconds=given.whole(document, "maxAsyncEventAgeInSeconds", 1, MOST_AGE_S),
        asyncTask=given.flag(document, "asyncTask"),
    )
    _keep(kept, asyncTask=given.flag(document, "statefulInvocation"))
    destinations = given.mapping(document, "destinationConfig")
    for event in ("onSuccess", "onFailure"):
        given.text(given.mapping(destinations, event), "destination", 1024)
    if destinations:
        kept["destinationConfig"] = destinations
    return kept


def _provision(document: Mapping[str, Any]) -> dict[str, Any]:
    target = given.whole(document, "target", 0, MOST_INSTANCES)
    default = given.whole(document, "defaultTarget", 0, MOST_INSTANCES)
    wanted = (
        target if target is not None else default
    )  # the newer of the two names is defaultTarget
    if wanted is None:
        raise invalid("target (or defaultTarget) is needed")
    kept = {
        "target": wanted,
        "defaultTarget": wanted if default is None else default,
        "scheduledActions": given.listing(document, "scheduledActions", _MOST_POLICIES),
        "targetTrackingPolicies": given.listing(document, "targetTrackingPolicies", _MOST_POLICIES),
    }
    for name in ("alwaysAllocateCPU", "alwaysAllocateGPU"):
        _keep(kept, **{name: given.flag(document, name)})
    return kept


def _concurrency(document: Mapping[str, Any]) -> dict[str, Any]:
    reserved = given.whole(document, "reservedConcurrency", 1, MOST_INSTANCES)
    if reserved is None:
        raise invalid("reservedConcurrency is needed")
    return {"reservedConcurrency": reserved}


def _scaling(document: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "minInstances": given.whole(document, "minInstances", 0, MOST_INSTANCES) or 0,
        "horizontalScalingPolicies": given.listing(
            document, "horizontalScalingPolicies", _MOST_POLICIES
        ),
        "scheduledPolicies": given.listing(document, "scheduledPolicies", _MOST_POLICIES),
    }
    for name in ("enableOnDemandScaling", "enableMixMode"):
        _keep(kept, **{name: given.flag(document, name)})
    for name in ("residentPoolId", "requestDispatchPolicy"):
        _keep(kept, **{name: given.text(document, name, 256) or None})
    return kept


def _ondemand(document: Mapping[str, Any]) -> dict[str, Any]:
    most = given.whole(document, "maximumInstanceCount", 0, MOST_INSTANCES)
    if most is None:
        raise invalid("maximumInstanceCount is needed")
    return {"maximumInstanceCount": most}


def _keep(kept: dict[str, Any], **values: object) -> None:
    kept.update({name: value for name, value in values.items() if value is not None})


_RULES: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "async": _async,
    "provision": _provision,
    "concurrency": _concurrency,
    "scaling": _scaling,
    "ondemand": _ondemand,
}
