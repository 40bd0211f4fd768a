"""
What is to be registered for a name, as the account says now: which versions, with how many
instances. Reads the account, so all of it blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from fc_runtime.service.account.ledger import RESTRICTION, Page, function_scope
from fc_runtime.service.account.targets import Target
from fc_runtime.service.deployment import key_of
from fc_runtime.service.errors import ApiError
from fc_runtime.service.packages import Packages
from fc_runtime.service.settings import Settings
from fc_runtime.service.store import Entry

LATEST: Final = "LATEST"
PROVISION: Final = "provision"
KEEPING_WARM: Final = (PROVISION, "scaling")


class Holder(Protocol):
    """
    Of the account, what is needed here. All of it but `revision` blocks. ``instances`` and
    ``provisioned`` it is told, see `Configs`.
    """

    packages: Packages
    instances: Callable[[str, str, str], list[dict[str, Any]]] | None
    provisioned: Callable[[str, str, str], int] | None

    @property
    def revision(self) -> int: ...
    def functions(self) -> list[Entry]: ...
    def targets(
        self, service: str, function: str, qualifier: str | None
    ) -> tuple[tuple[Target, float], ...]: ...
    def config(
        self, kind: str, service: str, function: str, qualifier: str
    ) -> Mapping[str, Any] | None: ...
    def layer_folders(self, arns: Sequence[str]) -> list[Path]: ...
    def page(self, kind: str, scope: str) -> Page: ...


class Plan(NamedTuple):
    """
    Args:
        weight: its share of the traffic for the name.
        least, most: instances.
        throttled: it is to have none at all.
        disabled: the reason for which its invocations are switched off; None if they are not.
    """

    target: Target
    weight: float
    least: int
    most: int
    throttled: bool
    disabled: str | None

    @property
    def stamp(self) -> tuple[object, ...]:
        return (self.target.etag, self.least, self.most)


class Plans:
    def __init__(self, account: Holder, settings: Settings) -> None:
        self._account = account
        self._settings = settings

    def of(self, service: str, function: str, qualifier: str | None) -> list[Plan]:
        return [
            self._plan(target, weight)
            for target, weight in self._account.targets(service, function, qualifier)
        ]

    def _plan(self, target: Target, weight: float) -> Plan:
        least = self._asked(target, PROVISION, target.qualifier, "target")
        reserved = self._asked(target, "concurrency", target.qualifier, "reservedConcurrency")
        most = max(self._settings.max_instances, least or 0) if reserved is None else reserved
        restriction = self._account.config(RESTRICTION, target.service, target.function, LATEST)
        return Plan(
            target,
            weight,
            min(least or 0, most),
            max(most, 1),
            throttled=most < 1,
            disabled=None if restriction is None else str(restriction["reason"]),
        )

    def _asked(self, target: Target, kind: str, qualifier: str, field: str) -> int | None:
        """A number of one of its configurations, if there is one."""
        config = self._account.config(kind, target.service, target.function, qualifier) or {}
        given = config.get(field)
        return given if isinstance(given, int) else None

    def all(self, deployed: Mapping[str, Target]) -> tuple[list[Plan], set[str]]:
        """
        Of the *deployed*, by key, and of what is to be kept warm, all that there is now; and the
        keys of all that may be asked for.
        """
        wanted: dict[str, Plan] = {}
        present: set[str] = set()
        asked = {(made.service, made.function, made.qualifier) for made in deployed.values()}
        for entry in self._account.functions():
            asked.add((entry.scope, entry.name, LATEST))
            for qualifier in self._provisioned(entry.scope, entry.name):
                asked.add((entry.scope, entry.name, qualifier))
        for service, function, qualifier in asked:
            try:
                plans = self.of(service, function, qualifier)
            except ApiError as error:
                if error.status == 404:
                    continue
                raise
            for plan in plans:
                if plan.disabled is not None:
                    continue  # its instances may go
                key = key_of(plan.target)
                present.add(key)
                if plan.least or key in deployed:
                    wanted[key] = plan
        return list(wanted.values()), present

    def _provisioned(self, service: str, function: str) -> list[str]:
        return [
            entry.name
            for kind in KEEPING_WARM
            for entry in self._account.page(kind, function_scope(service, function)).entries
        ]
