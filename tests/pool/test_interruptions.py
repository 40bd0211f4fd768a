"""Ctrl-C at a given step of a call, which the program catches: its slot is free again."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import Runtime
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import Trigger
from fc_runtime.pool.serving import Serving
from support.stage import until


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``interrupt_after(owner, name, *arguments)``: once that method, called so, has returned."""

    def arm(owner: type, name: str, *wanted: object) -> None:
        method = getattr(owner, name)

        def interrupted(self: object, *arguments: Any) -> Any:
            done = method(self, *arguments)
            is_main = threading.current_thread() is threading.main_thread()
            if is_main and list(wanted) == list(arguments):
                monkeypatch.undo()
                raise KeyboardInterrupt
            return done

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
def test_a_cold_call(
    handlers: Path, interrupt_after: Callable[..., None], step: tuple[Any, ...]
) -> None:
    """Its instance, of which the caller cannot know how far it came, is ended."""
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_instances=1)
        interrupt_after(*step)
        with pytest.raises(KeyboardInterrupt):
            runtime.invoke("who")
        until(lambda: runtime.stats()["functions"]["who"]["serving"] == 0)

        assert runtime.invoke("who").ok
