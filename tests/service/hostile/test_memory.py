"""Large requests, and many of them: what they hold is bounded, and given back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.bodies import ClientGoneError, Room, read
from fc_runtime.service.settings import Settings
from service.gateway.conftest import daemon_in  # type: ignore[import-not-found]
from support.serving import Served
from support.stage import until

KiB = 1024
MiB = 1024 * KiB
SETTINGS = Settings()


class Upload:
    """A body that comes a KiB at a time, and stops when it is told to."""

    def __init__(self, pieces: int, *, ends: bool = True) -> None:
        self._left = pieces
        self._ends = ends
        self.read = 0
        self.stopped = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self._left:
            self.stopped.set()
            await asyncio.Event().wait()  # for ever
        self._left -= 1
        self.read += 1
        more = bool(self._left) or not self._ends
        return {"type": "http.request", "body": b"x" * KiB, "more_body": more}

    def into(self, room: Room) -> "asyncio.Task[bytes]":
        return asyncio.create_task(read(self.receive, (), SETTINGS, MiB, room))


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_no_room() -> None:
    """Beyond it a request is read to its end, and told to come again; nothing of it is held."""

    async def test() -> None:
        room = Room(10 * KiB)
        first = Upload(8, ends=False)
        held = first.into(room)
        await first.stopped.wait()
        second = Upload(20)
        with pytest.raises(ApiError) as refused:
            await second.into(room)

        assert (429, "ResourceThrottled") == (refused.value.status, refused.value.code)
        assert refused.value.headers == {"Retry-After": "1"}
        assert (20, 2 * KiB) == (second.read, room.left)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        assert room.left == 10 * KiB

    run(test)


def test_given_back() -> None:
    """When the request has been answered, its client has gone, or it was too large."""

    async def test() -> None:
        room = Room(2 * MiB)
        gone = iter([{"type": "http.request", "body": b"x" * KiB, "more_body": True}])

        async def leaving() -> dict[str, Any]:
            return next(gone, {"type": "http.disconnect"})

        assert len(await Upload(20).into(room)) == 20 * KiB
        with pytest.raises(ClientGoneError):
            await asyncio.create_task(read(leaving, (), SETTINGS, MiB, room))
        with pytest.raises(ApiError, match="exceeds"):
            await Upload(1025).into(room)
        await asyncio.sleep(0)  # a task's end is told a turn later

        assert room.left == 2 * MiB

    run(test)


def test_end_to_end(tmp_path: Path, handlers: Path) -> None:
    """A request that is held up makes another wait; small ones go on, and it ends with the first."""
    with daemon_in(tmp_path, handlers, max_held_bytes=3 * MiB) as daemon:
        daemon.create("echo", "index.echo")
        large = b"x" * (2 * MiB)

        def slowly() -> Any:
            yield large
            until(lambda: daemon.app._room.left < 2 * MiB, what="the first is held")
            refused.append(daemon.invoke("echo", large))
            small.append(daemon.invoke("echo", b"small"))
            yield b"end"

        refused: list[Any] = []
        small: list[Any] = []
        path = "/2023-03-30/functions/echo/invocations"
        first = daemon.client.post(path, content=slowly())

        assert (429, "1") == (refused[0].status_code, refused[0].headers["Retry-After"])
        assert (200, b"small") == (small[0].status_code, small[0].content)
        assert (200, large + b"end") == (first.status_code, first.content)
        assert daemon.invoke("echo", large).content == large


def test_a_large_body_is_held_once(open_daemon: Served) -> None:
    """
    The event, and the result that is as large: two bodies, and pieces of them on their way in and
    out. Time after time, and nothing is kept.
    """
    status = Path(f"/proc/{open_daemon.process.pid}/status")
    event = b"0123456789abcdef" * (24 * MiB // 16)

    def size(name: str) -> int:
        return int(status.read_text().partition(f"{name}:")[2].split()[0]) * KiB

    def peak_of_a_call() -> int:
        status.with_name("clear_refs").write_text("5")  # VmHWM begins anew
        assert event == open_daemon.invoke("hello", event).content
        return size("VmHWM") - before

    open_daemon.invoke("hello", b"small")
    before = size("VmRSS")
    peaks = [peak_of_a_call() for _ in range(5)]

    assert max(peaks) < 2 * len(event) + 8 * MiB
    assert size("VmRSS") - before < 8 * MiB
