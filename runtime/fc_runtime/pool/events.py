"""
What the supervisor has to tell: one structlog event a fact, ``noun.past_participle``.

A library configures no log output for its host: nothing is emitted until somebody hands a logger
to `Runtime(log=…)`, as the command line does. No event carries a secret, an event body, or a
handler's output; what a hook writes has no other place to be told, and is.
"""

from collections.abc import Callable
from typing import Final, Protocol

from fc_runtime.pool.threads import show_error


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def debug(self, event: str, **fields: object) -> object: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...


class Guarded:
    """A log of the host's. What it raises is shown, as a thread's would be, and changes nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def debug(self, event: str, **fields: object) -> None:
        _tell(self._log.debug, event, fields)

    def info(self, event: str, **fields: object) -> None:
        _tell(self._log.info, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        _tell(self._log.warning, event, fields)


def _tell(say: Callable[..., object], event: str, fields: dict[str, object]) -> None:
    try:
        say(event, **fields)
    except Exception:  # noqa: BLE001 (whatever it is, the event is a fact)
        show_error()


class Silence:
    """What a library says by default."""

    def debug(self, event: str, **fields: object) -> None: ...

    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...


SILENCE: Final = Silence()
EXPECTED_STOPS: Final = frozenset({"closed", "idle", "replaced", "worn_out"})
