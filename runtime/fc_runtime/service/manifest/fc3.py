"""Component ``fc3`` (and ``fc3-domain``): its properties are FC3's own names, so most stay."""

import json
from typing import Any, Final

from fc_runtime.service.manifest import triggers
from fc_runtime.service.manifest.model import DomainPlan, FunctionPlan, TriggerPlan
from fc_runtime.service.manifest.plans import AUTO, Plans
from fc_runtime.service.manifest.sections import Section

# What is about the tool that deploys, not about the function.
_OF_THE_TOOL: Final = ("region", "endpoint", "triggers", "customDomain", "artifact")
_MADE_BY_AUTO: Final = ("logConfig", "vpcConfig", "nasConfig", "ossMountConfig", "role")


def function(props: Section, plans: Plans) -> None:
    name = props.name("functionName", "the function")
    document: dict[str, Any] = {}
    plans.common(props, document, memory_mb=512)
    for key in _OF_THE_TOOL:
        props.get(key)
    asynchronous = props.section("asyncInvokeConfig")
    configs = {
        kind: section
        for kind, key in (
            ("provision", "provisionConfig"),
            ("concurrency", "concurrencyConfig"),
            ("scaling", "scalingConfig"),
        )
        if (section := props.section(key)) is not None
    }
    hooks = props.section("instanceLifecycleConfig")
    if hooks is not None:
        document["instanceLifecycleConfig"] = lifecycle(hooks, plans)
    code = plans.code(props, "code", document["runtime"])
    document |= {key: value for key, value in props.rest().items() if value is not None}
    for key in _MADE_BY_AUTO:  # the tool would make one; here there is nothing to make
        if document.get(key) == AUTO:
            del document[key]
    if code is None:
        return
    plans.add_function(FunctionPlan("", name, {**document, "code": code}), props)
    for section in props.sections("triggers"):
        trigger(section, name, plans)
    if asynchronous is not None:
        plans.add_config("async", "", name, asynchronous)
    for kind, section in configs.items():
        plans.add_config(kind, "", name, section)


def lifecycle(hooks: Section, plans: Plans) -> dict[str, Any]:
    """``initializer``, ``preStop`` and ``preFreeze``, each ``{handler, timeout}`` (spec 3)."""
    found: dict[str, Any] = {}
    for key, most_s in (("initializer", 300), ("preStop", 90), ("preFreeze", 90)):
        hook = hooks.section(key, "handler and timeout")
        if hook is None:
            continue
        handler = plans.handler(hook, "handler", required=not hook.get("command"))
        timeout = hook.whole("timeout", 1, most_s, " of seconds")
        found[key] = {
            **hook.rest(),
            **({} if handler is None else {"handler": handler}),
            **({} if timeout is None else {"timeout": timeout}),
        }
    return found | hooks.rest()


def trigger(section: Section, function_name: str, plans: Plans) -> None:
    name = section.name("triggerName", "the trigger")
    kind = triggers.type_of(section, "triggerType", plans)
    config = section.get("triggerConfig")
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except ValueError as error:
            section.fail("triggerConfig", f"no JSON: {error}")
    if config is not None and not isinstance(config, dict):
        section.fail("triggerConfig", f"{config!r}: a mapping")
    triggers.check(section.inner("triggerConfig", config or {}), kind, plans)
    document = {
        **section.rest(),
        "triggerName": name,
        "triggerType": kind,
        "triggerConfig": config or {},
    }
    plans.add_trigger(TriggerPlan("", function_name, name, document), section)


def domain(props: Section, plans: Plans) -> None:
    """Component ``fc3-domain``."""
    props.get("region")
    routes = []
    route_config = props.section("routeConfig")
    for route in route_config.sections("routes") if route_config is not None else ():
        route.name("functionName", "the function that answers")
        routes.append({"path": "/*", **route.plain()})
    if not routes:
        props.fail("routeConfig", "missing: routes, each with path and functionName")
    name = props.required("domainName", "the domain's name, or auto")
    if name == AUTO:
        name = f"{routes[0]['functionName']}.localhost".lower()
    document = {**props.rest(), "domainName": name, "routeConfig": {"routes": routes}}
    plans.add_domain(DomainPlan(name, document), props)
