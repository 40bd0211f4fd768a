"""FC2's services: a name, a role and a place for logs that several functions have in common."""

from collections.abc import Mapping
from typing import Any

from fc_runtime.service.account import documents
from fc_runtime.service.account.fields import check_name
from fc_runtime.service.account.ledger import Ledger, Page, function_scope
from fc_runtime.service.account.lookups import (
    LATEST,
    needed_service,
    needed_version,
    restored,
    shares,
)
from fc_runtime.service.errors import ApiError, already_exists
from fc_runtime.service.store import Entry


class Services(Ledger):
    """Raises ApiError, as the API would answer."""

    def create_service(self, name: object, document: Mapping[str, Any]) -> Entry:
        """Raises ApiError 400; 409 if there is one of that name."""
        name = check_name("serviceName", name)
        whole = documents.new_service(documents.changes_of_service(document))
        with self.change() as transaction:
            if transaction.get("service", "", name) is not None:
                raise already_exists("Service", name)
            return transaction.put("service", "", name, whole)

    def get_service(self, name: str, qualifier: str | None = None) -> Entry:
        """As it is, or as it was in a version; an alias shows its main version."""
        with self.store.transaction() as transaction:
            latest = needed_service(transaction, name)
            version = shares(transaction, name, qualifier)[0].version_id
            if version == LATEST:
                return latest
            return restored(needed_version(transaction, name, version), name).service or latest

    def update_service(
        self, name: str, document: Mapping[str, Any], *, if_match: str | None = None
    ) -> Entry:
        """Change what *document* has, keep the rest."""
        changes = documents.changes_of_service(document)
        with self.change() as transaction:
            before = needed_service(transaction, name)
            return transaction.put(
                "service", "", name, {**before.document, **changes}, if_match=if_match
            )

    def delete_service(self, name: str, *, if_match: str | None = None) -> None:
        """With its versions and aliases. Raises ApiError 409 while it has functions."""
        with self.change() as transaction:
            needed_service(transaction, name)
            if transaction.list("function", name, limit=1):
                raise ApiError(
                    409, "ServiceNotEmpty", f"service '{name}' has functions: delete them first"
                )
            transaction.delete("service", "", name, if_match=if_match)
            for kind in ("version", "alias"):
                transaction.delete_all(kind, name)
            transaction.delete_all("tag", function_scope(name, ""))

    def list_services(self, *, prefix: str = "", start: str = "", limit: int | None = None) -> Page:
        """By name, at most *limit* of them, from *start* on."""
        return self.page("service", "", prefix=prefix, start=start, limit=limit)
