"""
What `threading` and `logging` have done before and after every fork, held back in a zygote.

They take care of other threads' locks. A zygote forks only while it has no other thread, so there
is nothing to do in its children but to write to half a megabyte of pages that they had shared. A
worker has the hooks from its own begin on: what its handler forks, it forks from any thread.

Not where anything is preloaded, or has been learned. A module of others may have hooks of its own
that count on theirs, which came first, having been done: that a lock is free again, a thread
forgotten.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, Final

_WHOSE: Final = ("threading", "logging")
_held_back: Final[list[dict[str, Callable[[], Any]]]] = []


def hold_back() -> None:
    """Before anything else has imported those modules: who is imported already keeps his hooks."""
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: _held_back.append(hooks)
    try:
        for name in _WHOSE:
            importlib.import_module(name)
    finally:
        os.register_at_fork = register


def restore() -> None:
    """Where others come in: before a preload, or in a worker."""
    for hooks in _held_back:
        os.register_at_fork(**hooks)
    _held_back.clear()
