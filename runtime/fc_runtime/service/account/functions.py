"""Functions of both families: made, read, changed, removed; with all that is theirs."""

from collections.abc import Mapping
from typing import Any

from fc_runtime.service.account import code as codes, documents
from fc_runtime.service.account.fields import check_name
from fc_runtime.service.account.ledger import (
    OF_A_FUNCTION,
    Ledger,
    Page,
    function_scope,
    page_of,
)
from fc_runtime.service.account.lookups import (
    LATEST,
    function_of_version,
    needed_function,
    needed_owner,
    needed_service,
    needed_version,
    restored,
    shares,
    version_scope,
)
from fc_runtime.service.errors import already_exists, invalid
from fc_runtime.service.store import Entry, Transaction


class Functions(Ledger):
    """*service* is empty for FC3 throughout. Raises ApiError, as the API would answer."""

    def create_function(self, service: str, name: object, document: Mapping[str, Any]) -> Entry:
        """
        Args:
            document: as the API takes it; ``code`` may also be a `Package`, or the `Path` of a
                folder.
        """
        name = check_name("functionName", name)
        changes = documents.changes_of_function(document)
        whole = documents.new_function(service, changes)
        with self.store.transaction() as transaction:  # before a zip is unpacked for nothing
            self._check_new(transaction, service, name, whole)
        code = self._code(document)
        if code is None and whole["runtime"] != "custom-container":
            raise invalid(codes.NOWHERE)
        with self.change() as transaction:
            self._check_new(transaction, service, name, whole)
            return transaction.put("function", service, name, {**whole, "code": code or {}})

    def get_function(self, service: str, name: str, qualifier: str | None = None) -> Entry:
        """An alias shows its main version. ``etag`` is of what it was when it was published."""
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, name)
            version = shares(transaction, version_scope(service, name), qualifier)[0].version_id
            return function_of_version(transaction, service, name, version)[0]

    def update_function(
        self,
        service: str,
        name: str,
        document: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> Entry:
        """Change what *document* has, keep the rest."""
        changes = documents.changes_of_function(document)
        with self.store.transaction() as transaction:
            before = needed_function(transaction, service, name)
            documents.changed_function(service, before.document, changes)
        code = self._code(document)
        with self.change() as transaction:
            before = needed_function(transaction, service, name)
            after = documents.changed_function(service, before.document, changes)
            if "layers" in changes:
                self.check_layers(transaction, after["layers"])
            if code is not None:
                after["code"] = code
            return transaction.put("function", service, name, after, if_match=if_match)

    def delete_function(self, service: str, name: str, *, if_match: str | None = None) -> None:
        """
        With its triggers and configurations; FC3: with its versions and aliases too. What FC2's
        versions hold of it stays.
        """
        with self.change() as transaction:
            needed_function(transaction, service, name)
            transaction.delete("function", service, name, if_match=if_match)
            for kind in OF_A_FUNCTION:
                transaction.delete_all(kind, function_scope(service, name))
            if not service:
                for kind in ("version", "alias"):
                    transaction.delete_all(kind, version_scope(service, name))

    def list_functions(
        self,
        service: str,
        qualifier: str | None = None,
        *,
        prefix: str = "",
        start: str = "",
        limit: int | None = None,
    ) -> Page:
        """Of FC3, or of one FC2 service, in one of its versions, by name."""
        with self.store.transaction() as transaction:
            if service:
                needed_service(transaction, service)
            version = shares(transaction, service, qualifier)[0].version_id if service else LATEST
            if version == LATEST:
                found = transaction.list(
                    "function",
                    service,
                    prefix=prefix,
                    start=start,
                    limit=None if limit is None else limit + 1,
                )
            else:
                snapshot = restored(needed_version(transaction, service, version), service)
                found = [
                    entry
                    for name, entry in sorted(snapshot.functions.items())
                    if name.startswith(prefix) and name >= start
                ]
        return page_of(found, limit)

    def functions(self) -> list[Entry]:
        """LATEST of all of them, of both families; FC3's first, their scope is empty."""
        with self.store.transaction() as transaction:
            return transaction.list("function", None)

    def function_arn(self, service: str, name: str) -> str:
        """Spec 7.C; FC2's names the service as well."""
        owner = f"services/{service}/" if service else ""
        return f"acs:fc:{self.region}:{self.account_id}:{owner}functions/{name}"

    def _check_new(
        self, transaction: Transaction, service: str, name: str, document: Mapping[str, Any]
    ) -> None:
        if service:
            needed_service(transaction, service)
        if transaction.get("function", service, name) is not None:
            raise already_exists("Function", name)
        self.check_layers(transaction, document["layers"])

    def _code(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        return codes.stored(
            document.get("code"), self.packages, local=self.local_code, oss=self.oss
        )
