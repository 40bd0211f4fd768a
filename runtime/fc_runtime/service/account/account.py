"""The account: all its parts in one."""

from fc_runtime.service.account.aliases import Aliases
from fc_runtime.service.account.extras import Extras
from fc_runtime.service.account.functions import Functions
from fc_runtime.service.account.services import Services
from fc_runtime.service.account.targets import Targets
from fc_runtime.service.account.versions import Versions


class Account(Extras, Functions, Services, Versions, Aliases, Targets):
    """What the management API changes and the gateway reads. Any thread; every verb blocks."""

    def sweep(self) -> None:
        """Remove the code that nothing refers to; only when nobody changes anything."""
        with self.store.transaction() as transaction:
            documents = [
                entry.document
                for kind in ("function", "layer_version")
                for entry in transaction.list(kind, None)
            ]
            for version in transaction.list("version", None):
                documents += [kept["document"] for kept in version.document["functions"].values()]
        self.packages.sweep({document.get("code", {}).get("digest", "") for document in documents})
