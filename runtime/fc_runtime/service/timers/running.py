"""
Makes timers fire, on the daemon's loop.

One pass: which timers are there, what has come due since it was last looked, fire that; then sleep
until the next is due, or until the account has changed. Nothing is written down about what has
fired: a firing is a task with an id made of trigger and moment, and the store refuses the second.

What was missed, while the daemon was down or the machine slept, or because there was no room: the
latest moment of each timer is made up for, if it lies at most five minutes back. What is older, and
what lay in between, is left out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import takewhile
from typing import Final

import structlog

from fc_runtime.service.timers.timer import Timer

MISSED: Final = timedelta(minutes=5)  # made up for, if not longer ago
LATE: Final = timedelta(seconds=10)  # a loop that is held up as long is not said to miss anything
AGAIN: Final = timedelta(seconds=1)  # after which one that could not be fired is tried once more
LONGEST_SLEEP: Final = timedelta(seconds=60)  # the clock may be set meanwhile
_log = structlog.get_logger(__name__)


class Fired(Enum):
    """What became of one firing."""

    DONE = "done"  # accepted now, or by somebody before; or it never can be
    LATER = "later"  # there was no room: it is to be tried again


Fire = Callable[[Timer, datetime], Awaitable[Fired]]


class Timers:
    """
    Args:
        timers: all that are switched on; blocks, so it is called in a thread.
        fire: accepts the invocation of a timer for a moment.
        now: UTC.
    """

    def __init__(
        self,
        timers: Callable[[], Iterable[Timer]],
        fire: Fire,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._timers = timers
        self._fire = fire
        self._now = now
        self._looked: dict[tuple[str, str, str], datetime] = {}  # by timer: all up to here is done
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """The account has: look again."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            try:
                sleep = await self.once()
            except Exception:  # noqa: BLE001 (our bug, or a disk that is full: the next may do better)
                _log.exception("timers.failed")
                sleep = AGAIN
            try:
                async with asyncio.timeout(sleep.total_seconds()):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def once(self) -> timedelta:
        """Fire what is due; how long nothing else will be, at most `LONGEST_SLEEP`."""
        timers = list(await asyncio.to_thread(self._timers))
        now = self._now()
        keys = {timer.key for timer in timers}
        self._looked = {key: upto for key, upto in self._looked.items() if key in keys}
        due = [(timer, moment) for timer in timers for moment in self._due(timer, now)]
        fired = await asyncio.gather(*(self._fire(timer, moment) for timer, moment in due))
        for timer in timers:
            self._looked[timer.key] = now
        # From the end, so that of several of one timer the first counts.
        again = False
        for (timer, moment), outcome in zip(reversed(due), reversed(fired), strict=True):
            if outcome is Fired.LATER:
                again = True
                self._looked[timer.key] = moment - timedelta(microseconds=1)
        return AGAIN if again else self._until_next(timers, now)

    def _due(self, timer: Timer, now: datetime) -> list[datetime]:
        looked = self._looked.get(timer.key, now - MISSED)
        upto = max(looked, now - MISSED, timer.since)
        last = timer.schedule.last(now)
        if last is None or last <= upto:
            return []
        if timer.key not in self._looked:
            return [last]
        since = max(upto, now - LATE)
        recent = takewhile(lambda moment: moment <= now, timer.schedule.after(since))
        return list(recent) or [last]

    def _until_next(self, timers: Iterable[Timer], now: datetime) -> timedelta:
        sleep = LONGEST_SLEEP
        since = self._now()
        for timer in timers:
            moment = next(timer.schedule.after(now), None)
            if moment is not None:
                sleep = min(sleep, moment - since)
        return max(sleep, timedelta())
