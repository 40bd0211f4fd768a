"""
Finding things, inside of a transaction: what is there, or the 404 that says what is not.

A version is a snapshot. FC3's is of one function, FC2's of a service and all its functions; both
are kept in the same shape, so that one place reads them.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from fc_runtime.service.errors import ApiError, not_found
from fc_runtime.service.store import Entry, Transaction

LATEST: Final = "LATEST"
ROUNDING: Final = 1e-9  # 0.7 + 0.2 + 0.1 is a little more than 1
_VERSION: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Share:
    """A version, and the part of an alias's traffic that it gets."""

    version_id: str
    weight: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a version holds. ``service`` is None for FC3."""

    service: Entry | None
    functions: dict[str, Entry]


def version_scope(service: str, function: str) -> str:
    """Of versions and aliases. FC2: the service's own, *function* does not matter."""
    return service or f"/{function}"


def needed_service(transaction: Transaction, service: str) -> Entry:
    """Raises ApiError 404."""
    entry = transaction.get("service", "", service)
    if entry is None:
        raise not_found("Service", service)
    return entry


def needed_function(transaction: Transaction, service: str, function: str) -> Entry:
    """LATEST. Raises ApiError 404, for the service if that is what there is not."""
    if service:
        needed_service(transaction, service)
    entry = transaction.get("function", service, function)
    if entry is None:
        raise not_found("Function", function)
    return entry


def needed_owner(transaction: Transaction, service: str, function: str) -> Entry:
    """What versions and aliases are of: FC2's service, or FC3's function."""
    if service:
        return needed_service(transaction, service)
    return needed_function(transaction, "", function)


def needed_version(transaction: Transaction, scope: str, version_id: str) -> Entry:
    """Raises ApiError 404."""
    entry = transaction.get("version", scope, version_id)
    if entry is None:
        raise not_found("Version", version_id)
    return entry


def shares(transaction: Transaction, scope: str, qualifier: str | None) -> tuple[Share, ...]:
    """
    The versions that *qualifier* means, the main one first; none of them without any share, but
    that the main one is told even then.

    Raises ApiError 404.
    """
    if not qualifier or qualifier == LATEST:
        return (Share(LATEST, 1.0),)
    if _VERSION.fullmatch(qualifier):
        return (Share(needed_version(transaction, scope, qualifier).name, 1.0),)
    alias = transaction.get("alias", scope, qualifier)
    if alias is None:
        raise not_found("Alias", qualifier)
    others = alias.document["additionalVersionWeight"]
    rest = 1.0 - sum(others.values())
    main = Share(alias.document["versionId"], rest if rest > ROUNDING else 0.0)
    return (main, *(Share(version, weight) for version, weight in others.items() if weight > 0))


def function_of_version(
    transaction: Transaction, service: str, function: str, version_id: str
) -> tuple[Entry, Entry | None]:
    """A function and its service (FC2) as they are in a version. Raises ApiError 404."""
    if version_id == LATEST:
        entry = needed_function(transaction, service, function)
        return entry, needed_service(transaction, service) if service else None
    scope = version_scope(service, function)
    snapshot = restored(needed_version(transaction, scope, version_id), service)
    try:
        return snapshot.functions[function], snapshot.service
    except KeyError:
        raise not_found("Function", function) from None


def snapshot_document(
    description: str, service: Entry | None, functions: list[Entry]
) -> dict[str, Any]:
    """Of a version."""
    return {
        "description": description,
        "service": None if service is None else _kept(service),
        "functions": {entry.name: _kept(entry) for entry in functions},
    }


def restored(version: Entry, service: str) -> Snapshot:
    """What `snapshot_document` was made of."""
    owner = version.document["service"]
    return Snapshot(
        None if owner is None else _entry("service", "", service, owner),
        {
            name: _entry("function", service, name, kept)
            for name, kept in version.document["functions"].items()
        },
    )


def check_etag(entry: Entry, if_match: str | None) -> None:
    """Raises ApiError 412, where it is not the store that does."""
    if if_match and if_match != "*" and if_match.strip('"') != entry.etag:
        raise ApiError(
            412, "PreconditionFailed", f"If-Match is not {entry.etag}: read it again first"
        )


def _kept(entry: Entry) -> dict[str, Any]:
    return {
        "document": entry.document,
        "etag": entry.etag,
        "created": entry.created,
        "modified": entry.modified,
    }


def _entry(kind: str, scope: str, name: str, kept: dict[str, Any]) -> Entry:
    return Entry(kind, scope, name, **kept)
