"""
How a function is to be run: asynchronously, how many instances at least, how many at most.

Kinds, all with the scope "service/function" and the name of a qualifier:

- ``async``: retries, age, destinations of what nobody waits for.
- ``provision`` (``target``) and, of FC3, ``scaling`` (``minInstances``): instances kept warm.
- ``concurrency`` (``reservedConcurrency``), FC3: of the whole function, thus always ``LATEST``;
  ``ondemand`` (``maximumInstanceCount``), FC2: instances at most.

The deployer asks `Configs.config` for ``provision`` and ``concurrency``, which fold the other two
in, so it knows nothing of generations.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fc_runtime.service.account.addressing import needed_qualifier
from fc_runtime.service.account.config_rules import checked
from fc_runtime.service.account.ledger import Ledger, Page, function_scope
from fc_runtime.service.account.lookups import LATEST, needed_function
from fc_runtime.service.errors import ApiError
from fc_runtime.service.queue import Queue
from fc_runtime.service.store import Entry, Transaction

# What is answered when there is none: codes that the official tools look for.
_MISSING: Final = {
    "async": "AsyncConfigNotExists",
    "concurrency": "OnDemandConfigNotFound",
    "ondemand": "OnDemandConfigNotFound",
    "provision": "ProvisionConfigNotFound",
    "scaling": "ScalingConfigNotFound",
}


class Configs(Ledger):
    """Settings of functions, one of each kind for a version or an alias."""

    provisioned: Callable[[str, str, str], int] | None = None
    """How many warm instances (service, function, qualifier) has now; set by whoever knows."""

    instances: Callable[[str, str, str], list[dict[str, Any]]] | None = None
    """Its instances, as the API shows them: ``instanceId, versionId …``; likewise."""

    queue: Queue | None = None
    """Its asynchronous invocations; likewise."""

    def put_config(
        self,
        kind: str,
        service: str,
        function: str,
        qualifier: str | None,
        document: Mapping[str, Any],
    ) -> Entry:
        """Create or replace. Raises ApiError 400, 404."""
        kept = checked(kind, document)
        with self.change() as transaction:
            scope, name = _address(transaction, kind, service, function, qualifier)
            return transaction.put(kind, scope, name, kept)

    def get_config(self, kind: str, service: str, function: str, qualifier: str | None) -> Entry:
        """
        Raises ApiError 404; but there always is a ``provision`` and a ``scaling``, of 0 instances.

        What has never been written has no ETag and no times.
        """
        with self.store.transaction() as transaction:
            scope, name = _address(transaction, kind, service, function, qualifier)
            entry = transaction.get(kind, scope, name)
        if entry is not None:
            return entry
        if kind == "provision":
            return Entry(kind, scope, name, {"target": 0, "defaultTarget": 0}, "", "", "")
        if kind == "scaling":
            return Entry(kind, scope, name, {"minInstances": 0}, "", "", "")
        raise _missing(kind, function, name)

    def delete_config(self, kind: str, service: str, function: str, qualifier: str | None) -> None:
        """Raises ApiError 404."""
        with self.change() as transaction:
            scope, name = _address(transaction, kind, service, function, qualifier)
            if not transaction.delete(kind, scope, name):
                raise _missing(kind, function, name)

    def list_configs(
        self,
        kind: str,
        *,
        service: str | None,
        function: str | None,
        qualifier: str | None = None,
        start: str = "",
        limit: int,
    ) -> Page:
        """
        Of all functions, or of some.

        Args:
            service: empty for those of FC3; None for all services of FC2.
            function: None for all.
            qualifier: None for all.
            start: a `Page.next`.
        """
        with self.store.transaction() as transaction:
            if function:
                needed_function(transaction, service or "", function)
            everything = transaction.list(kind, None)
        found = [
            entry
            for entry in everything
            if _is_of(entry, service, function)
            and qualifier in (None, entry.name)
            and _key(entry) >= start
        ]
        more = _key(found[limit]) if len(found) > limit else None
        return Page(tuple(found[:limit]), more)

    def config(
        self, kind: str, service: str, function: str, qualifier: str
    ) -> dict[str, Any] | None:
        """
        What holds for *qualifier*, as it is asked for in an invocation; None if nothing does.

        ``provision`` has the ``target`` of instances to keep warm; ``concurrency`` the
        ``reservedConcurrency``, which is the most that there may be.
        """
        scope = function_scope(service, function)
        name = qualifier or LATEST
        with self.store.transaction() as transaction:
            if kind == "provision":
                return _warm(transaction, scope, name)
            if kind == "concurrency":
                return _at_most(transaction, scope, service, name)
            return _document(transaction, kind, scope, name)


def _warm(transaction: Transaction, scope: str, name: str) -> dict[str, Any] | None:
    provision = _document(transaction, "provision", scope, name)
    scaling = _document(transaction, "scaling", scope, name)
    if provision is None and scaling is None:
        return None
    least = (scaling or {}).get("minInstances", 0)
    return {**(provision or {}), "target": max(least, (provision or {}).get("target", 0))}


def _at_most(
    transaction: Transaction, scope: str, service: str, name: str
) -> dict[str, Any] | None:
    if not service:
        return _document(transaction, "concurrency", scope, LATEST)
    ondemand = _document(transaction, "ondemand", scope, name)
    return None if ondemand is None else {"reservedConcurrency": ondemand["maximumInstanceCount"]}


def _document(transaction: Transaction, kind: str, scope: str, name: str) -> dict[str, Any] | None:
    entry = transaction.get(kind, scope, name)
    return None if entry is None else entry.document


def _address(
    transaction: Transaction, kind: str, service: str, function: str, qualifier: str | None
) -> tuple[str, str]:
    name = needed_qualifier(transaction, service, function, qualifier)
    return function_scope(service, function), LATEST if kind == "concurrency" else name


def _key(entry: Entry) -> str:
    return f"{entry.scope}/{entry.name}"


def _is_of(entry: Entry, service: str | None, function: str | None) -> bool:
    its_service, _, its_function = entry.scope.partition("/")
    right_service = bool(its_service) if service is None else its_service == service
    return right_service and (not function or its_function == function)


def _missing(kind: str, function: str, qualifier: str) -> ApiError:
    return ApiError(404, _MISSING[kind], f"function '{function}' has none for {qualifier}")
