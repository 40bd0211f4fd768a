"""The runtime embedded: in threads, in asyncio, under uvloop, beside another runtime."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import fc_runtime
import fc_worker
import msgpack
import pytest
import uvloop
from fc_runtime import (
    AsyncRuntime,
    Crashed,
    InvalidFunctionError,
    OverloadedError,
    Runtime,
    TimedOut,
)
from support.stage import Gate, Program, until

uvloop.new_event_loop().close()  # libuv makes a pipe for the whole process, with its first loop
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """``asyncio.run`` on either kind of loop."""

    def run_on_it(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return run_on_it


def test_a_program_with_many_threads(handlers: Path) -> None:
    """
    Threads that allocate, lock and start processes of their own, while others invoke: every one
    gets what is his.
    """
    stop = threading.Event()
    statuses: list[int] = []
    wrong: list[str] = []

    def churn() -> None:
        while not stop.is_set():
            statuses.append(subprocess.run(["sh", "-c", "exit 7"], check=False).returncode)

    def call(runtime: Runtime, name: str) -> None:
        wrong.extend(
            name
            for number in range(15)
            if runtime.invoke("echo", f"{name}{number}").text != f"{name}{number}"
        )

    others = [threading.Thread(target=churn) for _ in range(2)]
    with Runtime() as runtime:
        runtime.register(
            "echo", code=handlers / "gate", handler="index.echo", max_instances=3, max_invocations=5
        )
        callers = [threading.Thread(target=call, args=(runtime, name)) for name in "abcdefgh"]
        for thread in others + callers:
            thread.start()
        for thread in callers:
            thread.join()
        stop.set()
        for thread in others:
            thread.join()

    assert [] == wrong
    assert {7} == set(statuses)


def test_a_runtime_made_in_a_thread_that_ends(handlers: Path) -> None:
    """Its zygote does not die with the thread that happened to start it (PR_SET_PDEATHSIG would)."""
    runtimes: list[Runtime] = []

    def make() -> None:
        runtime = Runtime()
        runtime.register("who", code=handlers / "gate", handler="index.whoami")
        runtime.invoke("who")
        runtimes.append(runtime)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    with runtimes[0] as runtime:
        first = runtime.invoke("who")

        assert not first.cold_start


def test_in_a_loop(run: Callable, handlers: Path) -> None:
    """Fifty tasks at a time, small events and large ones; the loop keeps turning meanwhile."""

    async def main() -> tuple[list[bool], int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def call(number: int) -> bool:
            event = bytes([number]) * (number * 20_000)
            return event == (await runtime.invoke("echo", event)).payload

        async with AsyncRuntime() as runtime:
            await runtime.register("echo", code=handlers / "gate", handler="index.echo")
            counting = asyncio.create_task(count())
            right = await asyncio.gather(*map(call, range(50)))
            counting.cancel()
            return right, turns

    right, turns = run(main())

    assert [True] * 50 == right
    assert turns > 50


def test_ends_of_every_kind_in_a_loop(run: Callable, handlers: Path, gate: Gate) -> None:
    """A timeout, a crash and a good answer, at the same time."""

    async def main() -> list[type]:
        async with AsyncRuntime() as runtime:
            await runtime.register("forever", code=handlers / "gate", handler="index.forever")
            await runtime.register("leave", code=handlers / "gate", handler="index.leave")
            await runtime.register("echo", code=handlers / "gate", handler="index.echo")
            results = await asyncio.gather(
                runtime.invoke("forever", gate.event(), timeout=0.2, check=False),
                runtime.invoke("leave", check=False),
                runtime.invoke("echo", b"fine", check=False),
            )
            return [type(result.outcome).__name__ for result in results]

    assert [TimedOut.__name__, Crashed.__name__, "Returned"] == run(main())


def test_a_deadline_that_is_nearly_over_at_once(run: Callable, handlers: Path, gate: Gate) -> None:
    """There is nothing left to sleep: no loop makes more of that than it is."""

    async def main() -> type:
        async with AsyncRuntime() as runtime:
            await runtime.register("forever", code=handlers / "gate", handler="index.forever")
            await runtime.warm("forever")
            result = await runtime.invoke("forever", gate.event(), timeout=0.0002, check=False)
            return type(result.outcome)

    assert TimedOut is run(main())


def test_beside_the_loops_own_children(run: Callable, handlers: Path) -> None:
    """asyncio's subprocesses get their statuses, the runtime its own."""

    async def main() -> list[int]:
        async with AsyncRuntime() as runtime:
            await runtime.register(
                "who", code=handlers / "gate", handler="index.whoami", max_invocations=1
            )
            codes = []
            for number in range(10):
                child = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
                await runtime.invoke("who")
                codes.append(await child.wait())
            return codes

    assert list(range(10)) == run(main())


