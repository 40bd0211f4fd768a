"""
What a pool learns from its first instances, and the zygote that is brought up for it.

An instance that took long to load tells which modules it imported from outside of the function's
folders (`fc_worker.learn`). A moment later a new zygote is started beside the serving one; it tries
those modules, imports what may be imported before a fork, and takes the other's place. Until then,
and if nothing comes of it, the other serves: nobody ever waits for a generation that is coming.

It happens once for a function as registered: new code is a new pool, which knows nothing yet.
"""

import weakref
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fc_worker.messages import WorkerConfig

from fc_runtime.errors import OverloadedError, RefusedError
from fc_runtime.function import Function

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool
    from fc_runtime.pool.zygote import Zygote

SETTLE_S: Final = 0.25  # what comes right after a cold start has the CPU to itself
GENERATION_S: Final = 180.0  # by then it is up, or it hangs
_NO_FORK: Final = "it does not survive a fork"
DENIED: Final[Mapping[str, str]] = {
    "antigravity": "it opens a browser",
    "eventlet": _NO_FORK,
    "gevent": _NO_FORK,
    "grpc": _NO_FORK,
    "jax": _NO_FORK,
    "ray": _NO_FORK,
    "readline": "it takes over the terminal",
    "tensorflow": _NO_FORK,
    "this": "it prints a poem",
    "tkinter": "it talks to the display",
}


class Learning:
    """Of one pool. `heard` may be called from any thread, everything else on a background one."""

    def __init__(self, function: Function, denied: Mapping[str, str]) -> None:
        self.wanted = function.preload_learned
        self._denied = denied
        self._names: tuple[str, ...] = ()
        self._is_tried = False

    def applied(self, config: WorkerConfig) -> WorkerConfig:
        """*config*, with what is known to do good, or with a request to be told."""
        if config.sealed or not self.wanted:
            return config  # under strict a handler has no say in what runs outside of its walls
        if self._is_tried:
            return replace(config, learned=self._names, tried=True)
        return replace(config, tells_imports=True)

    def tried_by(self, config: WorkerConfig) -> WorkerConfig:
        """For the generation that is to find out."""
        return replace(config, learned=self._names, denied=self._denied)

    def heard(self, pool: "Pool", told: str) -> None:
        """An instance says what it imported. It may say anything."""
        if not self.wanted or self._names:
            return
        names = tuple(filter(_is_module_name, told.split("\n")))
        if not names:
            return
        self._names = names
        reference = weakref.ref(pool)  # the timer must not outlive a replaced pool

        def begin() -> None:
            there = reference()
            if there is not None:
                run_unless_full(there, partial(there.keeper.bring_up, there))

        pool.core.supervisor.after(SETTLE_S, begin)

    def concluded(self, names: tuple[str, ...]) -> None:
        """These can be imported before a fork; none, and nothing more is learned."""
        self._names = names
        self._is_tried = bool(names)
        self.wanted = bool(names)

    @property
    def is_concluded(self) -> bool:
        return self._is_tried or not self.wanted

    def noticed(self, zygote: "Zygote", message: Mapping[str, Any]) -> None:
        """A zygote that took what had been tried for granted is up."""
        del zygote
        if message["spoilt"]:
            self.concluded(())  # it cannot fork; the next one will

    def forgotten(self) -> None:
        """It was not found out; the next instance that tells makes another try."""
        self._names = ()


def denied_to(function: Function) -> dict[str, str]:
    """Modules that are not imported ahead of an instance of *function*, and why."""
    strings = (function.handler, function.initializer, function.pre_stop, function.pre_freeze)
    handlers = {text.rpartition(".")[0] for text in strings if text}
    return {
        **DENIED,
        **dict.fromkeys(handlers, "a handler string names it"),
        **dict.fromkeys(function.preload_denied, "preload_denied names it"),
    }


def outcome_of(zygote: "Zygote", message: Mapping[str, Any]) -> dict[str, Any]:
    """What the log is told of a generation that is up."""
    return {
        "pid": zygote.pid,
        "modules": message["learned"],
        "refused": message["refused"],
        "spoilt": message["spoilt"],
    }


def run_unless_full(pool: "Pool", work: "partial[None]") -> None:
    """On a background thread, or not at all where there is no room for one."""
    try:
        pool.core.supervisor.background.run(work)
    except OverloadedError:
        pool.keeper.learning.forgotten()


def _is_module_name(name: str) -> bool:
    return name.isascii() and all(part.isidentifier() for part in name.split("."))


# They keep a generation from being started; ValueError: the supervisor has closed meanwhile.
TROUBLES: Final = (RefusedError, OSError, ValueError)
