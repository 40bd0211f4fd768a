"""Asking ``handlers/sealed``, and whether this host can seal at all."""

from typing import Any

from fc_runtime.isolation import host
from support.callers import Deployed

REFUSED = host.strict_refusal()


def ask(function: Deployed, name: str, /, **arguments: Any) -> Any:
    """What the task *name* of its ``do`` answers."""
    return function(json={"do": name, **arguments}).json()
