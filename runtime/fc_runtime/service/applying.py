"""
A manifest put into an account: what is there is changed, what is not is made.

What an earlier manifest of the same daemon had put there, and this one no longer has, goes. What
came through the API stays, whatever it is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from fc_runtime.service.manifest import (
    DomainPlan,
    FunctionPlan,
    Manifest,
    ManifestError,
    ServicePlan,
    TriggerPlan,
)

# An update keeps what it does not name; what was taken out of the manifest is to go.
_CLEARED: Final[Mapping[str, Any]] = {
    "environmentVariables": {},
    "layers": [],
    "instanceLifecycleConfig": {},
    "description": "",
    "instanceConcurrency": 1,
}
_CLEARED_IN_FC2: Final[Mapping[str, Any]] = {**_CLEARED, "initializer": ""}


def apply(manifest: Manifest, account: Account, before: Manifest | None = None) -> None:
    """
    Blocks. Raises ManifestError for what the account refuses; what comes before it in the file is
    then done already, and applying again does the rest.

    Args:
        before: what was applied last.
    """
    for service in manifest.services:
        with _refusal(manifest, f"service {service.name}"):
            _put_service(account, service)
    # Made anew, a function would lose its warm instances. A zip may have another content.
    same = [] if before is None else [plan for plan in before.functions if plan.path.is_dir()]
    for function in manifest.functions:
        if function in same:
            continue
        with _refusal(manifest, f"function {function.spoken}"):
            _put_function(account, function)
    for trigger in manifest.triggers:
        with _refusal(manifest, f"trigger {trigger.name} of {trigger.function}"):
            _put_trigger(account, trigger)
    for config in manifest.configs:
        with _refusal(manifest, f"{config.kind} configuration of {config.function}"):
            account.put_config(
                config.kind, config.service, config.function, config.qualifier, config.document
            )
    for domain in manifest.domains:
        with _refusal(manifest, f"domain {domain.name}"):
            _put_domain(account, domain)
    if before is not None:
        _remove(account, before, manifest)


def refresh(account: Account, service: str, function: str, path: Path) -> None:
    """
    Tell the account that the code has changed: the next invocation sees it, those under way end on
    the old. Blocks. Raises ApiError.
    """
    account.update_function(service, function, {"code": _code(account, path)})


def _put_service(account: Account, plan: ServicePlan) -> None:
    if _has(account, "service", "", plan.name):
        account.update_service(plan.name, plan.document)
    else:
        account.create_service(plan.name, plan.document)


def _put_function(account: Account, plan: FunctionPlan) -> None:
    document = {**plan.document, "code": _code(account, plan.path)}
    if "layers" in document:
        document["layers"] = [
            account.layer_of_folder(Path(layer)) if layer.startswith("/") else layer
            for layer in document["layers"]
        ]
    if _has(account, "function", plan.service, plan.name):
        cleared = _CLEARED_IN_FC2 if plan.service else _CLEARED
        account.update_function(plan.service, plan.name, {**cleared, **document})
    else:
        account.create_function(plan.service, plan.name, document)


def _put_trigger(account: Account, plan: TriggerPlan) -> None:
    there = _trigger_names(account, plan.service, plan.function)
    if there.get(plan.name, plan.document["triggerType"]) != plan.document["triggerType"]:
        account.delete_trigger(plan.service, plan.function, plan.name)  # a type cannot be changed
        del there[plan.name]
    if plan.name in there:
        before = account.get_trigger(plan.service, plan.function, plan.name).document
        if {**before, **plan.document} == {**before, "triggerName": plan.name}:
            return  # a timer that is written anew would count from now
        account.update_trigger(plan.service, plan.function, plan.name, plan.document)
    else:
        account.create_trigger(plan.service, plan.function, plan.document)


def _put_domain(account: Account, plan: DomainPlan) -> None:
    if _has(account, "domain", "", plan.name):
        account.update_domain(plan.name, plan.document)
    else:
        account.create_domain(plan.document)


def _remove(account: Account, before: Manifest, now: Manifest) -> None:
    for name in {domain.name for domain in before.domains} - {d.name for d in now.domains}:
        if _has(account, "domain", "", name):
            account.delete_domain(name)
    functions = {(plan.service, plan.name) for plan in now.functions}
    for service, name in {(plan.service, plan.name) for plan in before.functions} - functions:
        if _has(account, "function", service, name):
            account.delete_function(service, name)
    triggers = {(plan.service, plan.function, plan.name) for plan in now.triggers}
    for gone in before.triggers:
        if (gone.service, gone.function, gone.name) not in triggers and gone.name in _trigger_names(
            account, gone.service, gone.function
        ):
            account.delete_trigger(gone.service, gone.function, gone.name)
    configs = {(plan.kind, plan.service, plan.function, plan.qualifier) for plan in now.configs}
    for config in before.configs:
        key = (config.kind, config.service, config.function, config.qualifier)
        if key not in configs and (config.service, config.function) in functions:
            account.delete_config(*key)


def _code(account: Account, path: Path) -> object:
    """A folder is served where it is, a zip as it is now."""
    return path if path.is_dir() else account.packages.add(path.read_bytes())


def _has(account: Account, kind: str, scope: str, name: str) -> bool:
    return account.store.get(kind, scope, name) is not None


def _trigger_names(account: Account, service: str, function: str) -> dict[str, str]:
    return {
        entry.name: entry.document["triggerType"] for entry in account.triggers(service, function)
    }


@contextmanager
def _refusal(manifest: Manifest, what: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise ManifestError(manifest.file, None, what, error.message) from error
    except OSError as error:
        raise ManifestError(manifest.file, None, what, str(error)) from error
