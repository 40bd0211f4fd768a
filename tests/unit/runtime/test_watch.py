"""The waiting caller is the watchdog: what it looks at, and what it makes of it."""

import os
from collections.abc import Iterator

import pytest
from fc_runtime.dispatch.watch import (
    CLOSE_MS,
    LOG_BYTES,
    MOST_LOG_BYTES,
    PERIOD_MS,
    Ending,
    Watch,
)
from fc_runtime.isolation.tiers import Reading

LIMIT = 1000
MOST = 8  # processes
SCRATCH_MB = 512
PID = 4711


class Tier:
    """A cell whose meter reads what the test says."""

    folders = ()

    def __init__(self, *readings: int) -> None:
        self.readings = list(readings)
        self.metered: list[int] = []
        self.closed = 0
        self.processes = 1
        self.enforced = False
        self.killed = False

    def meter(self, pid: int) -> "Tier":
        self.metered.append(pid)
        return self

    def read(self) -> Reading:
        return Reading(
            self.readings.pop(0), "python[4711]", self.processes, self.enforced, self.killed
        )

    def close(self) -> None:
        self.closed += 1

    def kill(self, _pid: int, _pidfd: int, _init_pidfd: int) -> None:
        raise AssertionError("a watch only watches")

    def ran_out_of_memory(self) -> bool:
        return False

    def members(self) -> tuple[int, ...]:
        return ()


@pytest.fixture
def log_fd() -> Iterator[int]:
    fd = os.memfd_create("log")
    os.set_inheritable(fd, False)
    yield fd
    os.close(fd)


def test_memory_below_equal_and_above_the_limit(log_fd: int) -> None:
    """Up to the limit is allowed; one byte more is the end, with the reading that shows it."""
    watch = Watch(Tier(1, LIMIT, LIMIT + 1), LIMIT, MOST, log_fd, SCRATCH_MB)

    assert [None, None, Ending.OUT_OF_MEMORY] == [watch.look(PID) for _ in range(3)]
    assert Reading(LIMIT + 1, "python[4711]") == watch.reading
    assert LIMIT + 1 == watch.peak_bytes


def test_it_looks_more_often_when_memory_gets_short(log_fd: int) -> None:
    """Over half of the limit the looks come closer, and go back when it is given back."""
    watch = Watch(Tier(LIMIT // 2, LIMIT // 2 + 1, 1), LIMIT, MOST, log_fd, SCRATCH_MB)
    periods = [watch.period_ms]
    for _ in range(3):
        watch.look(PID)
        periods.append(watch.period_ms)

    assert [PERIOD_MS, PERIOD_MS, CLOSE_MS, PERIOD_MS] == periods


def test_it_does_not_look_more_often_where_the_kernel_holds_the_limit(log_fd: int) -> None:
    """Nothing would be gained by it."""
    tier = Tier(LIMIT)
    tier.enforced = True
    watch = Watch(tier, LIMIT, MOST, log_fd, SCRATCH_MB)
    watch.look(PID)

    assert PERIOD_MS == watch.period_ms


def test_the_kernels_own_word_is_evidence(log_fd: int) -> None:
    """It has ended a child, which the handler may not have noticed; no figure says so."""
    tier = Tier(1)
    tier.killed = True

    assert Ending.OUT_OF_MEMORY is Watch(tier, LIMIT, MOST, log_fd, SCRATCH_MB).look(PID)


@pytest.mark.parametrize(
    ("processes", "ending"), [(MOST, None), (MOST + 1, Ending.TOO_MANY_PROCESSES)]
)
def test_more_processes_than_allowed(log_fd: int, processes: int, ending: Ending | None) -> None:
    """Up to the limit is allowed; one more is the end."""
    tier = Tier(1)
    tier.processes = processes

    assert ending is Watch(tier, LIMIT, MOST, log_fd, SCRATCH_MB).look(PID)


def test_the_peak_stays(log_fd: int) -> None:
    """What was used and given back was used."""
    watch = Watch(Tier(10, 500, 20), LIMIT, MOST, log_fd, SCRATCH_MB)
    for _ in range(3):
        watch.look(PID)

    assert 500 == watch.peak_bytes
    assert Reading(20, "python[4711]") == watch.reading


def test_one_meter_and_only_for_a_known_process(log_fd: int) -> None:
    """Before the zygote has told the pid there is no tree to measure; then one meter serves all."""
    tier = Tier(1, 2)
    watch = Watch(tier, LIMIT, MOST, log_fd, SCRATCH_MB)

    assert watch.look(None) is None
    assert [] == tier.metered
    watch.look(PID)
    watch.look(PID)
    assert [PID] == tier.metered

    watch.close()
    watch.close()
    assert 1 == tier.closed


def test_closing_without_a_look(log_fd: int) -> None:
    """Most warm calls end before anybody has looked."""
    tier = Tier()
    Watch(tier, LIMIT, MOST, log_fd, SCRATCH_MB).close()

    assert 0 == tier.closed


def test_a_long_log_loses_its_middle(log_fd: int) -> None:
    """Head and tail stay where they are; what was between them takes no memory any more."""
    watch = Watch(Tier(), LIMIT, MOST, log_fd, SCRATCH_MB)
    head, tail = b"h" * LOG_BYTES, b"t" * LOG_BYTES
    os.write(log_fd, head + tail)
    watch.look(None)
    assert head + tail == os.pread(log_fd, 3 * LOG_BYTES, 0)

    os.ftruncate(log_fd, LOG_BYTES)
    os.pwrite(log_fd, b"m" * 4 * LOG_BYTES + tail, LOG_BYTES)
    for _ in range(2):
        assert watch.look(None) is None
        size = os.fstat(log_fd).st_size
        assert 6 * LOG_BYTES == size
        assert head == os.pread(log_fd, LOG_BYTES, 0)
        assert tail == os.pread(log_fd, LOG_BYTES, size - LOG_BYTES)
        assert 2 * LOG_BYTES == 512 * os.fstat(log_fd).st_blocks
    assert not watch.cut  # what has a length like this needs no telling


@pytest.mark.parametrize(("scratch_mb", "most"), [(512, MOST_LOG_BYTES), (8, 4 * LOG_BYTES)])
def test_a_log_without_end_begins_anew(log_fd: int, scratch_mb: int, most: int) -> None:
    """
    Long before a file is as long as one may be, the head alone stays, and it is remembered that
    the rest is gone.
    """
    watch = Watch(Tier(), LIMIT, MOST, log_fd, scratch_mb)
    os.write(log_fd, b"h" * LOG_BYTES)
    os.ftruncate(log_fd, most)
    watch.look(None)
    assert not watch.cut

    os.ftruncate(log_fd, most + 1)

    watch.look(None)

    assert watch.cut
    assert b"h" * LOG_BYTES == os.pread(log_fd, 3 * LOG_BYTES, 0)
    watch.look(None)
    assert watch.cut
