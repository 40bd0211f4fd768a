"""Cases that are more than one call: what the host does while, before or beside it."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime
from fc_runtime.errors import FcRuntimeError, OverloadedError
from fc_runtime.outcome import Result, name_of
from fc_runtime.torture.case import Play, Seen
from fc_runtime.torture.footing import settle, wait_for_any
from fc_runtime.torture.stage import Stage

_UNDER_WAY_S: Final = 0.2  # by then a warm call has long begun
_WRONG_WITHIN_S: Final = 10.0
_IN_PEACE_S: Final = 0.1  # for whoever hears of it


def sending(event: bytes) -> Play:
    """The event itself is the case."""
    return lambda stage: stage.invoke(event)


def again_and_again(times: int) -> Play:
    """The deed, so many times: how each ended."""

    def play(stage: Stage) -> Seen:
        started = time.monotonic()
        ends = Counter(
            type(seen.error).__name__ if seen.outcome is None else name_of(seen.outcome)
            for seen in (stage.attack() for _ in range(times))
        )
        return Seen(told=dict(ends), took_s=time.monotonic() - started)

    return play


def and_wait(stage: Stage) -> Seen:
    """The deed, and then nothing, until the thread in which it goes wrong in peace has ended."""
    seen = stage.attack()
    settle(stage.threaded, _WRONG_WITHIN_S)
    wait_for_any((), _IN_PEACE_S)
    return seen


def and_weigh(stage: Stage) -> Seen:
    """As `and_wait`; then how much memory the function's processes hold, in MiB."""
    seen = and_wait(stage)
    return Seen(told={"held_mb": stage.resident_bytes() // 2**20}, took_s=seen.took_s)


def beside_a_neighbour(stage: Stage) -> Seen:
    """While the deed is under way, another function is called: the slowest call, in seconds."""
    stage.register_another("bystander", "values.dispatch")
    stage.invoke(b"ping", name=stage.named("bystander"))
    attack = stage.runtime.submit(
        stage.name, stage.case.deed, timeout=stage.case.timeout, check=False
    )
    slowest, answered, failed = 0.0, 0, 0
    started = time.monotonic()
    while not attack.done():
        seen = stage.invoke(b"ping", name=stage.named("bystander"))
        slowest = max(slowest, seen.took_s)
        well = seen.result is not None and seen.result.ok
        answered, failed = answered + well, failed + (not well)
    ended = attack.result()
    took_s = time.monotonic() - started
    stage.runtime.unregister(stage.named("bystander"))
    return Seen(
        told={
            "attack": name_of(ended.outcome),
            "answered": answered,
            "failed": failed,
            "slowest_s": round(slowest, 3),
        },
        took_s=took_s,
    )


def looking_for_things(stage: Stage) -> Seen:
    """What the deed has left where the host's other programs are; and takes it away."""
    seen = stage.attack()
    path = Path(f"/tmp/{stage.mark}-left")  # noqa: S108 (what the handler knows as its own)
    key = int(stage.mark[-7:], 16)
    shared = [
        fields
        for fields in map(str.split, Path("/proc/sysvipc/shm").read_text().splitlines()[1:])
        if int(fields[0]) == key
    ]
    left = {"file": path.exists(), "shared memory": bool(shared)}
    path.unlink(missing_ok=True)
    for fields in shared:
        ctypes.CDLL(None).shmctl(int(fields[1]), 0, None)  # IPC_RMID
    return Seen(told=left, took_s=seen.took_s)


def flooded(stage: Stage) -> Seen:
    """Ten thousand calls at once for two instances and a queue of a hundred."""
    started = time.monotonic()
    futures: list[Future[Result]] = [
        stage.runtime.submit(stage.name, stage.case.deed) for _ in range(10_000)
    ]
    ends: Counter[str] = Counter()
    for future in futures:
        error = future.exception()
        if error is None:
            ends["answered"] += future.result().payload == b"pong"
        else:
            ends["refused" if isinstance(error, OverloadedError) else type(error).__name__] += 1
    return Seen(told=dict(ends), took_s=time.monotonic() - started)


def without_its_zygote(stage: Stage) -> Seen:
    """The zygote is killed while the deed is under way."""
    started = time.monotonic()
    zygotes = stage.zygotes()
    attack = stage.runtime.submit(stage.name, stage.case.deed, check=False)
    wait_for_any((), _UNDER_WAY_S)
    for zygote in zygotes:
        os.kill(zygote, signal.SIGKILL)
    try:
        return Seen(result=attack.result(), took_s=time.monotonic() - started)
    except FcRuntimeError as error:
        return Seen(error=error, took_s=time.monotonic() - started)


def cancelled(stage: Stage) -> Seen:
    """A task that awaits the deed is cancelled; then the only instance is asked again."""

    async def main() -> dict[str, Any]:
        async with AsyncRuntime(**stage.host_options()) as runtime:
            await runtime.register(stage.function({}))
            await runtime.invoke(stage.name, b"ping")
            attack = asyncio.create_task(runtime.invoke(stage.name, stage.case.deed))
            await asyncio.wait({attack}, timeout=_UNDER_WAY_S)
            attack.cancel()
            await asyncio.wait({attack})
            again = await asyncio.wait_for(runtime.invoke(stage.name, b"ping"), 5.0)
            return {"cancelled": attack.cancelled(), "next": again.text}

    started = time.monotonic()
    told = asyncio.run(main())
    return Seen(told=told, took_s=time.monotonic() - started)


def in_a_busy_host(stage: Stage) -> Seen:
    """The host has a child of its own, and hears of its children: both stay its own."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGCHLD)
    signal.signal(signal.SIGCHLD, lambda number, _: heard.append(number))
    try:
        child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
        seen = stage.attack()
        code = child.wait()
        ours = signal.getsignal(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, before)
    ended = "" if seen.outcome is None else name_of(seen.outcome)
    return Seen(
        told={
            "attack": ended,
            "exit code of the host's child": code,
            "heard of it": bool(heard),
            "handler kept": callable(ours) and ours is not before,
        },
        took_s=seen.took_s,
    )
