"""The account: all its parts in one."""

from fc_runtime.service.account.ledger import Ledger


class Account(Ledger):
    """What the management API changes and the gateway reads. Any thread; every verb blocks."""
