"""Which versions of a function answer for a qualifier, and with what share of the traffic."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from fc_runtime.service.account.ledger import Ledger
from fc_runtime.service.account.lookups import (
    LATEST,
    function_of_version,
    needed_owner,
    shares,
    version_scope,
)
from fc_runtime.service.store import Transaction


@dataclass(frozen=True, slots=True)
class Target:
    """
    One version of a function, as it was asked for.

    Args:
        service: empty for FC3.
        qualifier: as asked for: ``LATEST``, a version, or an alias.
        version_id: what that is: ``LATEST``, or a version.
        document: of the function (neutral).
        service_document: of its FC2 service (role, logConfig …); empty for FC3.
        etag: changes when anything of it does; not with the qualifier.
    """

    service: str
    function: str
    qualifier: str
    version_id: str
    document: dict[str, Any]
    service_document: dict[str, Any] = field(default_factory=dict)
    etag: str = ""


class Targets(Ledger):
    """What the gateway asks, through a cache by `revision`."""

    def targets(
        self, service: str, function: str, qualifier: str | None
    ) -> tuple[tuple[Target, float], ...]:
        """
        The versions that share what comes for *qualifier*, with the share of each; 1.0 in all.

        Args:
            service: empty for FC3.
            qualifier: None is LATEST.
        Raises: ApiError 404: no such service, function, version or alias.
        """
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, function)
            found = shares(transaction, version_scope(service, function), qualifier)
            return tuple(
                (
                    _target(transaction, service, function, qualifier, share.version_id),
                    share.weight,
                )
                for share in found
                if share.weight > 0
            )


def _target(
    transaction: Transaction, service: str, function: str, qualifier: str | None, version_id: str
) -> Target:
    entry, owner = function_of_version(transaction, service, function, version_id)
    etags = f"{version_id}\0{entry.etag}\0{owner.etag if owner else ''}"
    return Target(
        service=service,
        function=function,
        qualifier=qualifier or LATEST,
        version_id=version_id,
        document=entry.document,
        service_document=owner.document if owner else {},
        etag=hashlib.sha256(etags.encode()).hexdigest()[:32],
    )
