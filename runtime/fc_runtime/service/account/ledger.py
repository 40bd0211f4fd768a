"""
What all parts of an account stand on: the store, the code, and the number of the last change.

A part is a class over `Ledger` with the verbs of its resources; `Account` is all of them. Verbs
open their own transaction; what several verbs need takes one instead, for there is only one at a
time.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fc_runtime.service.account.code import OssReader
from fc_runtime.service.packages import Packages
from fc_runtime.service.store import Entry, Store, Transaction

# Kinds whose scope is "service/function" and whose name is a qualifier: they go with what they are
# of.
OF_A_QUALIFIER: Final = ("async", "provision", "concurrency", "scaling", "ondemand")
RESTRICTION: Final = "restriction"
OF_A_FUNCTION: Final = ("trigger", "tag", RESTRICTION, *OF_A_QUALIFIER)


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of a list.

    Args:
        next: the name that the rest begins with; None if there is no more.
    """

    entries: tuple[Entry, ...]
    next: str | None


class Ledger:
    """
    Args:
        account_id: in ARNs, and what functions are told.
        region: likewise.
        local_code: may a function's code be a folder of this machine (``{"folder": …}``)?
        oss: reads an object of a bucket; None if there is no OSS within reach.
    """

    def __init__(
        self,
        store: Store,
        packages: Packages,
        *,
        account_id: str,
        region: str,
        local_code: bool = False,
        oss: OssReader | None = None,
    ) -> None:
        self.store = store
        self.packages = packages
        self.account_id = account_id
        self.region = region
        self.local_code = local_code
        self.oss = oss
        self.base_url: str | None = None  # how the daemon is reached, once it is known
        self.url_secret = secrets.token_bytes()  # signs URLs of code; they end with the daemon
        self._revision = 0
        self._revision_lock = threading.Lock()

    @property
    def revision(self) -> int:
        """
        Grows with every committed change.

        Read it *before* what you keep under it: a change in between is then only read twice.
        """
        return self._revision

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """All of it or nothing; then, not before, `revision` grows."""
        with self.store.transaction() as transaction:
            yield transaction
        with self._revision_lock:
            self._revision += 1

    def check_layers(self, transaction: Transaction, arns: list[str]) -> None:
        """Raises ApiError if a layer is not there. For the part that has the layers to replace."""

    def layer_size(self, arn: str) -> int:  # noqa: ARG002 (for the part that has layers)
        """Of its zip, in bytes; 0 if it is not known. Likewise."""
        return 0

    def page(
        self,
        kind: str,
        scope: str,
        *,
        prefix: str = "",
        start: str = "",
        limit: int | None = None,
    ) -> Page:
        """At most *limit* of one scope, by name, from *start* on."""
        with self.store.transaction() as transaction:
            found = transaction.list(
                kind, scope, prefix=prefix, start=start, limit=None if limit is None else limit + 1
            )
        return page_of(found, limit)


def page_of(found: list[Entry], limit: int | None) -> Page:
    """The first *limit* of what was found, which may be more."""
    if limit is None or len(found) <= limit:
        return Page(tuple(found), None)
    return Page(tuple(found[:limit]), found[limit].name)


def forget_qualifier(transaction: Transaction, service: str, function: str, qualifier: str) -> None:
    """What was configured for a version or an alias that goes; FC2: of all functions it is of."""
    of_service = [entry.name for entry in transaction.list("function", service)] if service else []
    for name in of_service or [function]:
        for kind in OF_A_QUALIFIER:
            transaction.delete(kind, function_scope(service, name), qualifier)


def function_scope(service: str, function: str) -> str:
    """The scope of what belongs to a function. FC3: *service* is empty."""
    return f"{service}/{function}"
