"""A timer trigger as it is run: what it is of, when it is due, what the function is given."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fc_runtime.service.timers.schedule import Schedule

SHOWN: Final = "%Y-%m-%dT%H:%M:%SZ"
_IN_AN_ID: Final = "%Y%m%dT%H%M%SZ"
_LETTERS: Final = 64  # of the name in an id, which has at most 128 (spec 7.B)


@dataclass(frozen=True, slots=True)
class Timer:
    """
    Args:
        service: empty for FC3.
        qualifier: that is invoked.
        payload: of the event, as it was configured.
        since: it was made, or changed: nothing is due before.
    """

    service: str
    function: str
    qualifier: str
    name: str
    schedule: Schedule
    payload: str
    since: datetime

    @property
    def key(self) -> tuple[str, str, str]:
        return self.service, self.function, self.name

    def event(self, due: datetime) -> bytes:
        """As Function Compute's (spec 9.B): ``triggerTime, triggerName, payload``."""
        told = {
            "triggerTime": due.astimezone(UTC).strftime(SHOWN),
            "triggerName": self.name,
            "payload": self.payload,
        }
        return json.dumps(told, ensure_ascii=False).encode()

    def task_id(self, due: datetime) -> str:
        """
        The same for whoever makes it fire at *due*: of several daemons on one store, and of one
        that starts again, all but the first are told that there is such a task.
        """
        of = f"{self.service}\0{self.function}\0{self.qualifier}\0{self.name}"
        digest = hashlib.sha256(of.encode()).hexdigest()[:12]
        return f"timer-{self.name[:_LETTERS]}-{digest}-{due.astimezone(UTC).strftime(_IN_AN_ID)}"
