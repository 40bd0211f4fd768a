"""
Functions whose invocations are switched off, and on again (FC3).

Kind ``restriction``, scope "/function", always ``LATEST``: it holds for all versions. It is no part
of the function's own document, which a version is a copy of.
"""

from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account.fields import Check, checked, flag, text
from fc_runtime.service.account.ledger import RESTRICTION, Ledger, function_scope
from fc_runtime.service.account.lookups import LATEST, needed_function
from fc_runtime.service.errors import not_implemented

CHECKS: Final[Mapping[str, Check]] = {"reason": text(256), "abortOngoingRequest": flag}


class Restrictions(Ledger):
    def disable_invocation(self, function: str, document: Mapping[str, Any]) -> None:
        """Calls under way end as they would. Raises ApiError 400, 404, 501."""
        checked("", document, CHECKS)
        if document.get("abortOngoingRequest"):
            raise not_implemented(
                "not available here: abortOngoingRequest; calls under way are left to end: "
                "leave it away"
            )
        with self.change() as transaction:
            needed_function(transaction, "", function)
            kept = {"reason": document.get("reason") or ""}
            transaction.put(RESTRICTION, function_scope("", function), LATEST, kept)

    def enable_invocation(self, function: str) -> None:
        """One that is enabled stays so. Raises ApiError 404."""
        with self.change() as transaction:
            needed_function(transaction, "", function)
            transaction.delete(RESTRICTION, function_scope("", function), LATEST)

    def restriction(self, function: str) -> dict[str, Any] | None:
        """As FC3 shows it with a function; None if its invocations are not switched off."""
        entry = self.store.get(RESTRICTION, function_scope("", function), LATEST)
        if entry is None:
            return None
        reason = entry.document["reason"]
        return {"disable": True, "reason": reason, "lastModifiedTime": entry.modified}
