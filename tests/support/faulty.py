"""``handlers/faulty``, called from a test: told where and how to strike, and asked if all is well."""

import json
import time
from typing import Any

import psutil
from fc_runtime import Result
from support.callers import Caller
from support.processes import statuses_of
from support.stage import WITHIN_S, Gate, until

MEMORY_MB = 96


class Faulty:
    """
    The function ``faulty`` of *caller*.

    *phase* and *fault* are for those that strike before there is an event: there the cause is gone
    once the file `switch` is.
    """

    def __init__(
        self, caller: Caller, gate: Gate, phase: str = "", fault: str = "", **options: Any
    ) -> None:
        self.caller = caller
        self.gate = gate
        self.switch = gate.folder / "switch"
        self.switch.touch()
        self.number = 0
        caller.register("faulty", **options_of(gate, phase, fault, **options))

    def order(self, phase: str = "well", **more: Any) -> str:
        """An event for it, whose answer has a `number` of its own."""
        self.number += 1
        return json.dumps({"phase": phase, "number": self.number, **more})

    def call(self, event: str | bytes, **options: Any) -> Result:
        return self.caller.invoke("faulty", event, check=False, **options)

    def answers(self, result: Result) -> bool:
        """Is it the right answer to the last order?"""
        return result.ok and self.number == result.json()["well"]

    def serves_again(self, *, at_once: bool = True) -> Result:
        """The next call has the right answer, in time; unless *at_once*, after a back-off."""
        before = time.monotonic()
        order = self.order()
        result: Result = until(
            lambda: (found := self.call(order)).ok and found,
            0.0 if at_once else WITHIN_S,
            what="it serves again",
        )
        assert self.answers(result)
        assert time.monotonic() - before < WITHIN_S
        return result


def options_of(gate: Gate, phase: str = "", fault: str = "", **options: Any) -> dict[str, Any]:
    """What to register it with."""
    environment = {
        "PHASE": phase,
        "FAULT": fault,
        "SWITCH": str(gate.folder / "switch"),
        "GATE": str(gate.folder),
        **options.pop("environment", {}),
    }
    return {
        "initializer": "index.initialize",
        "preload": ["preloaded"],
        "memory_mb": MEMORY_MB,
        "timeout": 30.0,
        "environment": environment,
        **options,
    }


def is_stopped_or_gone(worker: str) -> bool:
    """Somebody may have killed it before it could stop itself: the kernel, for its memory."""
    return set(statuses_of(worker)) <= {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
