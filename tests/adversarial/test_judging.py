"""A judge who never finds anything wrong is worth nothing: each kind of wrong, made on purpose."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from fc_runtime.torture import footing
from fc_runtime.torture.case import Case, Seen, returned, told
from fc_runtime.torture.run import Status, run
from fc_runtime.torture.stage import Grounds, Stage

WELL = Case(name="well", what="is well", handler="state", deed="ping", expect=returned(b"pong"))


@pytest.fixture
def ground(grounds: Callable[[str, str], Grounds]) -> Grounds:
    return grounds("portable", "standard")


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Descriptors that a play has opened and not closed."""
    descriptors: list[int] = []
    yield descriptors
    for fd in descriptors:
        os.close(fd)


def test_what_is_well_is_as_expected(ground: Grounds) -> None:
    """No trouble where there is none, and the seen result is told."""
    verdict = run(ground, WELL)

    assert (Status.AS_EXPECTED, (), ()) == (verdict.status, verdict.troubles, verdict.survivors)
    assert "returned 'pong'" == verdict.seen.words


def test_another_outcome_is_wrong(ground: Grounds) -> None:
    """What was expected and what was seen are both told."""
    verdict = run(ground, replace(WELL, expect=returned(b"pang")))

    assert Status.WRONG is verdict.status
    assert ("expected: returned; seen: returned 'pong'",) == verdict.troubles


def test_another_next_answer_is_wrong(ground: Grounds) -> None:
    """The call after the attack must get what the call before it got."""

    def replaced(stage: Stage) -> Seen:
        seen = stage.attack()
        stage.runtime.register(stage.function({"LEFT": "behind"}))
        return seen

    verdict = run(ground, replace(WELL, probe=b"look", play=replaced))

    (trouble,) = verdict.troubles
    assert trouble.startswith("the next call returned")


def test_a_failing_next_call_is_wrong(ground: Grounds) -> None:
    """However well the attack ended."""

    def unregister(stage: Stage) -> Seen:
        seen = stage.attack()
        stage.runtime.unregister(stage.name)
        return seen

    verdict = run(ground, replace(WELL, play=unregister))

    (trouble,) = verdict.troubles
    assert trouble.startswith("the next call: FunctionNotFoundError")


def test_a_process_left_is_wrong_told_and_ended(ground: Grounds) -> None:
    """One that carries the mark and belongs to nobody: named, and gone afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def leave(stage: Stage) -> Seen:
        started.append(subprocess.Popen(["sleep", "999"], env={"LD_X": stage.mark}))
        return stage.attack()

    verdict = run(ground, replace(WELL, play=leave))

    assert -9 == started[0].wait(timeout=10)
    assert (f"sleep[{started[0].pid}]",) == verdict.survivors
    assert f"left: sleep[{started[0].pid}]" in verdict.troubles


def test_a_descriptor_left_is_wrong(ground: Grounds, opened: list[int]) -> None:
    """The host's own: what was not open before."""

    def leave(stage: Stage) -> Seen:
        opened.append(os.open("/dev/null", os.O_RDONLY))
        return stage.attack()

    verdict = run(ground, replace(WELL, play=leave))

    assert (f"descriptor {opened[0]} is open: /dev/null",) == verdict.troubles


def test_a_late_end_is_wrong(ground: Grounds) -> None:
    """What took longer than the case allows, however well it ended."""

    def late(stage: Stage) -> Seen:
        return replace(stage.attack(), took_s=8.1)

    verdict = run(ground, replace(WELL, play=late))

    assert ("it took 8.1 s",) == verdict.troubles


def test_what_is_not_promised_is_shown(ground: Grounds) -> None:
    """Nothing to hold us to: what was seen is told, and is no failure."""
    verdict = run(
        ground,
        replace(WELL, expect=told("never", lambda _: False), needs=frozenset({"no such power"})),
    )

    assert (Status.NOT_PROMISED, ()) == (verdict.status, verdict.troubles)
    assert "returned 'pong'" == verdict.seen.words


def test_harm_is_shown_where_nothing_is_promised(ground: Grounds) -> None:
    """A case may say that elsewhere even the next call fails: told, and no failure either."""

    def unregister(stage: Stage) -> Seen:
        seen = stage.attack()
        stage.runtime.unregister(stage.name)
        return seen

    needy = replace(WELL, play=unregister, needs=frozenset({"no such power"}))

    verdict = run(ground, replace(needy, harms=True))
    assert (Status.NOT_PROMISED, ()) == (verdict.status, verdict.troubles)
    assert verdict.harm[0].startswith("the next call: FunctionNotFoundError")

    assert Status.WRONG is run(ground, needy).status


def test_marks_are_found(tmp_path) -> None:
    """In the environment, or on the command line of a process without any."""
    mark = f"fct-{os.urandom(4).hex()}"
    by_environment = subprocess.Popen(["sleep", "999"], env={"ANY": mark})
    by_name = subprocess.Popen([mark, "999"], executable="/bin/sleep", env={})
    neither = subprocess.Popen(["sleep", "999"], env={})
    try:
        assert {by_environment.pid, by_name.pid} == set(footing.marked(mark))
    finally:
        footing.kill(mark)
        neither.kill()
        codes = [one.wait(timeout=10) for one in (by_environment, by_name, neither)]

    assert [-9, -9, -9] == codes
