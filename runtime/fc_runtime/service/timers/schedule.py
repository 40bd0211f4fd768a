"""
What a ``cronExpression`` says: the moments at which a timer is due.

    0 30 8 * * MON-FRI                      seconds first, six fields, in UTC
    CRON_TZ=Asia/Shanghai 0 30 8 * * *      the same in the time of a place
    @every 5m                               a Go duration: 90s, 5m, 1.5h, 2h30m

Parsed by cronsim and durationpy; nothing here knows a field. ``?`` is ``*``, as in Function
Compute. A time that the clock of a place skips (summer time) is not due that day.

``@every`` counts from the Unix epoch, not from when the trigger was made: then several daemons, and
the same one after a restart, agree on every moment.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import durationpy
from cronsim import CronSim, CronSimError

EVERY: Final = "@every "
ZONE: Final = "CRON_TZ="
FIELDS: Final = 6
LEAST_EVERY: Final = timedelta(seconds=1)
MOST_EVERY: Final = timedelta(days=366)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = (
    "six fields, seconds first, as '0 30 8 * * *', in UTC or behind CRON_TZ=Area/City; "
    "or '@every 5m'"
)


class ScheduleError(ValueError):
    """An expression that cannot be used: one line for people, with what would do."""


class Schedule(Protocol):
    """All moments are UTC, in whole seconds."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Those later than *moment*, in order; it may end, and may be endless."""

    def last(self, moment: datetime) -> datetime | None:
        """The latest that is not later than *moment*."""


def schedule(expression: str) -> Schedule:
    """Raises ScheduleError."""
    text = expression.strip()
    if text.startswith(EVERY):
        return _every(expression, text.removeprefix(EVERY).strip())
    zone: tzinfo = UTC
    if text.startswith(ZONE):
        name, _, text = text.removeprefix(ZONE).partition(" ")
        zone = _zone(expression, name)
    fields = text.replace("?", "*")
    if len(fields.split()) != FIELDS:
        raise ScheduleError(f"{expression!r}: {_FORM}")
    made = _Cron(fields, zone)
    try:
        first = next(made.after(datetime.now(UTC)), None)
    except CronSimError as error:
        raise ScheduleError(f"{expression!r}: {error}; {_FORM}") from error
    if first is None:
        raise ScheduleError(f"{expression!r} never comes; {_FORM}")
    return made


@dataclass(frozen=True, slots=True)
class _Cron:
    fields: str
    zone: tzinfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        for due in CronSim(self.fields, moment.astimezone(self.zone)):
            yield due.astimezone(UTC)

    def last(self, moment: datetime) -> datetime | None:
        # A second later, for it is those before that are told.
        later = moment.replace(microsecond=0) + timedelta(seconds=1)
        due = next(CronSim(self.fields, later.astimezone(self.zone), reverse=True), None)
        return None if due is None else due.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Every:
    seconds: int

    def after(self, moment: datetime) -> Iterator[datetime]:
        count = math.floor((moment - _EPOCH).total_seconds() / self.seconds)
        while True:
            count += 1
            yield self._at(count)

    def last(self, moment: datetime) -> datetime:
        return self._at(math.floor((moment - _EPOCH).total_seconds() / self.seconds))

    def _at(self, count: int) -> datetime:
        return _EPOCH + timedelta(seconds=count * self.seconds)


def _every(expression: str, text: str) -> _Every:
    try:
        period = durationpy.from_str(text)
    except durationpy.DurationError as error:
        raise ScheduleError(
            f"{expression!r}: {error}; as in '@every 5m' or '@every 1h30m'"
        ) from error
    if not LEAST_EVERY <= period <= MOST_EVERY:
        raise ScheduleError(
            f"{expression!r}: from {LEAST_EVERY.total_seconds():.0f} s to {MOST_EVERY.days} days"
        )
    return _Every(int(period.total_seconds()))


def _zone(expression: str, name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; no name at all; a folder of names
        raise ScheduleError(
            f"{expression!r}: there is no time zone {name!r}; one such as Asia/Shanghai"
        ) from error
