"""What an account holds: services, functions, versions, aliases. Plain Python, no HTTP; blocks."""

from fc_runtime.service.account.account import Account
from fc_runtime.service.account.targets import Target

__all__ = ["Account", "Target"]
