"""
Versions: snapshots that never change. FC3's of a function, FC2's of a service with its functions.

Their numbers grow and are never given twice, whatever was deleted.
"""

from typing import Final

from fc_runtime.service.account import code as codes
from fc_runtime.service.account.fields import MOST_DESCRIPTION, text
from fc_runtime.service.account.ledger import Ledger, Page, forget_qualifier, page_of
from fc_runtime.service.account.lookups import (
    check_etag,
    needed_owner,
    needed_version,
    snapshot_document,
    version_scope,
)
from fc_runtime.service.errors import ApiError, invalid
from fc_runtime.service.store import Entry, Transaction

LONGEST: Final = 18  # digits of a version
FORWARD, BACKWARD = "FORWARD", "BACKWARD"


class Versions(Ledger):
    """*service* is empty for FC3, *function* is for FC2. Raises ApiError."""

    def publish_version(
        self,
        service: str,
        function: str,
        description: object = None,
        *,
        if_match: str | None = None,
    ) -> Entry:
        """
        What is LATEST now, under the next number.

        Args:
            if_match: ETag of the service (FC2), or of the function (FC3).
        Raises:
            ApiError: 404; 412; 400 ``VersionPublishError`` if nothing has changed since the last.
        """
        description = "" if description is None else description
        text(MOST_DESCRIPTION)("description", description)
        scope = version_scope(service, function)
        packed = self._packed(service, function)
        with self.change() as transaction:
            owner = needed_owner(transaction, service, function)
            check_etag(owner, if_match)
            functions = _functions(transaction, service, owner)
            for entry in functions:
                code = entry.document["code"]
                entry.document["code"] = packed.get(code.get("folder"), code)
            document = snapshot_document(str(description), owner if service else None, functions)
            last = _by_number(transaction, scope)[-1:]
            if last and _same(last[0].document, document):
                raise ApiError(
                    400,
                    "VersionPublishError",
                    f"can not publish version for {'service' if service else 'function'} "
                    f"'{owner.name}', detail: 'No changes were made since last publish'",
                )
            number = str(transaction.next_number("version", scope))
            return transaction.put("version", scope, number, document)

    def get_version(self, service: str, function: str, version_id: str) -> Entry:
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, function)
            return needed_version(transaction, version_scope(service, function), version_id)

    def list_versions(
        self,
        service: str,
        function: str,
        *,
        direction: str = BACKWARD,
        start: str = "",
        limit: int | None = None,
    ) -> Page:
        """By number, the newest first unless *direction* is ``FORWARD``; from *start* on."""
        if direction not in {FORWARD, BACKWARD}:
            raise invalid(f"direction: {FORWARD} or {BACKWARD}, not '{direction}'")
        if start and not (start.isascii() and start.isdecimal() and len(start) <= LONGEST):
            raise invalid(f"startKey: a version, not '{start[:64]}'")
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, function)
            found = _by_number(transaction, version_scope(service, function))
        if direction == BACKWARD:
            found = [e for e in reversed(found) if not start or int(e.name) <= int(start)]
        else:
            found = [e for e in found if not start or int(e.name) >= int(start)]
        return page_of(found, limit)

    def delete_version(self, service: str, function: str, version_id: str) -> None:
        """Raises ApiError 404, or 409 while an alias leads to it."""
        scope = version_scope(service, function)
        with self.change() as transaction:
            needed_owner(transaction, service, function)
            needed_version(transaction, scope, version_id)
            for alias in transaction.list("alias", scope):
                document = alias.document
                if version_id in {document["versionId"], *document["additionalVersionWeight"]}:
                    raise ApiError(
                        409,
                        "VersionInUse",
                        f"version '{version_id}' is used by the alias '{alias.name}'",
                    )
            transaction.delete("version", scope, version_id)
            forget_qualifier(transaction, service, function, version_id)

    def _packed(self, service: str, function: str) -> dict[str | None, dict[str, object]]:
        """The code of each local folder, as it is now: outside of a transaction, it takes time."""
        with self.store.transaction() as transaction:
            owner = needed_owner(transaction, service, function)
            found = [e.document["code"] for e in _functions(transaction, service, owner)]
        return {
            code["folder"]: codes.frozen(code, self.packages) for code in found if "folder" in code
        }


def _functions(transaction: Transaction, service: str, owner: Entry) -> list[Entry]:
    return transaction.list("function", service) if service else [owner]


def _by_number(transaction: Transaction, scope: str) -> list[Entry]:
    return sorted(transaction.list("version", scope), key=lambda entry: int(entry.name))


def _same(one: dict[str, object], other: dict[str, object]) -> bool:
    """Whatever they are called: is what they hold the same?"""
    names = ("service", "functions")
    return [one[name] for name in names] == [other[name] for name in names]
