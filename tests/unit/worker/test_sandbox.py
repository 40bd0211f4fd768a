"""
Plans are carried out in order, or not at all beyond what fails. Steps that would change this
process for good are replaced: what they do is in tests/isolation.
"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from fc_worker import sandbox
from fc_worker.rooms import Stage
from fc_worker.sandbox import SandboxError, enter, has_pid_namespace


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the made-up steps ``first``, ``second`` and ``failing`` were asked."""
    asked: list[Any] = []

    def step(name: str) -> Any:
        return lambda stage, *arguments: asked.append((name, stage, arguments))

    def failing(_stage: Stage, number: int) -> None:
        raise OSError(number, os.strerror(number))

    steps = {"first": step("first"), "second": step("second"), "failing": failing}
    monkeypatch.setattr(sandbox, "_STEPS", steps)
    return asked


def test_steps_are_done_in_order(done: list[Any]) -> None:
    """Each with the stage and its own arguments; the same step may come again."""
    stage = Stage()

    enter([["second", 1, [2]], ["first"], ["second"]], stage)

    assert [("second", stage, (1, [2])), ("first", stage, ()), ("second", stage, ())] == done


def test_unknown_step_is_refused(done: list[Any]) -> None:
    """By name, and nothing after it is done."""
    with pytest.raises(SandboxError, match="unknown step 'third'"):
        enter([["first"], ["third"], ["second"]], Stage())

    assert ["first"] == [name for name, _, _ in done]


def test_failing_step_is_named(done: list[Any]) -> None:
    """With what the kernel said; nothing after it is done."""
    with pytest.raises(SandboxError, match=r"^failing: Operation not permitted$") as caught:
        enter([["first"], ["failing", errno.EPERM], ["second"]], Stage())

    assert isinstance(caught.value.__cause__, PermissionError)
    assert ["first"] == [name for name, _, _ in done]


def test_error_without_a_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OSError("text")`` has no strerror."""

    def refuse(_stage: Stage) -> None:
        raise OSError("no user namespace")

    monkeypatch.setattr(sandbox, "_STEPS", {"step": refuse})

    with pytest.raises(SandboxError, match=r"^step: no user namespace$"):
        enter([["step"]], Stage())


def test_empty_plan_does_nothing() -> None:
    """Empty plan does nothing."""
    enter([], Stage())


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([], False),
        ([["namespaces", ["mount"]], ["proc"]], False),
        ([["proc"], ["pid_namespace", None]], True),
        ([["hostname", "pid_namespace"]], False),  # an argument is no step
    ],
)
def test_only_a_pid_namespace_forks(plan: list[list[Any]], expected: bool) -> None:
    """So that the zygote knows that its child may go."""
    assert expected is has_pid_namespace(plan)


def test_joining_writes_to_every_cgroup(tmp_path: Path) -> None:
    """``0``: this process, whatever its number is there."""
    folders = [tmp_path / name for name in ("memory", "pids")]
    for folder in folders:
        folder.mkdir()
        (folder / "cgroup.procs").touch()

    enter([["join_cgroups"]], Stage(join=list(map(str, folders))))

    assert ["0", "0"] == [(folder / "cgroup.procs").read_text() for folder in folders]


def test_cgroup_that_has_gone_is_named(tmp_path: Path) -> None:
    """Nobody runs outside the cell that was made for it."""
    with pytest.raises(SandboxError, match=r"^join_cgroups: No such file or directory$"):
        enter([["join_cgroups"]], Stage(join=[str(tmp_path / "gone")]))


def test_scratch_folder_is_told_by_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is left where there is no mount namespace."""
    monkeypatch.setenv("TMPDIR", "/before")

    enter([["scratch_folder"]], Stage(scratch=str(tmp_path)))

    assert str(tmp_path) == os.environ["TMPDIR"]


def test_working_in_a_folder_that_cannot_be_read_says_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that changes it."""

    def refuse(_path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "chdir", refuse)

    with pytest.raises(SandboxError, match=r"^work_in: .*cannot be read.*chmod -R o\+rX"):
        enter([["work_in", str(tmp_path)]], Stage())
