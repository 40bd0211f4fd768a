"""
How a function is to be invoked asynchronously: what its configuration says, kept until the account
changes. Looked up by the loop, and on the engine's threads.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from fc_runtime.service.settings import Settings

LATEST: Final = "LATEST"
MOST_KEPT: Final = 10_000
T = TypeVar("T")


class Holder(Protocol):
    """Of the account, what is needed here. `config` blocks."""

    @property
    def revision(self) -> int: ...
    def config(
        self, kind: str, service: str, function: str, qualifier: str
    ) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    Of one version or alias (spec 7.B); the defaults are FC's.

    Args:
        max_age: seconds.
        on_success, on_failure: destinations, as they were configured.
    """

    max_retries: int = 3
    max_age: float = 86_400.0
    on_success: str | None = None
    on_failure: str | None = None


class Rules:
    """Thread-safe."""

    def __init__(self, account: Holder, settings: Settings) -> None:
        self._account = account
        self._settings = settings
        self._lock = threading.Lock()
        self._revision = -1
        self._kept: dict[Hashable, Any] = {}

    def known(self, service: str, function: str, qualifier: str | None) -> Rule | None:
        """`of`, if it has been asked for since the last change. Never blocks."""
        with self._lock:
            rule = self._kept.get((service, function, qualifier or LATEST))
            return rule if self._revision == self._account.revision else None

    def of(self, service: str, function: str, qualifier: str | None) -> Rule:
        """Blocks for a moment."""
        name = qualifier or LATEST

        def read() -> Rule:
            config = self._account.config("async", service, function, name) or {}
            told = config.get("destinationConfig") or {}
            rule = Rule()
            return Rule(
                max_retries=config.get("maxAsyncRetryAttempts", rule.max_retries),
                max_age=float(config.get("maxAsyncEventAgeInSeconds", rule.max_age)),
                on_success=(told.get("onSuccess") or {}).get("destination") or None,
                on_failure=(told.get("onFailure") or {}).get("destination") or None,
            )

        return self._remembered((service, function, name), read)

    def most(self, service: str, function: str) -> int:
        """How many instances a function may have. Blocks for a moment, once for each change."""

        def read() -> int:
            config = self._account.config("concurrency", service, function, LATEST) or {}
            return int(config.get("reservedConcurrency", self._settings.max_instances))

        return self._remembered((service, function), read)

    def _remembered(self, key: Hashable, read: Callable[[], T]) -> T:
        revision = self._account.revision
        with self._lock:
            if self._revision != revision or len(self._kept) >= MOST_KEPT:
                self._kept.clear()
                self._revision = revision
            elif key in self._kept:
                found: T = self._kept[key]
                return found
        value = read()
        with self._lock:
            if self._revision == revision:  # what was read before a change is not kept after it
                self._kept[key] = value
        return value
