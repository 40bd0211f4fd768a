"""Component ``fc`` (and ``fc-domain``): a service, a function in it, and names to be translated."""

from typing import Any, Final

from fc_runtime.service.manifest import triggers
from fc_runtime.service.manifest.fc3 import lifecycle
from fc_runtime.service.manifest.model import (
    DomainPlan,
    FunctionPlan,
    ServicePlan,
    TriggerPlan,
)
from fc_runtime.service.manifest.plans import AUTO, Plans
from fc_runtime.service.manifest.sections import Section

_MADE_BY_AUTO: Final = ("logConfig", "vpcConfig", "nasConfig", "role")


def service(props: Section, plans: Plans) -> None:
    of_service = props.section("service", "the service: name, role, …")
    if of_service is None:
        props.fail("service", "missing: the service, with its name")
    name = of_service.name("name", "the service")
    document = {
        key: value
        for key, value in of_service.rest().items()
        if value is not None and not (key in _MADE_BY_AUTO and value == AUTO)
    }
    plans.add_service(ServicePlan(name, document), of_service)
    of_function = props.section("function", "the function: name, runtime, handler, …")
    if of_function is not None:
        _function(name, of_function, props, plans)


def _function(service_name: str, section: Section, props: Section, plans: Plans) -> None:
    name = section.name("name", "the function")
    document: dict[str, Any] = {}
    plans.common(section, document, memory_mb=128)
    hooks = section.section("instanceLifecycleConfig")
    instance = {} if hooks is None else lifecycle(hooks, plans)
    initializer = plans.handler(section, "initializer", required=False)
    seconds = section.whole("initializationTimeout", 1, 300, " of seconds")
    if initializer is not None:
        instance["initializer"] = {"handler": initializer, "timeout": seconds or 3}
    if instance:
        document["instanceLifecycleConfig"] = instance
    asynchronous = section.section("asyncConfiguration")
    code = None
    if section.get("ossBucket") and not section.get("codeUri"):
        plans.in_oss(section, "ossBucket")
    else:
        code = plans.code(section, "codeUri", document["runtime"])
    section.get("ossKey")
    document |= {key: value for key, value in section.rest().items() if value is not None}
    if code is None:
        return
    plans.add_function(FunctionPlan(service_name, name, {**document, "code": code}), section)
    for trigger in props.sections("triggers"):
        _trigger(trigger, service_name, name, plans)
    for domain_section in props.sections("customDomains"):
        domain(domain_section, plans, service_name, name)
    if asynchronous is not None:
        plans.add_config("async", service_name, name, asynchronous)


def _trigger(section: Section, service_name: str, function_name: str, plans: Plans) -> None:
    name = section.name("name", "the trigger")
    kind = triggers.type_of(section, "type", plans)
    config = section.section("config", "what the trigger's type wants") or section.inner(
        "config", {}
    )
    triggers.check(config, kind, plans)
    role = section.get("role")
    document = {
        **section.rest(),
        "triggerName": name,
        "triggerType": kind,
        "triggerConfig": config.plain(),
    }
    if isinstance(role, str):
        document["invocationRole"] = role
    plans.add_trigger(TriggerPlan(service_name, function_name, name, document), section)


def domain(section: Section, plans: Plans, service_name: str = "", function_name: str = "") -> None:
    """``customDomains`` of a function, or ``fc-domain``, where each route names its own."""
    section.get("region")
    routes = []
    for route in section.sections("routeConfigs"):
        found = {"path": "/*", **route.plain()}
        for key, own in (("serviceName", service_name), ("functionName", function_name)):
            found.setdefault(key, own)
            if not found[key]:
                route.fail(key, "missing: who answers")
        routes.append(found)
    if not routes:
        section.fail("routeConfigs", "missing: a list of routes, each with a path")
    name = section.required("domainName", "the domain's name, or auto")
    if name == AUTO:
        name = f"{routes[0]['functionName']}.{routes[0]['serviceName']}.localhost".lower()
    document = {**section.rest(), "domainName": name, "routeConfig": {"routes": routes}}
    plans.add_domain(DomainPlan(name, document), section)
