"""Ends of a runtime inside a program: with, close, drop, cancel; nothing is left of any."""

import asyncio
import gc
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import (
    AsyncRuntime,
    Crashed,
    CrashedError,
    Function,
    RefusedError,
    Runtime,
    RuntimeClosedError,
)
from support.stage import (
    WITHIN_S,
    Gate,
    Recorder,
    open_descriptors,
    until,
    until_in_loop,
    wait_gone,
)

PROMPT_S = 3.0  # on a busy machine; whoever waits in vain takes five, or as long as a handler


def serving(runtime: Runtime | AsyncRuntime, name: str = "gated") -> int:
    return runtime.stats()["functions"][name]["serving"]


def waiting(runtime: Runtime | AsyncRuntime, name: str = "gated") -> int:
    return runtime.stats()["functions"][name]["waiting"]


def alone() -> bool:
    return not psutil.Process().children(recursive=True)


@pytest.fixture
def gated(handlers: Path) -> Function:
    """At most one at a time, waiting at the gate."""
    return Function(name="gated", code=handlers / "gate", max_instances=1, timeout=30.0)


# -- with --------------------------------------------------------------------------------------


def test_leaving_with_ends_everything(gated: Function) -> None:
    """After the block no process is there any more: it has been waited for."""
    with Runtime() as runtime:
        runtime.register(gated)
        pid = runtime.invoke("gated", b"{}").json()["pid"]

    assert not psutil.pid_exists(pid)
    assert alone()


def test_leaving_with_ends_the_threads(gated: Function) -> None:
    """Nor is a thread of ours left, but for the moment that its end takes."""
    with Runtime() as runtime:
        runtime.register(gated)
        runtime.submit("gated", b"{}").result()
        runtime.warm("gated")

    until(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("fc-runtime")],
        PROMPT_S,
    )


