"""Aliases: a name for a version, or for several with a part of the traffic each."""

import re
from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account.fields import (
    MOST_DESCRIPTION,
    Check,
    checked,
    described,
    like,
    mapping,
    number,
    text,
)
from fc_runtime.service.account.ledger import Ledger, Page, forget_qualifier, page_of
from fc_runtime.service.account.lookups import (
    LATEST,
    ROUNDING,
    check_etag,
    needed_owner,
    needed_version,
    version_scope,
)
from fc_runtime.service.errors import already_exists, invalid, not_found
from fc_runtime.service.store import Entry, Transaction

_NAME: Final = re.compile(r"(?!LATEST$)[A-Za-z_-][A-Za-z0-9_-]{0,127}")
_WEIGHT: Final = number(0, 1)


@described({"type": "object", "additionalProperties": _WEIGHT.schema})
def _weights(name: str, value: Any) -> None:
    """Versions, and the part of the traffic of each."""
    mapping(name, value)
    for version, weight in value.items():
        _WEIGHT(f"{name}.{version}", weight)


ALIAS_NAME: Final = like(
    _NAME, f"letters, digits, _ and -, at most 128, not starting with a digit, and not {LATEST}"
)
CHECKS: Final[Mapping[str, Check]] = {
    "description": text(MOST_DESCRIPTION),
    "versionId": text(64),
    "additionalVersionWeight": _weights,
}


class Aliases(Ledger):
    """*service* is empty for FC3, *function* is for FC2. Raises ApiError."""

    def create_alias(
        self, service: str, function: str, name: object, document: Mapping[str, Any]
    ) -> Entry:
        ALIAS_NAME("aliasName", name)
        name = str(name)
        scope = version_scope(service, function)
        with self.change() as transaction:
            needed_owner(transaction, service, function)
            if transaction.get("alias", scope, name) is not None:
                raise already_exists("Alias", name)
            whole = {"description": "", "additionalVersionWeight": {}, **_given(document)}
            _check(transaction, scope, whole)
            return transaction.put("alias", scope, name, whole)

    def get_alias(self, service: str, function: str, name: str) -> Entry:
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, function)
            return _needed(transaction, version_scope(service, function), name)

    def update_alias(
        self,
        service: str,
        function: str,
        name: str,
        document: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> Entry:
        """Change what *document* has, keep the rest. Weights, if given, are replaced as a whole."""
        scope = version_scope(service, function)
        with self.change() as transaction:
            needed_owner(transaction, service, function)
            before = _needed(transaction, scope, name)
            check_etag(before, if_match)
            changes = _given(document)
            whole = {**before.document, **changes}
            if "additionalVersionWeight" not in changes:  # what becomes the main one has the rest
                weights = whole["additionalVersionWeight"]
                whole["additionalVersionWeight"] = {
                    version: w for version, w in weights.items() if version != whole["versionId"]
                }
            _check(transaction, scope, whole)
            return transaction.put("alias", scope, name, whole, if_match=if_match)

    def delete_alias(
        self, service: str, function: str, name: str, *, if_match: str | None = None
    ) -> None:
        scope = version_scope(service, function)
        with self.change() as transaction:
            needed_owner(transaction, service, function)
            _needed(transaction, scope, name)
            transaction.delete("alias", scope, name, if_match=if_match)
            forget_qualifier(transaction, service, function, name)

    def list_aliases(
        self,
        service: str,
        function: str,
        *,
        prefix: str = "",
        start: str = "",
        limit: int | None = None,
    ) -> Page:
        with self.store.transaction() as transaction:
            needed_owner(transaction, service, function)
            found = transaction.list(
                "alias",
                version_scope(service, function),
                prefix=prefix,
                start=start,
                limit=None if limit is None else limit + 1,
            )
        return page_of(found, limit)


def _needed(transaction: Transaction, scope: str, name: str) -> Entry:
    entry = transaction.get("alias", scope, name)
    if entry is None:
        raise not_found("Alias", name)
    return entry


def _given(document: Mapping[str, Any]) -> dict[str, Any]:
    own = {"aliasName", "createdTime", "lastModifiedTime"}
    return {name: v for name, v in document.items() if v is not None and name not in own}


def _check(transaction: Transaction, scope: str, document: Mapping[str, Any]) -> None:
    """Every version that is named is there, and the shares are shares of one."""
    checked("", document, CHECKS)
    main, weights = document.get("versionId"), document["additionalVersionWeight"]
    if not main:
        raise invalid("versionId is required but not provided")
    if sum(weights.values()) > 1 + ROUNDING:
        raise invalid("additionalVersionWeight: more than 1 in all")
    if main in weights:
        raise invalid(f"additionalVersionWeight: '{main}' is the versionId, it has the rest")
    for version in (main, *weights):
        if version != LATEST:
            needed_version(transaction, scope, version)
