"""What whoever starts the daemon decides: frozen data, checked where it is made."""

from dataclasses import dataclass
from typing import Final

from fc_runtime.errors import InvalidFunctionError

MiB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Args:
        account_id, region: as in ARNs, ``context`` and the environment of functions.
        max_instances: of one version of one function; reserved concurrency makes it fewer.
        max_body_bytes: of one event; FC's own limit is 32 MiB (spec 12).
        max_drained_bytes: of a body that is too large: read, and not kept, so that the refusal
            reaches a client that reads only when it has written all. Beyond, it is cut off.
        max_held_bytes: of the bodies of all requests at the same time: beyond, 429.
        sandbox: of all functions (docs/security.md).
        idle_timeout_s: seconds after which an unused instance is retired.
        initialization_timeout_s: for import and initializer, where the function has no own.
    """

    account_id: str = "123456789012"
    region: str = "local"
    max_instances: int = 10
    max_body_bytes: int = 32 * MiB
    max_drained_bytes: int = 256 * MiB
    max_held_bytes: int = 512 * MiB
    sandbox: str = "standard"
    idle_timeout_s: float = 300.0
    initialization_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for name, least in (
            ("max_instances", 1),
            ("max_body_bytes", 0),
            ("max_drained_bytes", 0),
            ("max_held_bytes", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidFunctionError(name, value, f"a whole number from {least}")
