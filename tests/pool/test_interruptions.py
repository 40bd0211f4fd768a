"""Ctrl-C at a given step of a call, which the program catches: its slot is free again."""

import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from fc_runtime import Runtime
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import Trigger
from fc_runtime.pool.serving import Serving
from fc_runtime.pool.supervisor import Supervisor
from fc_runtime.pool.zygote import Zygote
from support.stage import Recorder, until


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``interrupt("after", owner, name, *arguments)``: once that method, called so, has returned."""

    def arm(when: str, owner: type, name: str, *wanted: object) -> None:
        method = getattr(owner, name)

        def interrupted(self: object, *arguments: Any) -> Any:
            is_main = threading.current_thread() is threading.main_thread()
            if not is_main or list(wanted) != list(arguments):
                return method(self, *arguments)
            monkeypatch.undo()
            if when == "after":
                method(self, *arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(owner, name, interrupted)

    return arm


@pytest.mark.parametrize(
    "step",
    [
        (Instance, "advance", Trigger.READY_AND_HELD),
        (Serving, "_note_start"),
        (Serving, "let_go"),
    ],
    ids=lambda step: "-".join(str(getattr(part, "name", part)) for part in step[1:]),
)
def test_a_cold_call(handlers: Path, interrupt: Callable[..., None], step: tuple[Any, ...]) -> None:
    """Its instance, of which the caller cannot know how far it came, is ended."""
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_instances=1)
        interrupt("after", *step)
        with pytest.raises(KeyboardInterrupt):
            runtime.invoke("who")
        until(lambda: runtime.stats()["functions"]["who"]["serving"] == 0)

        assert runtime.invoke("who").ok


def test_a_warm_call(handlers: Path, interrupt: Callable[..., None]) -> None:
    """Before the instance is his it is still on the stack: the next call has it."""
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_instances=1)
        runtime.warm("who")
        runtime.invoke("who")
        idle = runtime.stats()["functions"]["who"]["idle"]
        interrupt("before", Instance, "advance", Trigger.LEASE)
        with pytest.raises(KeyboardInterrupt):
            runtime.invoke("who")

        gauges = runtime.stats()["functions"]["who"]
        assert (idle, 0) == (gauges["idle"], gauges["serving"])
        assert not runtime.invoke("who").cold_start


def test_the_start_of_a_zygote(
    handlers: Path, interrupt: Callable[..., None], log: Recorder
) -> None:
    """It is ended, and waited for; the next call starts another."""
    with Runtime(log=log) as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami")
        interrupt("after", Supervisor, "watch", ANY)
        with pytest.raises(KeyboardInterrupt):
            runtime.invoke("who")

        assert runtime.invoke("who").ok
    assert 1 == len(log.of("zygote.started"))


def test_the_start_of_an_instance(handlers: Path, interrupt: Callable[..., None]) -> None:
    """Right after its zygote was asked for it: nothing of it is left, and the next call is served."""
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_instances=1)
        interrupt("after", Zygote, "_send", ANY, ANY)
        with pytest.raises(KeyboardInterrupt):
            runtime.invoke("who")

        assert runtime.invoke("who").ok


def test_from_the_depth_of_a_recursion(handlers: Path) -> None:
    """
    Wherever a call meets Python's recursion limit, it fails of that, or does not: what it holds
    is given back, though hardly a frame is left for that.
    """

    def down(frames: int, call: Callable[[], object]) -> object:
        return down(frames - 1, call) if frames else call()

    def as_deep_as_fails() -> int:
        for frames in range(sys.getrecursionlimit()):
            try:
                down(frames, int)
            except RecursionError:
                return frames
        raise AssertionError("there is no limit")

    failed = answered = 0
    with Runtime() as runtime:
        runtime.register("echo", code=handlers / "gate", handler="index.echo", max_instances=2)
        runtime.invoke("echo")
        for frames in range(as_deep_as_fails() - 60, as_deep_as_fails()):
            for options in ({}, {"timeout": 2.0}):
                try:
                    down(frames, partial(runtime.invoke, "echo", **options))
                    answered += 1
                except RecursionError:
                    failed += 1
            until(lambda: runtime.stats()["functions"]["echo"]["serving"] == 0)

        assert failed and answered
        assert runtime.invoke("echo", b"after").payload == b"after"
