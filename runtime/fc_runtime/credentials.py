"""
What a handler may do in the cloud: a temporary access key, handed over with each invocation.

Never on a command line, never in a log: the repr hides all but the key's id.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fc_runtime.errors import InvalidFunctionError

RENEW_BEFORE_S: Final = 300.0  # a handler that starts now may run for minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    A Security Token Service triple, as FC puts it into ``context.credentials`` (spec 2.A).

    Args:
        expires_at: seconds since the epoch; only needed where a callable renews them.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        for name in ("access_key_id", "access_key_secret", "security_token"):
            value = getattr(self, name)
            if not is_text(value):  # the message must not show it
                raise InvalidFunctionError(name, type(value).__name__, "a text without NUL")
        expires_at = self.expires_at
        if expires_at is not None and (
            isinstance(expires_at, bool) or not isinstance(expires_at, int | float)
        ):
            raise InvalidFunctionError("expires_at", expires_at, "seconds since the epoch, or None")


def is_text(value: object) -> bool:
    """Can a worker be told it, and hold it in its environment?"""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


CredentialsSource: TypeAlias = Credentials | Callable[[], Credentials]


class Renewing:
    """Asks a callable again shortly before what it gave expires; each time if it never says."""

    def __init__(self, ask: Callable[[], Credentials]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._current: Credentials | None = None

    def get(self) -> Credentials:
        """Blocks while asking; whatever the callable raises, the caller of `invoke` gets."""
        current = self._current
        if current is not None and _is_fresh(current):
            return current
        with self._lock:
            current = self._current
            if current is None or not _is_fresh(current):
                current = self._ask()
                if not isinstance(current, Credentials):
                    raise InvalidFunctionError(
                        "credentials", type(current).__name__, "a callable that gives a Credentials"
                    )
                self._current = current
            return current


def _is_fresh(credentials: Credentials) -> bool:
    expires_at = credentials.expires_at
    return expires_at is not None and time.time() < expires_at - RENEW_BEFORE_S
