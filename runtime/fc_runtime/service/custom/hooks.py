"""
What the function's hooks write goes where all else does that it writes: to standard output, between
lines of FC's (spec 3, 6.1).

A hook runs in nobody's request, so the runtime tells of it in its log: here is a log that takes
those events out.
"""

from collections.abc import Mapping
from typing import Final

from fc_runtime.pool.events import SILENCE, Log
from fc_runtime.service.custom.output import PRE_FREEZE, PRE_STOP, Output, ended, lines, started

_NAMES: Final = {"pre_stop": PRE_STOP, "pre_freeze": PRE_FREEZE}


class HookLog:
    """
    Hands on all but what hooks say. Called from threads of the supervisor.

    Args:
        stopping: the platform has asked for the pre-stop hooks, and stands for all of them: what
            they write is between the lines of its request.
        failure: why one of those hooks failed; empty if none has.
    """

    def __init__(self, out: Output, log: Log | None = None) -> None:
        self._out = out
        self._log = SILENCE if log is None else log
        self.stopping = False
        self.failure = ""

    def debug(self, event: str, **fields: object) -> None:
        self._log.debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        if event == "instance.hook_logged":
            self._told(fields)
        else:
            self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        if event == "instance.hook_failed":
            self._told(fields)
        else:
            self._log.warning(event, **fields)

    def _told(self, told: Mapping[str, object]) -> None:
        text = lines(str(told["log"]).encode("utf-8", "backslashreplace"))
        failure = " ".join(str(told.get("cause", "")).split())
        if self.stopping and told["hook"] == "pre_stop":
            self.failure = failure or self.failure
            self._out.write(text)
            return
        what, request_id = _NAMES[str(told["hook"])], str(told["request_id"])
        self._out.write(started(what, request_id) + text + ended(what, request_id, failure))
