"""
Which keys a manifest may have where, of both editions, and those that are none of them.

A place is a mapping of its keys; what is below a key is a place, too, or None, if we do not look
there: it is anybody's (names of variables), it is kept only (what a trigger of the cloud wants), or
it means nothing here. Names are those of the components' own schemas (spec 10), of the API (spec
7.C, 7.D), and of older versions of the tools. A list is as what it holds.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from fc_runtime.service.manifest.reading import Key

Place: TypeAlias = "Mapping[str, Place | None]"
CLOSE: Final = 0.7  # of 1: a slip of the pen, and not another word


def _names(text: str) -> dict[str, "Place | None"]:
    return dict.fromkeys(text.split())


_HOOK: Final = _names("handler timeout command")
_HOOKS: Final[Place] = {"initializer": _HOOK, "preStop": _HOOK, "preFreeze": _HOOK}
_LOG: Final = _names(
    "project logstore enableRequestMetrics enableInstanceMetrics enableLlmMetrics logBeginRule"
)
_DESTINATIONS: Final[Place] = dict.fromkeys(("onSuccess", "onFailure"), _names("destination"))
_ASYNC: Final[Place] = {
    **_names("maxAsyncRetryAttempts maxAsyncEventAgeInSeconds asyncTask statefulInvocation"),
    **_names("qualifier"),
    "destination": _DESTINATIONS,
    "destinationConfig": _DESTINATIONS,
}
_PROVISION: Final = _names(
    "target defaultTarget scheduledActions targetTrackingPolicies alwaysAllocateCPU"
    " alwaysAllocateGPU qualifier"
)
_SCALING: Final = _names(
    "minInstances horizontalScalingPolicies scheduledPolicies enableOnDemandScaling enableMixMode"
    " residentPoolId requestDispatchPolicy qualifier"
)
_CUSTOM: Final = _names("command args port healthCheckConfig")
# Known to FC and without a meaning here, in functions of either edition.
_UNUSED: Final = _names(
    "vpcConfig vpcBinding nasConfig ossMountConfig internetAccess customContainerConfig customDNS"
    " gpuConfig gpuMemorySize tracingConfig sessionAffinity sessionAffinityConfig idleTimeout"
    " instanceIsolationMode enableLongLiving disableOndemand disableInjectCredentials"
    " resourceGroupId juiceFsConfig polarFsConfig microSandboxConfig instanceType"
    " instanceSoftConcurrency customHealthCheckConfig annotations supplement import protect"
)
# What only the API says: a project may have been written from what it showed.
_SHOWN: Final = _names(
    "functionArn functionId codeSize codeChecksum createdTime lastModifiedTime state stateReason"
    " stateReasonCode lastUpdateStatus lastUpdateStatusReason lastUpdateStatusReasonCode"
)
_FUNCTION: Final[Place] = {
    **_UNUSED,
    **_SHOWN,
    **_names("description runtime handler memorySize timeout cpu diskSize instanceConcurrency"),
    **_names("caPort environmentVariables layers role tags"),
    "logConfig": _LOG,
    "instanceLifecycleConfig": _HOOKS,
    "customRuntimeConfig": _CUSTOM,
}
_CORS: Final = _names(
    "allowCredentials allowHeaders allowMethods allowOrigins exposeHeaders maxAge"
)
# Of each type that is served here, what its config holds; and those that are stored only.
SERVED: Final[Mapping[str, Place]] = {
    "http": {**_names("authType methods disableURLInternet authConfig"), "corsConfig": _CORS},
    "timer": _names("cronExpression enable payload"),
}
STORED: Final = ("oss", "log", "mns_topic", "cdn_events", "tablestore", "eventbridge")
_TRIGGER_2: Final = _names("name type role sourceArn qualifier description config import protect")
_TRIGGER_3: Final = _names(
    "triggerName triggerType triggerConfig invocationRole sourceArn qualifier description"
)
_ROUTE: Final = _names("path functionName serviceName qualifier methods rewriteConfig")
_DOMAIN: Final[Place] = {
    **_names("region domainName protocol certId wafConfig isE2B"),
    "certConfig": _names("certName certificate privateKey certId"),
    "tlsConfig": _names("minVersion maxVersion cipherSuites"),
    "authConfig": _names("authType authInfo"),
    "corsConfig": _CORS,
}
_DOMAIN_2: Final[Place] = {**_DOMAIN, "routeConfigs": _ROUTE, **_names("import protect")}
_DOMAIN_3: Final[Place] = {**_DOMAIN, "routeConfig": {"routes": _ROUTE}, **_names("endpoint")}
_FC2: Final[Place] = {
    **_names("region endpoint"),
    "service": {
        **_names("name description internetAccess role vpcConfig nasConfig ossMountConfig"),
        **_names("vpcBinding tracingConfig tags import protect"),
        "logConfig": _LOG,
    },
    "function": {
        **_FUNCTION,
        **_names("name codeUri ossBucket ossKey initializer initializationTimeout"),
        "asyncConfiguration": _ASYNC,
    },
    "triggers": _TRIGGER_2,
    "customDomains": _DOMAIN_2,
}
_FC3: Final[Place] = {
    **_FUNCTION,
    **_names("region endpoint functionName customDomain artifact"),
    "code": _names("src ossBucketName ossObjectName checksum"),
    "asyncInvokeConfig": _ASYNC,
    "provisionConfig": _PROVISION,
    "concurrencyConfig": _names("reservedConcurrency qualifier"),
    "scalingConfig": _SCALING,
    "triggers": _TRIGGER_3,
}
PROPS: Final[Mapping[str, Place]] = {
    "fc": _FC2,
    "fc2": _FC2,
    "fc-domain": _DOMAIN_2,
    "fc3": _FC3,
    "fc3-domain": _DOMAIN_3,
}
# Of the tool, beside a component's props.
RESOURCE: Final = _names("component props access actions extend extends provider flow")


def unknown(
    path: tuple[Key, ...], value: object, place: Place
) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Where each key stands that *place* does not have, and what to say of it."""
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from unknown((*path, number), inner, place)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        below = place.get(key)
        if key not in place:
            yield (*path, key), f"not known here: it has no effect{meant(key, place)}"
        elif below is not None:
            yield from unknown((*path, key), inner, below)


def meant(word: Any, known: Iterable[str]) -> str:
    """``; did you mean timeout?``, or nothing if none is close."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), names, 1, CLOSE)
    return f"; did you mean {names[close[0]]}?" if close else ""
