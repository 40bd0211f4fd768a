"""What the zygote imports once for all instances, and what that may do to it."""

import asyncio
import signal
from pathlib import Path

import pytest
from fc_runtime import (
    AsyncRuntime,
    Crashed,
    InitializationError,
    InitializationFailed,
    OverloadedError,
    Runtime,
    TimedOut,
)
from fc_runtime.pool.policy import RestartPolicy
from support.stage import Recorder, until


def parent_of_instance(runtime: Runtime, name: str) -> int:
    return int(runtime.invoke(name).text.split()[1])


def test_a_preloaded_module_is_imported_by_the_zygote(
    runtime: Runtime, handlers: Path, tmp_path: Path, log: Recorder
) -> None:
    """Each instance finds it imported already, in the zygote's process, and imports it no more."""
    (tmp_path / "index.py").write_text(
        "import harmless\ndef handler(event, context):\n    return str(harmless.IMPORTED_BY)\n"
    )
    (tmp_path / "harmless.py").write_text("import os\nIMPORTED_BY = os.getpid()\n")
    runtime.register("p", code=tmp_path, preload=["harmless"], max_invocations=1)
    (zygote,) = runtime.invoke("p") and log.of("zygote.started")

    assert {str(zygote["pid"])} == {runtime.invoke("p").text for _ in range(3)}


@pytest.mark.parametrize(
    "module", ["starts_a_thread", "starts_one_when_forked", "hangs_when_forked"]
)
def test_a_preload_that_starts_a_thread_means_exec_and_is_named(
    runtime: Runtime, handlers: Path, log: Recorder, module: str
) -> None:
    """
    A process with threads must not fork, nor may one be there before an instance is behind its
    walls. Instances are exec'd instead, work as usual, and the log says which import it was.
    """
    runtime.register(
        "p",
        code=handlers / "noisy_thread",
        preload=["harmless", module, "json"],
        max_invocations=1,
    )
    pids = {runtime.invoke("p").text.split()[0] for _ in range(3)}
    (limited,) = log.wait_for("zygote.limited")
    (zygote,) = log.of("zygote.started")

    assert 3 == len(pids)
    assert module == limited["threads_started_by"]
    assert zygote["pid"] == limited["pid"] == parent_of_instance(runtime, "p")


def test_exec_is_no_excuse_for_survivors(runtime: Runtime, handlers: Path, log: Recorder) -> None:
    """Exec'd instances are retired, too, and their zygote with them."""
    runtime.register(
        "p", code=handlers / "noisy_thread", preload=["starts_a_thread"], idle_timeout=0.2
    )
    runtime.invoke("p")
    log.wait_for("zygote.exited")

    assert 0 == runtime.stats()["functions"]["p"]["processes"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("no_such_module", None),
        ("wrong", "1 / 0"),
        ("unreadable", "def ("),
        ("leaving", "raise SystemExit(3)"),
    ],
)
def test_a_preload_that_fails_is_told_and_does_no_harm(
    runtime: Runtime, tmp_path: Path, log: Recorder, module: str, text: str | None
) -> None:
    """A handler that does not need it runs all the same."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    if text:
        (tmp_path / f"{module}.py").write_text(text)
    runtime.register("p", code=tmp_path, preload=[module])

    assert b"fine" == runtime.invoke("p", b"fine").payload
    (limited,) = log.wait_for("zygote.limited")
    assert [module] == list(limited["preload_failed"])


@pytest.mark.parametrize(
    ("text", "crash"),
    [
        ("import os; os._exit(0)", {"exit_code": 0}),
        ("import os; os._exit(4)", {"exit_code": 4}),
        ("import os; os.abort()", {"signal": signal.SIGABRT}),
    ],
)
def test_a_preload_that_ends_the_zygote_is_an_initialization_that_failed(
    runtime: Runtime, tmp_path: Path, log: Recorder, text: str, crash: dict[str, int]
) -> None:
    """
    It is told how and by which module, at once. The next callers are told from memory, until it is
    time to try again; mended, it serves.
    """
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "deadly.py").write_text(text)
    runtime.register("p", code=tmp_path, preload=["json", "deadly"])

    results = [runtime.invoke("p", check=False) for _ in range(20)]

    cause = Crashed(**crash, reason="the preload 'deadly' ended the zygote")
    assert {InitializationFailed(cause)} == {result.outcome for result in results}
    with pytest.raises(InitializationError, match="preload 'deadly'"):
        runtime.invoke("p")
    assert len(log.of("zygote.started")) < 5
    assert {"deadly"} == {exited["preloading"] for exited in log.wait_for("zygote.exited")}
    assert 0 == runtime.stats()["functions"]["p"]["serving"]

    (tmp_path / "deadly.py").write_text("")
    until(lambda: runtime.invoke("p", check=False).ok)


def test_a_preload_whose_zygote_is_killed_is_named(runtime: Runtime, tmp_path: Path) -> None:
    """By whom nobody knows: it is tried again, and after a few times refused."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "deadly.py").write_text("import os; os.kill(os.getpid(), 9)")
    runtime.register("p", code=tmp_path, preload=["deadly"])

    with pytest.raises(OverloadedError, match="the preload 'deadly' ended the zygote"):
        runtime.invoke("p")

    assert 0 == runtime.stats()["functions"]["p"]["serving"]


