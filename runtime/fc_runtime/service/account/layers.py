"""
Layers: numbered zips that functions share. Once it is made, a version never changes.

Kinds: ``layer`` ("" → name: what all versions have in common) and ``layer_version`` (layer → its
number, filled with zeros so that the order of names is that of numbers). Numbers are never used
again. A version that is deleted is no longer shown, nor given to functions that do not have it yet;
those that have it keep it, so its document stays for as long as one of them does.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fc_runtime.service.account import code as codes, given
from fc_runtime.service.account.fields import Check, checked, text, texts
from fc_runtime.service.account.ledger import Ledger, Page, page_of
from fc_runtime.service.errors import ApiError, invalid, not_found
from fc_runtime.service.store import Entry, Transaction

MOST_OF_A_FUNCTION: Final = 5  # spec 12
MOST_VERSIONS: Final = 100
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ARN: Final = re.compile(r"acs:fc:([^:]*):([^:]*):layers/([^/#]+)/versions/([0-9]{1,8})")
CHECKS: Final[Mapping[str, Check]] = {
    "description": text(256),
    "compatibleRuntime": texts,
    "license": text(256),
}
_OFFICIAL: Final = "official"  # the account of FC's own layers


class Layers(Ledger):
    def create_layer_version(self, name: str, document: Mapping[str, Any]) -> Entry:
        """
        Keep and unpack ``code.zipFile`` as the next version.

        Raises ApiError 400, also for a layer that has as many versions as it may have.
        """
        if _NAME.fullmatch(name) is None:
            raise invalid(
                f"layerName: letters, digits, _ and -, at most 64, no digit first, not '{name}'"
            )
        code = given.mapping({"code": document.get("code", document.get("Code"))}, "code")
        checked("", document, CHECKS)
        kept: dict[str, Any] = {
            "description": document.get("description") or "",
            "compatibleRuntime": document.get("compatibleRuntime") or [],
            "license": document.get("license") or "",
        }
        stored = codes.stored(code, self.packages, local=self.local_code, oss=self.oss)
        kept["code"] = codes.frozen(stored or {}, self.packages)
        with self.change() as transaction:
            return _added(transaction, name, kept)

    def layer_of_folder(self, folder: Path) -> str:
        """
        The ARN of a version with what is in *folder* now, made if there is none: for a manifest.

        Its layer has the folder's name. Raises ApiError 400.
        """
        name = folder.name if _NAME.fullmatch(folder.name) else "layer"
        code = codes.frozen({"folder": str(folder)}, self.packages)
        with self.change() as transaction:
            for version in _visible(transaction.list("layer_version", name)):
                if version.document["code"]["digest"] == code["digest"]:
                    return self.layer_arn(version)
            kept = {"description": "", "compatibleRuntime": [], "license": "", "code": code}
            return self.layer_arn(_added(transaction, name, kept))

    def get_layer_version(self, name: str, number: str) -> Entry:
        """Raises ApiError 404."""
        with self.store.transaction() as transaction:
            return _version(transaction, name, number)

    def get_layer_version_by_arn(self, arn: str) -> Entry:
        """Raises ApiError 400 for no ARN of this account's, 404."""
        name, number = self._parsed(arn)
        return self.get_layer_version(name, number)

    def list_layer_versions(self, name: str, *, start: int, limit: int) -> Page:
        """From version *start* on. Raises ApiError 404 if there is no such layer."""
        with self.store.transaction() as transaction:
            if transaction.get("layer", "", name) is None:
                raise not_found("Layer", name)
            found = transaction.list("layer_version", name, start=_padded(start))
        return page_of(_visible(found), limit)

    def list_layers(self, *, prefix: str, start: str, limit: int, public: bool | None) -> Page:
        """The newest version of each, by name of layer; *public*: only such, or only others."""
        newest: list[Entry] = []
        with self.store.transaction() as transaction:
            for layer in transaction.list("layer", "", prefix=prefix, start=start):
                if public is not None and public != (layer.document["acl"] == 1):
                    continue
                versions = _visible(transaction.list("layer_version", layer.name))
                newest.extend(versions[-1:])
                if len(newest) > limit:
                    return Page(tuple(newest[:limit]), layer.name)
        return Page(tuple(newest), None)

    def delete_layer_version(self, name: str, number: str) -> None:
        """Functions that have it keep it. Raises ApiError 404."""
        with self.change() as transaction:
            version = _version(transaction, name, number)
            arn = self.layer_arn(version)
            if any(_mentions(user.document, arn) for user in _possible_users(transaction)):
                gone = {**version.document, "deleted": True}
                transaction.put("layer_version", name, version.name, gone)
            else:
                transaction.delete("layer_version", name, version.name)
            if not _visible(transaction.list("layer_version", name)):
                transaction.delete("layer", "", name)

    def put_layer_acl(self, name: str, *, public: bool) -> None:
        """Stored only: there is one account. Raises ApiError 404."""
        with self.change() as transaction:
            layer = transaction.get("layer", "", name)
            if layer is None:
                raise not_found("Layer", name)
            transaction.put("layer", "", name, {**layer.document, "acl": int(public)})

    def layer_acl(self, name: str) -> int:
        """0: private; 1: public."""
        layer = self.store.get("layer", "", name)
        return 0 if layer is None else int(layer.document["acl"])

    def layer_arn(self, version: Entry) -> str:
        of = f"layers/{version.scope}/versions/{version.document['version']}"
        return f"acs:fc:{self.region}:{self.account_id}:{of}"

    def check_layers(self, transaction: Transaction, arns: Sequence[str]) -> None:
        """
        For a function that is being given *arns*.

        Raises ApiError 400 for too many, and for one that is another account's, unknown or deleted.
        """
        for entry in self._known(transaction, arns):
            if entry.document.get("deleted"):
                raise invalid(f"layers: '{self.layer_arn(entry)}' has been deleted")

    def layer_size(self, arn: str) -> int:
        """Of its zip, in bytes; 0 if there is no such layer here."""
        match = _ARN.fullmatch(arn)
        if match is None or match.groups()[:2] != (self.region, self.account_id):
            return 0
        entry = self.store.get("layer_version", match[3], match[4].zfill(8))
        return 0 if entry is None else int(entry.document["code"]["size"])

    def layer_folders(self, arns: Sequence[str]) -> list[Path]:
        """Their content, unpacked, in the same order. Raises ApiError 400 as `check_layers`."""
        with self.store.transaction() as transaction:
            found = list(self._known(transaction, arns))
        return [self.packages.folder(entry.document["code"]["digest"]) for entry in found]

    def _known(self, transaction: Transaction, arns: Sequence[str]) -> Iterator[Entry]:
        if len(arns) > MOST_OF_A_FUNCTION:
            raise invalid(f"layers: at most {MOST_OF_A_FUNCTION}, not {len(arns)}")
        for arn in arns:
            name, number = self._parsed(arn)
            entry = transaction.get("layer_version", name, number.zfill(8))
            if entry is None:
                raise invalid(f"layers: there is no '{arn}': create that layer version first")
            yield entry

    def _parsed(self, arn: object) -> tuple[str, str]:
        match = _ARN.fullmatch(arn) if isinstance(arn, str) else None
        if match is None:
            raise invalid(
                f"layers: 'acs:fc:REGION:ACCOUNT:layers/NAME/versions/N', not {given.shown(arn)}"
            )
        region, account, name, number = match.groups()
        if account == _OFFICIAL:
            raise invalid(f"layers: '{arn}' is FC's own and not here: make a layer of its content")
        if (region, account) != (self.region, self.account_id):
            raise invalid(
                f"layers: '{arn}' is not of this account, which is {self.account_id} in region "
                f"{self.region} (--account-id, --region)"
            )
        return name, number


