"""
The one zygote of a function: started when it is needed, hung up when nobody needs it, forgotten
in a forked child of the host.

A start takes milliseconds, so it has a lock of its own. Where both are held it comes first, then
the roster's; who holds the roster's never asks for this one.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fc_worker.messages import WorkerConfig

from fc_runtime.errors import InvalidFunctionError, RuntimeClosedError
from fc_runtime.function import Function
from fc_runtime.pool.roster import Roster
from fc_runtime.pool.zygote import Zygote

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core


class ZygoteKeeper:
    def __init__(
        self, function: Function, config: WorkerConfig, roster: Roster, core: "Core"
    ) -> None:
        self._function = function
        self._config = config
        self._roster = roster
        self._core = core
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None

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
            if zygote is None or zygote.gone:
                if self._roster.end is not None and self._core.closed:
                    raise RuntimeClosedError("this runtime is closed")
                if not Path(config.code).is_dir():
                    raise InvalidFunctionError(
                        "code", config.code, "the folder has gone since it was registered"
                    )
                planned = self._core.holding.planned(self._function, config)
                zygote = Zygote(planned)
                supervisor = self._core.supervisor
                try:
                    supervisor.watch(zygote)
                except BaseException:
                    zygote.kill()
                    zygote.close()
                    raise
                self._zygote = zygote
                supervisor.log.info("zygote.started", function=config.function, pid=zygote.pid)
            return zygote

    def hang_up(self) -> None:
        with self._lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.hang_up()

    def hang_up_if_deserted(self) -> bool:
        """As `hang_up`, unless somebody is there or about to come; was nobody?"""
        with self._lock, self._roster.lock:
            if not self._roster.is_deserted():
                return False
            zygote, self._zygote = self._zygote, None
            self._roster.asleep = False
        if zygote is not None:
            zygote.hang_up()
        return True

    def forget(self) -> None:
        """In a forked child of the host, where nobody else is, and a lock may be held for good."""
        if self._zygote is not None:
            self._zygote.forget()
