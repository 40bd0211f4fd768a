"""What a qualifier in a request speaks of, and what a version of a function is called."""

from fc_runtime.service.account.ledger import Ledger
from fc_runtime.service.account.lookups import LATEST, needed_function, shares, version_scope
from fc_runtime.service.store import Transaction


def needed_qualifier(
    transaction: Transaction, service: str, function: str, qualifier: str | None
) -> str:
    """*qualifier*, or LATEST for none. Raises ApiError 404, for the function too."""
    needed_function(transaction, service, function)
    shares(transaction, version_scope(service, function), qualifier)
    return qualifier or LATEST


def qualified_arn(ledger: Ledger, service: str, function: str, qualifier: str | None) -> str:
    """``acs:fc:…:functions/f[/qualifier]``, or ``…:services/s[.qualifier]/functions/f``."""
    head = f"acs:fc:{ledger.region}:{ledger.account_id}"
    if service:
        of = f"{service}.{qualifier}" if qualifier else service
        return f"{head}:services/{of}/functions/{function}"
    return f"{head}:functions/{function}" + (f"/{qualifier}" if qualifier else "")