def test_two_loops_in_two_threads(handlers: Path) -> None:
    """One runtime for each loop; neither knows of the other."""
    results: dict[str, bytes] = {}

    async def main(name: str) -> None:
        async with AsyncRuntime() as runtime:
            await runtime.register("echo", code=handlers / "gate", handler="index.echo")
            for _ in range(20):
                results[name] = (await runtime.invoke("echo", name)).payload

    threads = [
        threading.Thread(target=lambda name=name: asyncio.run(main(name))) for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {"a": b"a", "b": b"b"} == results


def test_one_runtime_for_loops_one_after_the_other(handlers: Path) -> None:
    """An AsyncRuntime is not bound to the loop that it was made in."""
    runtime = AsyncRuntime()

    async def call() -> str:
        return (await runtime.invoke("who")).text

    asyncio.run(runtime.register("who", code=handlers / "gate", handler="index.whoami"))
    pids = {asyncio.run(call()) for _ in range(3)}
    asyncio.run(runtime.close())

    assert 1 == len(pids)


def test_two_runtimes_side_by_side(handlers: Path, gate: Gate) -> None:
    """Same names, different worlds: closing one, and killing its handlers, is not the other's."""
    with Runtime() as one, Runtime() as other:
        for runtime in (one, other):
            runtime.register("gated", code=handlers / "gate", timeout=30.0)
        doomed = one.submit("gated", gate.event("one"), check=False)
        gate.entered()
        running = other.submit("gated", gate.event("other"))
        gate.entered()
        one.close(drain=0.0)

        assert Crashed is type(doomed.result().outcome)
        assert not running.done()

        gate.let()
        assert "other" == running.result().json()["label"]


# -- signals and children of the host ------------------------------------------------------------


def test_the_hosts_signal_handlers_are_not_touched(handlers: Path) -> None:
    """Using the runtime changes no signal's disposition, no mask, and no wakeup descriptor."""

    def dispositions() -> list[Any]:
        return [
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            *(signal.getsignal(number) for number in signal.valid_signals()),
        ]

    before = dispositions()
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_invocations=1)
        for _ in range(3):
            runtime.invoke("who")

        assert before == dispositions()
    assert before == dispositions()


def test_the_hosts_signal_set_up_does_not_reach_the_handler(
    tmp_path: Path, program: Callable[..., Program]
) -> None:
    """A host that ignores SIGINT and blocks SIGUSR1: a handler sees the usual dispositions."""
    (tmp_path / "index.py").write_text(
        "import signal\n"
        "def handler(event, context):\n"
        "    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()\n"
        "    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL\n"
        "    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "    return signal.getsignal(signal.SIGINT).__name__\n"
    )
    host = program(
        f"""
import signal
from fc_runtime import Runtime
for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1, signal.SIGCHLD}})
with Runtime() as runtime:
    runtime.register("f", code={str(tmp_path)!r})
    print(runtime.invoke("f").text)
"""
    )

    assert (0, "default_int_handler\n", "") == host.finish()


SIGCHLD_PROGRAM = """
import os, signal, subprocess, sys
from fc_runtime import Runtime

deaths = []
SETTING

def own_child(code):
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return pid

with Runtime() as runtime:
    runtime.register("who", code=HANDLERS + "/gate", handler="index.whoami", max_invocations=1,
                     idle_timeout=0.1)
    for number in range(5):
        pid = own_child(number)
        runtime.invoke("who")
        CHECK
    print("served", flush=True)
print("closed", flush=True)
print(subprocess.run(["sh", "-c", "exit 5"]).returncode)
"""


def test_a_host_with_a_sigchld_handler_of_its_own(program: Callable[..., Program]) -> None:
    """Its handler stays, hears of its children, and waitpid gives their statuses."""
    host = program(
        SIGCHLD_PROGRAM.replace(
            "SETTING", "signal.signal(signal.SIGCHLD, lambda *_: deaths.append(1))"
        ).replace(
            "CHECK",
            "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == number; assert deaths",
        )
    )

    assert (0, "served\nclosed\n5\n", "") == host.finish()


def test_a_host_that_ignores_sigchld(program: Callable[..., Program]) -> None:
    """The kernel reaps all its children, ours too: nothing hangs, nothing is printed."""
    host = program(
        SIGCHLD_PROGRAM.replace("SETTING", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)").replace(
            "CHECK", "pass"
        )
    )
    code, out, err = host.finish()

    assert (0, "") == (code, err)
    assert out.startswith("served\nclosed\n")  # subprocess itself cannot tell the status then


def test_a_host_that_waits_for_anybody(program: Callable[..., Program]) -> None:
    """A host whose SIGCHLD handler reaps whoever has died takes our zygote too; we do not mind."""
    host = program(
        SIGCHLD_PROGRAM.replace(
            "SETTING",
            """
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            deaths.append(1)
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)""",
        ).replace("CHECK", "pass")
    )
    code, out, err = host.finish()

    assert (0, "") == (code, err)
    assert out.startswith("served\nclosed\n")


