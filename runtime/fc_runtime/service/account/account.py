"""The account: all its parts in one."""

from typing import Final

import structlog

from fc_runtime.service.account.aliases import Aliases
from fc_runtime.service.account.extras import Extras
from fc_runtime.service.account.functions import Functions
from fc_runtime.service.account.services import Services
from fc_runtime.service.account.targets import Targets
from fc_runtime.service.account.versions import Versions
from fc_runtime.service.store import Transaction

FOUND: Final = "found"  # kind of the document that names the code a new account found there
MEND: Final = "restore account.db from a backup, or remove what nobody wants back"
_log = structlog.get_logger(__name__)


class Account(Extras, Functions, Services, Versions, Aliases, Targets):
    """What the management API changes and the gateway reads. Any thread; every verb blocks."""

    def sweep(self) -> None:
        """
        Remove the code that nothing refers to, and unpack again what is not any more; only when
        nobody changes anything.

        Not removed is what was there before the account was, nor anything while it refers to no
        code at all: then its file was lost, and whoever restores it wants the code, too.
        """
        there = self.packages.digests()
        with self.store.transaction() as transaction:
            used = _used(transaction)
            if self.store.is_new and there and not used:
                transaction.put(FOUND, "", "packages", {"digests": sorted(there)})
            found = transaction.get(FOUND, "", "packages")
        kept = there if not used else there & set(found.document["digests"] if found else ())
        if kept - used:
            _log.warning("packages.kept", packages=len(kept - used), mend=MEND)
        self.packages.sweep(used | kept)
        self.packages.restore(used)


def _used(transaction: Transaction) -> set[str]:
    documents = [
        entry.document
        for kind in ("function", "layer_version")
        for entry in transaction.list(kind, None)
    ]
    for version in transaction.list("version", None):
        documents += [kept["document"] for kept in version.document["functions"].values()]
    return {document.get("code", {}).get("digest", "") for document in documents} - {""}
