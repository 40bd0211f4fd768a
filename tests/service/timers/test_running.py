"""The loop that makes timers fire, with a clock and an account of the test's own."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from fc_runtime.service.timers import Timer, Timers, schedule
from fc_runtime.service.timers.running import LONGEST_SLEEP, Fired

START = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
LONG_AGO = START - timedelta(days=30)


def timer(expression: str = "0 * * * * *", name: str = "tick", since: datetime = LONG_AGO) -> Timer:
    return Timer("", "hello", "LATEST", name, schedule(expression), "a payload", since)


class Stage:
    """What the loop is given; ``fired`` is what it did, as text."""

    def __init__(self, *timers: Timer) -> None:
        self.now = START
        self.timers = list(timers)
        self.fired: list[str] = []
        self.answer = Fired.DONE
        self.loop = Timers(lambda: self.timers, self._fire, lambda: self.now)

    async def _fire(self, timer: Timer, due: datetime) -> Fired:
        self.fired.append(f"{timer.name} {due:%H:%M:%S}")
        return self.answer

    def at(self, **later: float) -> list[str]:
        """One pass, so much later than the last; what it fired."""
        self.now += timedelta(**later)
        del self.fired[:]
        self.slept = asyncio.run(self.loop.once())
        return self.fired


def test_a_timer_fires_at_each_of_its_moments_once() -> None:
    """Neither before, nor again when it is looked at in between."""
    stage = Stage(timer())
    assert ["tick 12:00:00"] == stage.at()  # what the daemon may have missed

    assert [] == stage.at(seconds=29)
    assert timedelta(seconds=1) == stage.slept
    assert ["tick 12:01:00"] == stage.at(seconds=1)
    assert [] == stage.at()
    assert timedelta(seconds=60) == stage.slept
    assert ["tick 12:02:00"] == stage.at(seconds=60.4)


def test_of_what_was_missed_the_last_is_made_up_for() -> None:
    """Whether the daemon was down or the machine slept; if it is at most five minutes ago."""
    stage = Stage(timer("0 */4 * * * *", "often"), timer("0 55 11 * * *", "eleven"))

    assert ["often 12:00:00"] == stage.at()  # 11:55 is five minutes and a half ago
    assert ["often 13:00:00"] == stage.at(hours=1)  # and not the 14 in between
    assert [] == Stage(timer("0 55 11 * * *")).at()


def test_a_timer_is_due_from_when_it_was_made_or_changed() -> None:
    """It makes up for nothing that was before."""
    stage = Stage(timer(since=START - timedelta(seconds=10)))

    assert [] == stage.at()
    assert ["tick 12:01:00"] == stage.at(seconds=30)


def test_a_loop_that_was_held_up_for_seconds_leaves_nothing_out() -> None:
    """Timers of every second are run for each of them."""
    stage = Stage(timer("* * * * * *"))
    stage.at()

    assert [f"tick 12:00:{second}" for second in (31, 32, 33)] == stage.at(seconds=3)


def test_what_there_was_no_room_for_is_tried_again() -> None:
    """Soon, and for as long as it would have been made up for."""
    stage = Stage(timer())
    stage.answer = Fired.LATER
    assert ["tick 12:00:00"] == stage.at()
    assert timedelta(seconds=1) == stage.slept

    assert ["tick 12:00:00"] == stage.at(seconds=1)
    stage.answer = Fired.DONE
    assert ["tick 12:00:00"] == stage.at(seconds=1)
    assert [] == stage.at(seconds=1)


def test_what_is_switched_off_or_deleted_fires_no_more() -> None:
    """From the next pass on, and not for the past when it is back."""
    stage = Stage(timer(), timer(name="other"))
    stage.at()
    gone = stage.timers.pop()

    assert ["tick 12:01:00"] == stage.at(minutes=1)
    stage.timers.append(timer(name=gone.name, since=stage.now + timedelta(seconds=5)))
    assert [] == stage.at(seconds=10)


def test_the_loop_wakes_for_a_change_of_the_account() -> None:
    """With no timers it sleeps as long as it may; one that is added is not waited for."""

    async def scenario() -> list[str]:
        stage = Stage()
        stage.timers = []
        fired = asyncio.Event()

        async def fire(one: Timer, due: datetime) -> Fired:
            stage.fired.append(one.name)
            fired.set()
            return Fired.DONE

        loop = Timers(lambda: stage.timers, fire)
        running = asyncio.create_task(loop.run())
        stage.timers.append(timer("* * * * * *", since=datetime.now(UTC)))
        loop.changed()
        async with asyncio.timeout(LONGEST_SLEEP.total_seconds() / 2):
            await fired.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return stage.fired

    assert "tick" in asyncio.run(scenario())


def test_a_pass_that_fails_is_not_the_last() -> None:
    """Whatever it was: the next one comes a second later."""

    async def scenario() -> None:
        asked = 0
        again = asyncio.Event()

        def timers() -> list[Timer]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise OSError("the disk is full")
            return []

        async def fire(one: Timer, due: datetime) -> Fired:
            raise AssertionError("there is none")

        def now() -> datetime:
            again.set()  # reached by the pass that did not fail
            return START

        running = asyncio.create_task(Timers(timers, fire, now).run())
        async with asyncio.timeout(LONGEST_SLEEP.total_seconds() / 2):
            await again.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_the_event_is_function_computes() -> None:
    """``triggerTime`` in UTC, the name, the payload as it is, and nothing else."""
    one = timer("CRON_TZ=Asia/Tokyo 0 0 21 * * *")

    assert {
        "triggerTime": "2026-03-10T12:00:00Z",
        "triggerName": "tick",
        "payload": "a payload",
    } == json.loads(one.event(next(one.schedule.after(START - timedelta(hours=1)))))


def test_a_firing_is_known_by_trigger_and_moment() -> None:
    """So that who comes second is told; and it is a task id as Function Compute has them."""
    long_ones = [timer(name="n" * 128), timer(name="n" * 127 + "m")]
    ids = {
        one.task_id(due)
        for one in (timer(), *long_ones)
        for due in (START, START.replace(second=31))
    }

    assert 6 == len(ids)
    assert timer().task_id(START) == timer(since=START).task_id(START)
    assert all(len(each) <= 128 and each.replace("-", "").isalnum() for each in ids)
