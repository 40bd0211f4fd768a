"""All that is around functions, and the little that is to be said of the account itself."""

from typing import Final

from fc_runtime.service.account.addressing import needed_qualifier
from fc_runtime.service.api import configs, domains, layers, refused, tags, tasks, triggers
from fc_runtime.service.api.addresses import OF_FC3, function_of, of_function
from fc_runtime.service.api.operations import FC2, FC3, Call, Operation, Reply
from fc_runtime.service.errors import not_implemented


def _account_settings(_call: Call) -> Reply:
    """There are no zones, and no role that a service gets unasked."""
    return Reply({"availableAZs": [], "defaultRole": ""})


def _no_capacities(_call: Call) -> Reply:
    """Nobody can buy any here."""
    return Reply({"reservedCapacities": []})


def _regions(call: Call) -> Reply:
    """The one that this is."""
    region = call.account.region
    return Reply({"Regions": {"Region": [{"RegionId": region, "LocalName": region}]}})


def _disable(call: Call) -> Reply:
    call.account.disable_invocation(call.path["function"], call.body)
    return Reply({"success": True})


def _enable(call: Call) -> Reply:
    call.account.enable_invocation(call.path["function"])
    return Reply({"success": True})


def _instances(call: Call) -> Reply:
    """Those that there are now; an account without its daemon does not know any."""
    service, function, qualifier = function_of(call)
    with call.account.store.transaction() as transaction:
        name = needed_qualifier(transaction, service, function, qualifier)
    ask = call.account.instances
    if ask is None:
        raise not_implemented("not available here: nothing runs functions in this process")
    return Reply({"instances": ask(service, function, name)})


OPERATIONS: Final[tuple[Operation, ...]] = (
    *layers.OPERATIONS,
    *triggers.OPERATIONS,
    *configs.OPERATIONS,
    *domains.OPERATIONS,
    *tags.OPERATIONS,
    *tasks.OPERATIONS,
    *of_function("ListInstances", "GET", "/instances", _instances),
    *(  # the documents have PUT, the official client POST
        Operation(name, verb, f"{OF_FC3}/invoke/{path}", answer, FC3)
        for name, path, answer in (
            ("EnableFunctionInvocation", "enable", _enable),
            ("DisableFunctionInvocation", "disable", _disable),
        )
        for verb in ("PUT", "POST")
    ),
    Operation("DescribeRegions", "GET", "/regions", _regions, FC3),
    Operation("GetAccountSettings", "GET", "/account-settings", _account_settings, (*FC3, *FC2)),
    Operation("ListReservedCapacities", "GET", "/reservedCapacities", _no_capacities, FC2),
    Operation("ListReservedCapacities", "GET", "/reserved-capacities", _no_capacities, FC2),
    *refused.OPERATIONS,
)