def test_what_is_kept_warm_is_not_tried_in_a_loop(
    runtime: Runtime, tmp_path: Path, log: Recorder
) -> None:
    """Standbys that never come up are tried with a back-off, too."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "deadly.py").write_text("import os; os._exit(4)")
    runtime.register("p", code=tmp_path, preload=["deadly"], min_instances=2)

    with pytest.raises(InitializationError, match="preload 'deadly'"):
        runtime.warm("p", 2)

    third = log.wait_for("zygote.started", count=3, function="p")[2]
    assert third["at"] - log.of("zygote.started", function="p")[0]["at"] > RestartPolicy().first_s


def test_what_a_preload_prints_is_in_nobodys_log(runtime: Runtime, tmp_path: Path) -> None:
    """Output at preload belongs to no invocation."""
    (tmp_path / "index.py").write_text(
        "import chatty\ndef handler(event, context):\n    print(1)\n"
    )
    (tmp_path / "chatty.py").write_text("print('hello', flush=True)\nprint('unflushed', end='')")
    runtime.register("p", code=tmp_path, preload=["chatty"])

    assert b"1\n" == runtime.invoke("p").log
    assert b"1\n" == runtime.invoke("p").log


def test_preload_sees_layers_and_code(runtime: Runtime, tmp_path: Path) -> None:
    """Modules of the code folder and of layers can be preloaded."""
    layer = tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    (layer / "python" / "from_layer.py").write_text("import os\nPID = os.getpid()\n")
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(
        "import os, from_layer\n"
        "def handler(event, context):\n    return str(from_layer.PID == os.getppid())\n"
    )
    runtime.register("p", code=code, preload=["from_layer"], layers=[layer])

    assert "True" == runtime.invoke("p").text


def test_a_preload_that_hangs_is_cut_off(runtime: Runtime, tmp_path: Path, log: Recorder) -> None:
    """initialization_timeout covers the preload of a first call; the zygote does not stay."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(3600)")
    runtime.register("p", code=tmp_path, preload=["endless"], initialization_timeout=0.5)

    result = runtime.invoke("p", check=False)

    assert InitializationFailed(TimedOut(0.5)) == result.outcome
    assert result.duration_ms < 1000
    log.wait_for("zygote.exited")
    assert 0 == runtime.stats()["functions"]["p"]["serving"]


def test_a_cancelled_start_does_not_wait_for_a_slow_preload(tmp_path: Path) -> None:
    """A caller who leaves while the zygote is preloading frees his place as soon as it is done."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.3)")

    async def scene() -> bool:
        async with AsyncRuntime(log=log) as runtime:
            await runtime.register("p", code=tmp_path, preload=["slow"], max_instances=1)
            leaver = runtime.submit("p")
            await asyncio.to_thread(log.wait_for, "zygote.started")
            leaver.cancel()
            await asyncio.wait([leaver])
            return (await asyncio.wait_for(runtime.invoke("p", b"x"), 3.0)).ok

    log = Recorder()
    assert asyncio.run(scene())
    assert 1 == len(log.of("zygote.started"))
