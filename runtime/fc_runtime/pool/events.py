"""
What the supervisor has to tell: one structlog event a fact, ``noun.past_participle``.

A library configures no log output for its host: nothing is emitted until somebody hands a logger
to `Runtime(log=…)`, as the command line does. No event carries a secret, an event body, or a
handler's output; what a hook writes has no other place to be told, and is.
"""

from typing import Final, Protocol


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def debug(self, event: str, **fields: object) -> object: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...


class Silence:
    """What a library says by default."""

    def debug(self, event: str, **fields: object) -> None: ...

    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...


SILENCE: Final = Silence()
EXPECTED_STOPS: Final = frozenset({"closed", "idle", "replaced", "worn_out"})