def test_leaving_with_waits_until_its_folders_are_gone(
    gated: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it goes on in the background: no folder half removed, no descriptor open."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    remove = shutil.rmtree
    removed: list[str] = []

    last = threading.Event()

    def slowly(path: str, **options: Any) -> None:
        if "scratch" in path:
            last.wait(0.3)  # which comes meanwhile, where nobody waits for this one
        remove(path, **options)
        removed.append(path)
        if "scratch" not in path:
            last.set()

    before = open_descriptors()
    with Runtime(isolation="portable") as runtime:
        runtime.register(gated)
        runtime.invoke("gated", b"{}")
        (folder,) = tmp_path.glob("fc-runtime-*/scratch-*")
        monkeypatch.setattr(shutil, "rmtree", slowly)

    assert [str(folder), str(folder.parent)] == removed
    assert [] == list(tmp_path.glob("fc-runtime-*"))
    assert before == open_descriptors()


def test_leaving_with_waits_for_what_is_running(gated: Function, gate: Gate) -> None:
    """A call in flight, submitted before, is answered, and the block ends after it."""
    with Runtime() as runtime:
        runtime.register(gated)
        future = runtime.submit("gated", gate.event())
        gate.entered()
        threading.Timer(0.1, gate.let).start()

    assert future.done()
    assert future.result().ok


def test_leaving_with_by_an_exception(gated: Function, gate: Gate) -> None:
    """An ordinary exception passes through, and running calls are still waited for."""
    futures = []

    def leave() -> None:
        with Runtime() as runtime:
            runtime.register(gated)
            futures.append(runtime.submit("gated", gate.event()))
            gate.entered()
            threading.Timer(0.1, gate.let).start()
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        leave()
    assert futures[0].result().ok
    assert alone()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_leaving_with_in_a_hurry(gated: Function, gate: Gate, kind: type[BaseException]) -> None:
    """Ctrl-C and sys.exit wait for nobody: what runs is killed, its caller told."""
    futures = []
    left_at = []

    def leave() -> None:
        with Runtime() as runtime:
            runtime.register(gated)
            futures.append(runtime.submit("gated", gate.event(), check=False))
            gate.entered()
            left_at.append(time.monotonic())
            raise kind

    with pytest.raises(kind):
        leave()
    assert time.monotonic() - left_at[0] < PROMPT_S
    assert Crashed is type(futures[0].result().outcome)
    assert "closed" in futures[0].result().outcome.reason
    assert alone()


def test_async_with(gated: Function, gate: Gate) -> None:
    """The same for asyncio: on leaving, a running task is waited for, and all has ended."""

    async def main() -> bool:
        async with AsyncRuntime() as runtime:
            await runtime.register(gated)
            task = runtime.submit("gated", gate.event())
            await asyncio.to_thread(gate.entered)
            asyncio.get_running_loop().call_later(0.1, gate.let)
        return task.done() and task.result().ok and alone()

    assert asyncio.run(main())


# -- close -------------------------------------------------------------------------------------


def test_closing_twice(gated: Function) -> None:
    """The second time there is nothing to do; also after `with`, and on one never used."""
    runtime = Runtime()
    runtime.register(gated)
    runtime.invoke("gated", b"{}")
    runtime.close()
    runtime.close(drain=0.0)
    unused = Runtime()
    unused.close()
    unused.close()
    with Runtime() as another:
        another.close()


def test_use_after_close(gated: Function) -> None:
    """Every verb that would do something raises RuntimeClosedError; repr and stats still tell."""
    runtime = Runtime()
    runtime.register(gated)
    runtime.close()

    for use in (
        lambda: runtime.invoke("gated"),
        lambda: runtime.invoke("unknown"),
        lambda: runtime.submit("gated"),
        lambda: runtime.map("gated", [b""]),
        lambda: runtime.warm("gated"),
        lambda: runtime.register(gated),
        lambda: runtime.unregister("gated"),
        runtime.__enter__,
    ):
        with pytest.raises(RuntimeClosedError, match="closed"):
            use()
    assert "closed" in repr(runtime)
    assert {"gated"} == set(runtime.stats()["functions"])


def test_use_after_close_in_asyncio(gated: Function) -> None:
    """The same verbs, awaited."""

    async def main() -> None:
        runtime = AsyncRuntime()
        await runtime.register(gated)
        await runtime.close()
        for use in (
            lambda: runtime.invoke("gated"),
            lambda: runtime.warm("gated"),
            lambda: runtime.register(gated),
            lambda: runtime.unregister("gated"),
            runtime.__aenter__,
        ):
            with pytest.raises(RuntimeClosedError, match="closed"):
                await use()
        with pytest.raises(RuntimeClosedError):
            runtime.submit("gated")

    asyncio.run(main())


def test_close_refuses_who_waits_and_drains_who_runs(gated: Function, gate: Gate) -> None:
    """Queued callers are refused at once; the running one may finish."""
    runtime = Runtime()
    runtime.register(gated)
    running = runtime.submit("gated", gate.event())
    gate.entered()
    queued = runtime.submit("gated", gate.event())
    until(lambda: waiting(runtime) == 1)
    closing = threading.Thread(target=runtime.close)
    closing.start()

    with pytest.raises(RuntimeClosedError):
        queued.result(PROMPT_S)
    assert not running.done()
    assert closing.is_alive()

    gate.let()
    assert running.result().ok
    closing.join()
    assert gate.is_deserted()


def test_close_with_drain_0_waits_for_nobody(gated: Function, gate: Gate) -> None:
    """What runs is killed now; its caller gets CrashedError, which says why."""
    runtime = Runtime()
    runtime.register(gated)
    running = runtime.submit("gated", gate.event())
    _, pid = gate.entered()
    before = time.monotonic()
    runtime.close(drain=0.0)

    assert time.monotonic() - before < PROMPT_S
    assert not psutil.pid_exists(pid)
    with pytest.raises(CrashedError, match="the runtime was closed"):
        running.result(PROMPT_S)


def test_close_with_seconds_to_drain(gated: Function, gate: Gate, handlers: Path) -> None:
    """Who finishes in that time is answered; who does not is killed when it is over."""
    runtime = Runtime()
    runtime.register(gated)
    runtime.register("slow", code=handlers / "gate", handler="index.forever", timeout=30.0)
    slow = runtime.submit("slow", gate.event("slow"), check=False)
    quick = runtime.submit("gated", gate.event("quick"))
    assert {"slow", "quick"} == {gate.entered()[0], gate.entered()[0]}
    threading.Timer(0.05, gate.let).start()
    before = time.monotonic()
    runtime.close(drain=0.3)
    took = time.monotonic() - before

    assert 0.3 <= took < 0.3 + PROMPT_S
    assert quick.result().ok
    assert Crashed is type(slow.result().outcome)


def test_close_during_a_cold_start(handlers: Path, tmp_path: Path, log: Recorder) -> None:
    """drain=0 while the first process of a function is being started: prompt, and nothing left."""
    births = tmp_path / "births"
    runtime = Runtime(log=log)
    runtime.register(
        "slow",
        code=handlers / "births",
        environment={"BIRTHS": str(births), "AT_IMPORT": "hang"},
    )
    future = runtime.submit("slow", check=False)
    log.wait_for("zygote.started")
    before = time.monotonic()
    runtime.close(drain=0.0)

    assert time.monotonic() - before < PROMPT_S
    assert isinstance(future.exception(PROMPT_S), RuntimeClosedError) or not future.result().ok
    assert alone()


def test_close_during_a_preload(tmp_path: Path, log: Recorder) -> None:
    """A zygote that is stuck in a preload does not survive, nor hold up the program for long."""
    (tmp_path / "index.py").write_text("def handler(event, context): pass\n")
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(3600)\n")
    runtime = Runtime(log=log)
    runtime.register("stuck", code=tmp_path, preload=["endless"])
    future = runtime.submit("stuck", check=False)
    (zygote,) = log.wait_for("zygote.started")
    before = time.monotonic()
    runtime.close(drain=0.0)

    assert time.monotonic() - before < 2 * PROMPT_S
    assert wait_gone(zygote["pid"], 0)
    assert future.exception(PROMPT_S) is not None or not future.result().ok


def test_two_close_at_the_same_time(gated: Function, gate: Gate) -> None:
    """The one in more of a hurry wins, and both return when all is gone."""
    runtime = Runtime()
    runtime.register(gated)
    running = runtime.submit("gated", gate.event(), check=False)
    _, pid = gate.entered()
    patient = threading.Thread(target=runtime.close)
    patient.start()
    until(lambda: runtime._core.closed)
    runtime.close(drain=0.0)

    assert not psutil.pid_exists(pid)
    assert Crashed is type(running.result().outcome)
    patient.join(PROMPT_S)
    assert not patient.is_alive()


def test_close_from_a_callback(gated: Function) -> None:
    """A done-callback, in a thread of ours, may close the runtime."""
    runtime = Runtime()
    runtime.register(gated)
    closed = threading.Event()

    def close(_: object) -> None:
        runtime.close()
        closed.set()

    runtime.submit("gated", b"{}").add_done_callback(close)

    assert closed.wait(5)
    assert alone()


def test_who_is_told_to_have_ended_is_not_waited_for(tmp_path: Path) -> None:
    """Who hears that an instance has ended may close the runtime, which would wait for it."""
    told: queue.Queue[bool] = queue.Queue()

    class Looking(Recorder):
        def warning(self, event: str, **fields: object) -> None:
            if event == "instance.exited":
                live = runtime._core.pool("dying").roster.live_instances()
                told.put(fields["instance"] in [instance.id for instance in live])

    with Runtime(log=Looking()) as runtime:
        (tmp_path / "index.py").write_text("import os\ndef handler(e, c): os._exit(3)\n")
        runtime.register("dying", code=tmp_path)
        runtime.invoke("dying", check=False)

        assert not told.get(timeout=WITHIN_S)


def test_close_from_a_log(tmp_path: Path) -> None:
    """
    Who is told that an instance has ended may close the runtime, in whatever thread that is: one
    that a standby is just started in is not waited for by itself.
    """
    runtimes: list[Runtime] = []
    told = threading.Event()

    class Closing(Recorder):
        def warning(self, event: str, **fields: object) -> None:
            if event == "instance.exited":
                runtimes[0].close(0.0)
                told.set()

    runtime = Runtime(log=Closing())
    runtimes.append(runtime)
    (tmp_path / "index.py").write_text(
        "import os, time\ntime.sleep(0.2)\ndef handler(e, c): os._exit(3)\n"
    )
    runtime.register("dying", code=tmp_path)
    before = time.monotonic()
    assert not runtime.invoke("dying", check=False).ok

    assert told.wait(PROMPT_S)
    until(alone, PROMPT_S)
    assert time.monotonic() - before < PROMPT_S
    with pytest.raises(RuntimeClosedError):
        runtime.invoke("dying")
    until(lambda: not runtime._core.supervisor._zygotes, PROMPT_S)


def test_close_from_a_log_of_a_start(gated: Function) -> None:
    """In the caller's own thread: his call is refused, and nobody waits for ever."""
    runtimes: list[Runtime] = []

    class Closing(Recorder):
        def info(self, event: str, **fields: object) -> None:
            if event == "zygote.started":
                runtimes[0].close(0.0)

    runtimes.append(Runtime(log=Closing()))
    runtimes[0].register(gated)
    with pytest.raises(RefusedError):
        runtimes[0].invoke("gated", b"{}")

    until(alone, PROMPT_S)


def test_close_from_a_signal_in_close(gated: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to end once more while it ends: the close that is under way goes on to its end."""
    runtime = Runtime(isolation="portable")  # which has a folder to remove
    runtime.register(gated)
    runtime.invoke("gated", b"{}")
    remove, seen = shutil.rmtree, []

    def close_again(*_: object) -> None:
        runtime.close(0.0)
        seen.append("closed again")

    def interrupted(path: str, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGUSR1)
        remove(path, **options)
        seen.append(Path(path).name.partition("-")[0])

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    before = signal.signal(signal.SIGUSR1, close_again)
    try:
        runtime.close(0.0)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert ["closed again", "fc"] == seen[-2:]
    assert alone()


# -- dropped -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["at once", "in a cycle", "by its own thread"])
def test_a_dropped_runtime_ends_its_processes(gated: Function, how: str) -> None:
    """Nobody called close: when it is collected, wherever that happens, all of it goes."""

    class Collector:
        """A log that collects garbage: `instance.exited` is told in the supervisor's own thread."""

        def debug(self, event: str, **fields: object) -> None:
            if event == "instance.exited":
                gc.collect()

        info = warning = debug

    descriptors = open_descriptors()
    gc.disable()
    try:
        runtime = Runtime(log=Collector())
        runtime.register(gated)
        pid = runtime.submit("gated", b"{}").result().json()["pid"]
        gone = weakref.ref(runtime)
        if how != "at once":
            runtime.itself = runtime
        del runtime
        match how:
            case "in a cycle":
                gc.collect()
            case "by its own thread":
                os.kill(pid, 9)
        until(lambda: gone() is None)
    finally:
        gc.enable()

    until(alone, PROMPT_S)
    until(lambda: open_descriptors() <= descriptors, PROMPT_S)


def test_one_that_is_dropped_in_a_loop_that_goes_on(gated: Function) -> None:
    """What the loop still listens to does not keep it alive."""
    descriptors = open_descriptors()

    async def drop() -> None:
        runtime = AsyncRuntime()
        await runtime.register(gated)
        for _ in range(3):
            assert (await runtime.invoke("gated", b"{}")).ok
        gone = weakref.ref(runtime._runtime)
        del runtime
        gc.collect()
        assert gone() is None
        await until_in_loop(alone)

    asyncio.run(drop())
    gc.collect()
    until(lambda: open_descriptors() <= descriptors, PROMPT_S)


def test_a_dropped_runtime_that_did_nothing(handlers: Path) -> None:
    """Its descriptors are closed at once, in the thread that drops it."""
    before = open_descriptors()
    runtime = Runtime()
    runtime.register("f", code=handlers / "gate")
    del runtime

    assert before == open_descriptors()


def test_a_runtime_in_use_is_not_dropped(gated: Function, gate: Gate) -> None:
    """A submitted call keeps its runtime alive until it is answered."""
    runtime = Runtime()
    runtime.register(gated)
    future = runtime.submit("gated", gate.event())
    gate.entered()
    del runtime
    gc.collect()
    gate.let()

    assert future.result(5).ok
    until(alone, PROMPT_S)
    until(lambda: "fc-runtime-supervisor" not in [one.name for one in threading.enumerate()])


# -- cancelled ---------------------------------------------------------------------------------


def in_asyncio(scene: Callable[[AsyncRuntime], object], function: Function) -> object:
    async def main() -> object:
        async with AsyncRuntime() as runtime:
            await runtime.register(function)
            return await scene(runtime)

    return asyncio.run(main())


def test_cancelling_a_running_task_ends_its_instance(gated: Function, gate: Gate) -> None:
    """The process goes, the slot is free, and the next call is served by another."""

    async def scene(runtime: AsyncRuntime) -> tuple[bool, int]:
        task = runtime.submit("gated", gate.event())
        _, pid = await asyncio.to_thread(gate.entered)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gone = await asyncio.to_thread(wait_gone, pid)
        result = await asyncio.wait_for(runtime.invoke("gated", b"{}"), 5)
        return gone and result.json()["pid"] != pid, serving(runtime)

    assert (True, 0) == in_asyncio(scene, gated)


def test_cancelling_a_start(gated: Function) -> None:
    """Cancelled while the first process is being started: the slot is free again."""

    async def scene(runtime: AsyncRuntime) -> bool:
        for turns in range(6):
            task = runtime.submit("gated", b"{}")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        return (await asyncio.wait_for(runtime.invoke("gated", b"{}"), 5)).ok

    assert in_asyncio(scene, gated)


def test_a_loop_that_ends_during_a_start(gated: Function, capfd: pytest.CaptureFixture) -> None:
    """
    asyncio.run cancels everything when it ends, what is inside of us too. The runtime can be
    closed afterwards without a wait, and nothing was printed.
    """
    runtime = AsyncRuntime()

    async def main() -> None:
        await runtime.register(gated)
        runtime.submit("gated", b"{}")
        await until_in_loop(lambda: serving(runtime))

    asyncio.run(main())
    before = time.monotonic()
    asyncio.run(runtime.close())

    assert time.monotonic() - before < PROMPT_S
    assert ("", "") == capfd.readouterr()
    assert alone()


def test_a_loop_that_ends_during_a_call(
    gated: Function, gate: Gate, capfd: pytest.CaptureFixture
) -> None:
    """The same with a handler at work: it is ended."""
    runtime = AsyncRuntime()

    async def main() -> int:
        await runtime.register(gated)
        runtime.submit("gated", gate.event())
        return (await asyncio.to_thread(gate.entered))[1]

    pid = asyncio.run(main())

    assert wait_gone(pid)
    asyncio.run(runtime.close())
    assert ("", "") == capfd.readouterr()


def test_wait_for_gives_up_and_the_instance_goes(gated: Function, gate: Gate) -> None:
    """asyncio's own timeouts are cancellations like any other."""

    async def scene(runtime: AsyncRuntime) -> bool:
        await runtime.invoke("gated", b"{}")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runtime.invoke("gated", gate.event()), 0.2)
        _, pid = await asyncio.to_thread(gate.entered)
        return await asyncio.to_thread(wait_gone, pid)

    assert in_asyncio(scene, gated)


def test_leaving_a_map_early(gated: Function, gate: Gate) -> None:
    """Who stops taking results of an async map leaves no task and no process behind."""

    async def scene(runtime: AsyncRuntime) -> int:
        results = runtime.map("gated", [b"{}", *[gate.event()] * 3], concurrency=2)
        async for result in results:
            assert result.ok
            break
        await results.aclose()
        await until_in_loop(lambda: len(asyncio.all_tasks()) == 1 and not serving(runtime))
        return waiting(runtime)

    assert 0 == in_asyncio(scene, gated)
