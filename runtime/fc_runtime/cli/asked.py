"""What a command line of ``fc-runtime serve`` asks for, as values."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFunction:
    """What ``--code`` and its like ask for; None where nothing was said."""

    code: Path
    handler: str | None
    name: str | None
    initializer: str | None
    timeout: int | None
    memory: int | None
    env: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The whole command line, checked as far as options go together."""

    one: OneFunction | None
    folder: Path | None
    template: Path | None
    watch: bool
    host: str
    port: int
    data_dir: Path | None
    store: str | None
    account_id: str
    region: str
    access_keys: Path | None
    auth: bool
    local_code: bool
    role_credentials: Path | None
    max_instances: int
    max_queue: int
    grace_s: float
    isolation: str
    sandbox: str
    access_log: bool
    function_log: bool
    json_log: bool  # warnings are events, and not lines
