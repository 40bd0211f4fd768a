"""
The zygotes of a function: one that new instances come from, started when it is needed, hung up
when nobody needs it, forgotten in a forked child of the host. Beside it there may be one that is
coming up to take its place (`learning`), and some that had that place, as long as they have
instances.

A start takes milliseconds, so it has a lock of its own. Where both are held it comes first, then
the roster's; who holds the roster's never asks for this one.
"""

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fc_worker.messages import WorkerConfig

from fc_runtime.errors import InvalidFunctionError, OverloadedError, RuntimeClosedError
from fc_runtime.function import Function
from fc_runtime.pool.learning import (
    GENERATION_S,
    TROUBLES,
    Learning,
    denied_to,
    outcome_of,
    run_unless_full,
)
from fc_runtime.pool.roster import Roster
from fc_runtime.pool.zygote import Zygote

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core
    from fc_runtime.pool.pool import Pool


class ZygoteKeeper:
    def __init__(
        self, function: Function, config: WorkerConfig, roster: Roster, core: "Core"
    ) -> None:
        self._function = function
        self._config = config
        self._roster = roster
        self._core = core
        self.learning = Learning(function, denied_to(function))
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._coming: Zygote | None = None

    @property
    def has_one(self) -> bool:
        """Asked without the lock: it may be about to change."""
        return self._zygote is not None

    def running(self) -> Zygote:
        """
        The zygote, a fresh one if there is none or the last has gone.

        Raises OverloadedError if the host has no room for it, InvalidFunctionError if the code
        has gone, RuntimeClosedError.
        """
        config = self._config
        with self._lock:
            zygote = self._zygote
            if zygote is not None and not zygote.gone:
                return zygote
            if zygote is not None and zygote.preloading:
                self.learning.concluded(())  # it did not come back from an import
            if self._roster.end is not None and self._core.closed:
                raise RuntimeClosedError("this runtime is closed")
            if not Path(config.code).is_dir():
                raise InvalidFunctionError(
                    "code", config.code, "the folder has gone since it was registered"
                )
            planned = self._core.holding.planned(self._function, config)
            self._zygote = zygote = self._start(self.learning.applied(planned))
        # Told without the lock: a log may close the runtime.
        self._core.supervisor.log.info("zygote.started", function=config.function, pid=zygote.pid)
        return zygote

    def _start(self, config: WorkerConfig) -> Zygote:
        zygote = Zygote(config, self.learning.noticed)
        supervisor = self._core.supervisor
        try:
            supervisor.watch(zygote)
        except BaseException:
            zygote.kill()
            zygote.close()
            raise
        return zygote

    # -- the next generation -------------------------------------------------------------------

    def bring_up(self, pool: "Pool") -> None:
        """
        Have one come up with what was learned, unless there is nobody left to come after. It is
        started outside of the lock, which a caller may be waiting for.
        """
        supervisor = self._core.supervisor
        if not self._awaits_one():
            return
        try:
            planned = self._core.holding.planned(self._function, self._config)
            coming = Zygote(self.learning.tried_by(planned), partial(self._has_come, pool))
        except TROUBLES:
            self.learning.forgotten()
            return
        with self._lock:
            awaited = self._coming is None and self._zygote is not None
            if awaited:
                self._coming = coming
            elif self._coming is None:
                self.learning.forgotten()
        try:
            if not awaited:
                raise OverloadedError("it is not wanted any more")
            supervisor.watch(coming)
        except TROUBLES:
            self._drop(coming)
            coming.kill()
            coming.close()
            return
        supervisor.log.info("zygote.started", function=pool.name, pid=coming.pid)
        supervisor.after(GENERATION_S, partial(self._give_up, coming))

    def _awaits_one(self) -> bool:
        with self._lock:
            if self._coming is not None or self.learning.is_concluded:
                return False
            zygote = self._zygote
            if zygote is None or zygote.gone or self._roster.end is not None:
                self.learning.forgotten()
                return False
            return True

    def _has_come(self, pool: "Pool", zygote: Zygote, message: Mapping[str, Any]) -> None:
        """On the supervisor's thread: it is up. What follows may have to wait for a lock."""
        run_unless_full(pool, partial(self._succeed, pool, zygote, message))

    def _succeed(self, pool: "Pool", zygote: Zygote, message: Mapping[str, Any]) -> None:
        self._core.supervisor.log.info(
            "zygote.learned", function=pool.name, **outcome_of(zygote, message)
        )
        good = bool(message["learned"]) and not message["spoilt"] and not message["threads"]
        with self._lock:
            if self._coming is not zygote:
                return  # hung up meanwhile
            self._coming = None
            self.learning.concluded(tuple(message["learned"]) if good else ())
            leaving: Zygote | None = zygote
            if good:
                leaving, self._zygote = self._zygote, zygote
        if leaving is not None:
            leaving.retire()

    def _give_up(self, zygote: Zygote) -> None:
        """On the supervisor's thread, when it ought to have come up long ago."""
        if self._coming is zygote:
            self._core.supervisor.background.run(partial(self._drop, zygote))
            zygote.kill()

    def _drop(self, zygote: Zygote) -> None:
        with self._lock:
            if self._coming is zygote:
                self._coming = None
                self.learning.concluded(())

    # -- the end -------------------------------------------------------------------------------

    def hang_up(self) -> None:
        with self._lock:
            leaving = self._take_all()
        for zygote in leaving:
            zygote.hang_up()

    def hang_up_if_deserted(self) -> bool:
        """As `hang_up`, unless somebody is there or about to come; was nobody?"""
        with self._lock, self._roster.lock:
            if not self._roster.is_deserted():
                return False
            leaving = self._take_all()
            self._roster.asleep = False
        for zygote in leaving:
            zygote.hang_up()
        return True

    def _take_all(self) -> list[Zygote]:
        """Under the lock."""
        taken = [zygote for zygote in (self._zygote, self._coming) if zygote is not None]
        if self._coming is not None:
            self.learning.forgotten()
        self._zygote = self._coming = None
        return taken

    def forget(self) -> None:
        """In a forked child of the host, where nobody else is, and a lock may be held for good."""
        for zygote in (self._zygote, self._coming):
            if zygote is not None:
                zygote.forget()