def test_children_of_the_host_inherit_no_descriptor_of_ours(handlers: Path) -> None:
    """What the host starts while the runtime is at work sees the host's descriptors only."""
    list_them = [sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"]
    without = subprocess.run(list_them, capture_output=True, check=True, close_fds=False).stdout
    with Runtime() as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami", max_instances=3)
        runtime.warm("who", 3)
        inherited = subprocess.run(list_them, capture_output=True, check=True, close_fds=False)

    assert without == inherited.stdout


def test_handlers_inherit_no_descriptor_of_the_host(
    runtime_folder: Path,
) -> None:
    """Not even one that the host has made inheritable."""
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    secret = str(Path(f"/proc/self/fd/{writable}").readlink())
    try:
        with Runtime() as runtime:
            runtime.register("fds", code=runtime_folder)
            seen = runtime.invoke("fds").text
    finally:
        os.close(readable)
        os.close(writable)

    assert "pipe:" in seen  # its own
    assert secret not in seen
    assert "socket:" not in seen


@pytest.fixture
def runtime_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "fds"
    folder.mkdir()
    (folder / "index.py").write_text(
        "import os\n"
        "def handler(event, context):\n"
        "    found = []\n"
        "    for fd in os.listdir('/proc/self/fd'):\n"
        "        try:\n"
        "            found.append(os.readlink(f'/proc/self/fd/{fd}'))\n"
        "        except OSError:\n"
        "            pass\n"
        "    return '\\n'.join(found)\n"
    )
    return folder


@pytest.mark.parametrize("closed", ["before", "after"])
def test_a_daemonic_host_process(
    program: Callable[..., Program], tmp_path: Path, closed: str
) -> None:
    """A host in a session of its own, with stdin, stdout and stderr closed, not redirected."""
    told = tmp_path / "told"
    host = program(
        f"""
import os
from fc_runtime import Runtime
os.setsid()
if {closed!r} == "before":
    os.closerange(0, 3)
with Runtime() as runtime:
    if {closed!r} == "after":
        os.closerange(0, 3)
    runtime.register("echo", code=HANDLERS + "/gate", handler="index.echo")
    answers = [runtime.invoke("echo", b"x" * 100_000).payload for _ in range(3)]
    open({str(told)!r}, "w").write(str([len(answer) for answer in answers]))
"""
    )
    host.process.wait(10)

    assert "[100000, 100000, 100000]" == told.read_text()
    until(lambda: not host.survivors())


BARE: Final = sys._base_executable  # type: ignore[attr-defined]
HOMES: Final = [
    str(Path(str(module.__file__)).parent.parent) for module in (fc_runtime, fc_worker, msgpack)
]


@pytest.mark.skipif(sys.executable == BARE, reason="this is not a virtual environment")
@pytest.mark.parametrize("preload", [(), ("starts_a_thread",)], ids=["forked", "execd"])
def test_what_it_is_made_of_is_on_a_path_of_the_hosts_own(
    handlers: Path, preload: tuple[str, ...]
) -> None:
    """Where the host finds msgpack, say by PYTHONPATH, zygotes and exec'd instances find it."""
    code = f"""
import sys
sys.path += {HOMES!r}
from fc_runtime import Runtime
with Runtime() as runtime:
    runtime.register("p", code={str(handlers / "noisy_thread")!r}, preload={preload!r})
    print(runtime.invoke("p").ok)
"""
    ended = subprocess.run([BARE, "-c", code], capture_output=True, text=True, check=False)

    assert ("True\n", "", 0) == (ended.stdout, ended.stderr, ended.returncode)


@pytest.mark.parametrize(
    ("executable", "reason"),
    [("/bin/false", "/bin/false exited with code 1"), ("/no/such", "No such file")],
)
def test_an_interpreter_that_is_none_is_told(
    handlers: Path, monkeypatch: pytest.MonkeyPatch, executable: str, reason: str
) -> None:
    """A program that embeds Python may have set ``sys.executable`` to anything."""
    monkeypatch.setattr(sys, "executable", executable)
    with Runtime() as runtime:
        runtime.register("echo", code=handlers / "gate", handler="index.echo")

        with pytest.raises(OverloadedError, match=reason):
            runtime.invoke("echo")


@pytest.mark.parametrize("executable", [None, ""])
def test_no_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch, executable: str | None) -> None:
    """At once: there is nothing that instances could be made by."""
    monkeypatch.setattr(sys, "executable", executable)

    with pytest.raises(InvalidFunctionError, match=r"sys\.executable="):
        Runtime()


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ``sys.executable`` is the program itself."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/program")

    with pytest.raises(InvalidFunctionError, match=r"sys\.executable="):
        Runtime()


def test_a_log_that_fails(handlers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors are shown as a thread's are; no call and no bookkeeping fails of them."""
    shown: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: shown.append(told.exc_type))

    class Failing:
        def debug(self, event: str, **fields: object) -> None:
            raise LookupError(event)

        info = warning = debug

    with Runtime(log=Failing()) as runtime:
        runtime.register("gate", code=handlers / "gate", handler="index.leave", timeout=20.0)
        for _ in range(3):
            assert isinstance(runtime.invoke("gate", check=False).outcome, Crashed)
        until(lambda: runtime.stats()["functions"]["gate"]["serving"] == 0)

    assert {LookupError} == set(shown)
