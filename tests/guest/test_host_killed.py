"""kill -9 of the host: one second later nothing of ours is left, whatever handlers had started."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stage import Gate, Program, marked, until
from support.tiers import AVAILABLE

GONE_WITHIN_S = 1.0

HOST = """
import os, threading
from fc_runtime import Runtime

runtime = Runtime()
runtime.register("family", code=HANDLERS + "/family", timeout=60.0, max_instances=5,
                 environment={"LD_TEST_MARK": MARK})
runtime.register("idle", code=HANDLERS + "/gate", handler="index.whoami",
                 environment={"LD_TEST_MARK": MARK})
runtime.warm("idle", 2)
runtime.warm("family")  # behind Python's back nobody can fork in the middle of a zygote's start
EVENT = EVENT_OF_THE_GATE
CALLS
print("up", flush=True)
BEFORE
threading.Event().wait()
"""


def host_of(
    program: Callable[..., Program], gate: Gate, *, calls: int = 1, before: str = ""
) -> Program:
    """A host with *calls* invocations in flight, each with children, grandchildren, daemons."""
    host = program(
        HOST.replace("EVENT_OF_THE_GATE", repr(gate.event()))
        .replace("CALLS", f"for _ in range({calls}): runtime.submit('family', EVENT)")
        .replace("BEFORE", before)
    )
    for _ in range(calls):
        gate.entered()
    assert "up" == host.line()
    # A zygote, an instance, and its family of four for each call; and the idle ones.
    until(lambda: len(host.survivors()) >= 3 + 1 + 5 * calls, what="all of them")
    return host


def left_after_a_second(host: Program) -> list[int]:
    """Who is still there a second after the host was killed; not waited for longer than needed."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while host.survivors() and time.monotonic() < deadline:
        time.sleep(0.02)
    return host.survivors()


def test_nothing_is_left(program: Callable[..., Program], gate: Gate) -> None:
    """Idle and busy instances, zygotes, children, grandchildren, setsid daemons: all gone."""
    host = host_of(program, gate)
    host.signal(signal.SIGKILL)
    host.process.wait()

    assert [] == left_after_a_second(host)


def cgroups_of(host: Program) -> list[str]:
    return [
        f"{above}/{name}"
        for above, folders, _ in os.walk("/sys/fs/cgroup")
        for name in folders
        if name.startswith(f"fc-runtime-{host.pid}-")
    ]


def test_no_cgroup_is_left(program: Callable[..., Program], gate: Gate) -> None:
    """Neither those of instances, nor the one that was made ahead, nor the runtime's own."""
    host = host_of(program, gate)
    if AVAILABLE[0].startswith("cgroup"):
        assert cgroups_of(host)
    host.signal(signal.SIGKILL)
    host.process.wait()

    until(lambda: not cgroups_of(host), what="their removal")


def test_nothing_is_left_of_many_calls(program: Callable[..., Program], gate: Gate) -> None:
    """Five calls in flight, thirty processes: still within the second."""
    host = host_of(program, gate, calls=5)
    host.signal(signal.SIGKILL)
    host.process.wait()

    assert [] == left_after_a_second(host)


def test_nothing_is_left_although_a_forked_child_lives(
    program: Callable[..., Program], gate: Gate
) -> None:
    """A forked child of the host lives on: that must not keep anything of ours alive."""
    host = host_of(
        program,
        gate,
        before="""
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
    threading.Event().wait()
""",
    )
    _, child = host.line().split()
    host.signal(signal.SIGKILL)
    host.process.wait()
    try:
        assert [] == left_after_a_second(host)
        os.kill(int(child), 0)  # it does live
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_nothing_is_left_although_a_child_holds_copies_of_our_sockets(
    program: Callable[..., Program], gate: Gate
) -> None:
    """A child forked behind Python's back has every descriptor of ours: the pidfd tells anyway."""
    host = host_of(
        program,
        gate,
        before="""
import ctypes
libc = ctypes.PyDLL(None)  # keeps the GIL: the child has it, too
if libc.fork() == 0:
    print("child", os.getpid(), flush=True)
    libc.pause()
""",
    )
    _, child = host.line().split()
    host.signal(signal.SIGKILL)
    host.process.wait()
    try:
        assert [] == left_after_a_second(host)
        os.kill(int(child), 0)
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_nothing_is_left_of_a_start(program: Callable[..., Program], tmp_path: Path) -> None:
    """Killed while instances and a zygote are being started, over and over."""
    for delay_ms in (0, 20, 40, 60, 90):
        host = program(
            """
import sys, time, threading
from fc_runtime import Runtime
runtime = Runtime()
for number in range(3):
    runtime.register(f"f{number}", code=HANDLERS + "/gate", handler="index.whoami",
                     min_instances=2, environment={"LD_TEST_MARK": MARK})
print("up", flush=True)
threading.Event().wait()
"""
        )
        assert "up" == host.line()
        time.sleep(delay_ms / 1000)  # no event to wait for: any moment of a start will do
        host.signal(signal.SIGKILL)
        host.process.wait()

        assert [] == left_after_a_second(host)


def test_nothing_is_left_of_a_hanging_start(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    """Killed while a handler's import hangs."""
    births = tmp_path / "births"
    host = program(
        f"""
import threading
from fc_runtime import Runtime
runtime = Runtime()
runtime.register("f", code=HANDLERS + "/births", min_instances=1, initialization_timeout=60.0,
                 environment={{"LD_TEST_MARK": MARK, "BIRTHS": {str(births)!r}, "AT_IMPORT": "hang"}})
print("up", flush=True)
threading.Event().wait()
"""
    )
    until(lambda: births.exists() and "hanging" in births.read_text())
    host.signal(signal.SIGKILL)
    host.process.wait()

    assert [] == left_after_a_second(host)


@pytest.mark.parametrize("module", ["endless_sleep", "endless_loop"])
def test_nothing_is_left_of_a_hanging_preload(
    program: Callable[..., Program], tmp_path: Path, module: str
) -> None:
    """Killed while its zygote is still busy with a preload that does not end."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text("def handler(event, context): pass\n")
    touch = f"open({str(tmp_path / 'begun')!r}, 'w').close()\n"
    (code / "endless_sleep.py").write_text(touch + "import time\ntime.sleep(3600)\n")
    (code / "endless_loop.py").write_text(touch + "while True: pass\n")
    host = program(
        f"""
import threading
from fc_runtime import Runtime
runtime = Runtime()
runtime.register("f", code={str(code)!r}, min_instances=1, preload=[{module!r}],
                 environment={{"LD_TEST_MARK": MARK}})
print("up", flush=True)
threading.Event().wait()
"""
    )
    until((tmp_path / "begun").exists)
    host.signal(signal.SIGKILL)
    host.process.wait()

    assert [] == left_after_a_second(host)


def test_sigterm_is_as_good(program: Callable[..., Program], gate: Gate) -> None:
    """SIGTERM with Python's default disposition ends the host at once: the same holds."""
    host = host_of(program, gate)
    host.signal(signal.SIGTERM)
    host.process.wait()

    assert -signal.SIGTERM == host.process.returncode
    assert [] == left_after_a_second(host)
    assert [] == marked(host.mark)
