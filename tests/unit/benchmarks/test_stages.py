"""Stages: marks of two processes become what one call was spent on."""

import importlib

import pytest
import stages
from case import HANDLERS

OURS = {
    "call": [0],
    "lease": [10],
    "lease.": [20],
    "borrow": [22],
    "borrow.": [30],
    "write": [40],
    "write.": [60],
    "read": [61, 150],
    "read.": [62, 160],
    "release": [170],
    "release.": [180],
    "call.": [190],
}
THEIRS = {
    "feed": [80],
    "feed.": [85],
    "invoke": [90],
    "handler": [100],
    "handler.": [110],
    "write": [120],
    "write.": [140],
}
FLAT = [10, 10, 8, 12, 20, 20, 10, 10, 10, 10, 20, 20, 10, 10, 10]


def test_the_seams_are_there() -> None:
    """What gets marks around it has not been renamed, neither here nor in the worker."""
    for module, name, method in stages.SEAMS.values():
        assert callable(getattr(getattr(importlib.import_module(module), name), method))
    source = (HANDLERS / "marked" / "index.py").read_text("utf-8")
    for module, name, method in (
        ("fc_worker.wire", "Decoder", "feed"),
        ("fc_worker.serve", "Worker", "_invoke"),
        ("fc_worker.context", "ContextFactory", "make"),
        ("fc_worker.serve", "Worker", "_encoded"),
        ("fc_worker.serve", "Worker", "_write"),
    ):
        assert f'"{method}"' in source
        assert callable(getattr(getattr(importlib.import_module(module), name), method))


def test_stages_add_up_to_the_call() -> None:
    """Nothing is counted twice, nothing is left out."""
    found = stages.stages_of(OURS, THEIRS)

    assert FLAT == found
    assert len(stages.STAGES) == len(FLAT)
    assert sum(FLAT) == OURS["call."][0]


def test_who_goes_on_before_write_returns_ends_its_stage() -> None:
    """The worker at 50, the caller at 130: the rest of each `write` keeps nobody waiting."""
    ours = OURS | {"read.": [130]}
    theirs = THEIRS | {"feed": [50]}
    found = stages.stages_of(ours, theirs)

    assert found is not None
    assert (10, 0) == (found[4], found[5])
    assert (10, 0) == (found[10], found[11])
    assert sum(found) == 190


@pytest.mark.parametrize("missing", ["lease", "write", "release", "read."])
def test_a_call_that_went_another_way_is_left_out(missing: str) -> None:
    """It says nothing about the usual one."""
    ours = {label: times for label, times in OURS.items() if label != missing}

    assert stages.stages_of(ours, THEIRS) is None


def test_calls_meet_their_own_marks_in_the_worker() -> None:
    """By time, as one side may have seen a call that the other has no marks of."""
    later = {label: [at + 1000 for at in times] for label, times in THEIRS.items()}
    ours = {label: [at + 1000 for at in times] for label, times in OURS.items()}
    lost = {label: [at + 500 for at in times] for label, times in OURS.items()}

    assert [FLAT, FLAT] == stages.matched([OURS, lost, ours], [THEIRS, later])


def test_marks_are_cut_into_calls() -> None:
    """What comes before the first one, left over from a call that was not looked at, is dropped."""
    marks = [7, "write.", "feed", 10, 12, "feed.", "write", 15, 18, "write.", "feed", 20]

    assert [
        {"feed": [10], "feed.": [12], "write": [15], "write.": [18]},
        {"feed": [20]},
    ] == stages.calls_of(marks, "feed")


def test_marks_are_put_around_a_method_and_taken_off() -> None:
    """They tell the times, hand the result on, and are gone afterwards."""
    marks: list[object] = []
    marked = stages.around("sum", lambda *numbers: sum(numbers), marks)

    assert marked(1, 2) == 3
    assert ["sum", "sum."] == [marks[0], marks[3]]
    assert marks[1] <= marks[2]


def test_marks_on_the_product_do_not_outlive_the_block() -> None:
    """Plain calls meet none of them."""
    from fc_runtime.pool.pool import Pool

    before = Pool.lease_idle
    with stages.seams_marked([]):
        assert Pool.lease_idle is not before

    assert Pool.lease_idle is before


def test_the_middle_half_is_what_is_shown() -> None:
    """Neither the luckiest calls nor those that something got in the way of."""
    calls = [[1.0], [2.0], [4.0], [1000.0]]

    assert [3.0] == stages.middle_half(calls)


def test_the_table_of_strace_is_read() -> None:
    """With errors and without; its own total is no system call."""
    text = """
    calls    errors syscall
--------- --------- ----------------
     1319       318 read
     1000           write
       12         1 wait4
--------- --------- ----------------
     2331       319 total
"""

    assert {"read": 1319, "write": 1000, "wait4": 12} == stages.table_of(text)