def _padded(number: int) -> str:
    return f"{number:08d}"


def _version(transaction: Transaction, name: str, number: str) -> Entry:
    if transaction.get("layer", "", name) is None:
        raise not_found("Layer", name)
    entry = None
    if number.isascii() and number.isdecimal():
        entry = transaction.get("layer_version", name, number.zfill(8))
    if entry is None or entry.document.get("deleted"):
        raise not_found("LayerVersion", f"{name}/{number}")
    return entry


def _added(transaction: Transaction, name: str, kept: dict[str, Any]) -> Entry:
    """As the next version. Raises ApiError 400 if it has as many as it may have."""
    if len(_visible(transaction.list("layer_version", name))) >= MOST_VERSIONS:
        raise ApiError(
            400,
            "LimitExceededError",
            f"layer '{name}' has {MOST_VERSIONS} versions: delete one first",
        )
    if transaction.get("layer", "", name) is None:
        transaction.put("layer", "", name, {"acl": 0})
    number = transaction.next_number("layer_version", name)
    kept["version"] = number
    return transaction.put("layer_version", name, _padded(number), kept)


def _visible(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if not entry.document.get("deleted")]


def _possible_users(transaction: Transaction) -> Iterator[Entry]:
    yield from transaction.list("function", None)
    yield from transaction.list("version", None)


def _mentions(value: object, arn: str) -> bool:
    """Anywhere in a document: a version may be a snapshot of several functions."""
    if isinstance(value, dict):
        return any(_mentions(item, arn) for item in value.values())
    if isinstance(value, list):
        return any(_mentions(item, arn) for item in value)
    return value == arn
