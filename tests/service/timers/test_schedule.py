"""What a ``cronExpression`` means: moments, in UTC, in whole seconds."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from fc_runtime.service.timers import ScheduleError, schedule

NOON = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)  # a Tuesday


def moments(expression: str, after: datetime = NOON, count: int = 3) -> list[str]:
    return [f"{due:%m-%d %H:%M:%S}" for due in islice(schedule(expression).after(after), count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 4 * * *", ["03-11 04:00:00", "03-12 04:00:00", "03-13 04:00:00"]),
        ("*/20 * * * * *", ["03-10 12:00:20", "03-10 12:00:40", "03-10 12:01:00"]),
        ("30 0,15 10-11 * * ?", ["03-11 10:00:30", "03-11 10:15:30", "03-11 11:00:30"]),
        ("0 0 12 ? * MON-FRI", ["03-11 12:00:00", "03-12 12:00:00", "03-13 12:00:00"]),
        ("0 0 12 * * 7", ["03-15 12:00:00", "03-22 12:00:00", "03-29 12:00:00"]),
        ("0 0 0 1 JAN *", ["01-01 00:00:00"] * 3),
        (
            "CRON_TZ=Asia/Shanghai 0 0 4 * * *",
            ["03-10 20:00:00", "03-11 20:00:00", "03-12 20:00:00"],
        ),
        ("@every 5m", ["03-10 12:05:00", "03-10 12:10:00", "03-10 12:15:00"]),
        ("@every 1.5h", ["03-10 13:30:00", "03-10 15:00:00", "03-10 16:30:00"]),
        ("  @every   90s ", ["03-10 12:01:30", "03-10 12:03:00", "03-10 12:04:30"]),
    ],
)
def test_an_expression_is_due_at(expression: str, expected: list[str]) -> None:
    """Seconds come first; days of the week are 1 to 7, or names; UTC unless a zone is named."""
    assert expected == moments(expression)


def test_the_time_of_a_place_has_its_summer_time() -> None:
    """An hour that the clocks skip is not due; the moment in UTC moves with them."""
    before = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)  # Berlin skips 02:00-03:00 on the 29th

    assert ["03-28 01:30:00", "03-30 00:30:00"] == moments(
        "CRON_TZ=Europe/Berlin 0 30 2 * * *", before, 2
    )
    assert ["03-28 11:00:00", "03-29 10:00:00"] == moments(
        "CRON_TZ=Europe/Berlin 0 0 12 * * *", before, 2
    )


@pytest.mark.parametrize(
    "expression", ["0 */5 * * * *", "@every 5m", "CRON_TZ=Asia/Tokyo 0 */5 * * * *"]
)
def test_the_last_moment_is_the_one_at_or_before(expression: str) -> None:
    """That is what a daemon that starts may have missed."""
    due = schedule(expression)

    assert NOON == due.last(NOON)
    assert NOON == due.last(NOON.replace(minute=4, second=59, microsecond=999_999))
    assert NOON.replace(minute=5) == due.last(NOON.replace(minute=5, microsecond=1))


@pytest.mark.parametrize("expression", ["@every 7m", "@every 1h30m"])
def test_every_is_the_same_for_all_who_ask(expression: str) -> None:
    """Whenever it is asked: two daemons, or one that has been started again, agree."""
    due = schedule(expression)
    all_of_them = list(islice(due.after(NOON), 20))

    for moment, later in pairwise(all_of_them):
        assert later == next(due.after(moment))
        assert moment == due.last(later - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("", "six fields"),
        ("0 4 * * *", "six fields, seconds first"),
        ("61 * * * * *", "second"),
        ("0 0 25 * * *", "hour"),
        ("0 0 0 30 2 *", "day-of-month"),
        ("0 0 0 * * MOONDAY", "day-of-week"),
        ("CRON_TZ=Mars/Olympus 0 0 4 * * *", "Mars/Olympus"),
        ("CRON_TZ=../etc/passwd 0 0 4 * * *", "no time zone"),
        ("CRON_TZ= 0 0 4 * * *", "no time zone"),
        ("CRON_TZ=Asia 0 0 4 * * *", "no time zone"),
        ("@every", "six fields"),
        ("@every soon", "@every 5m"),
        ("@every 1ms", "from 1 s"),
        ("@every -5m", "from 1 s"),
        ("@every 9999999h", "days"),
        ("@hourly", "six fields"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused(expression: str, word: str) -> None:
    """The message has the expression, what is wrong with it, and what would do."""
    with pytest.raises(ScheduleError) as error:
        schedule(expression)

    assert repr(expression) in str(error.value)
    assert word in str(error.value)
