"""
What tests of processes stand on: gates that handlers wait at, a log to wait for, programs to kill.

Everything here waits on an event (a fifo, a condition, a pidfd). `until` polls, with a deadline,
where the kernel has no event to offer: for other people's processes, mostly.
"""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.processes import pid_of

WITHIN_S = 10.0  # nothing here takes so long; a test that waits for it has failed
TESTS = Path(__file__).parent.parent


def until(condition: Callable[[], Any], within_s: float = WITHIN_S, *, what: str = "") -> Any:
    """The first true value of *condition*; AssertionError if there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.005)
    return value


async def until_in_loop(condition: Callable[[], Any], within_s: float = WITHIN_S) -> None:
    """As `until`, letting the loop turn meanwhile, and looking after each turn."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {condition}"
        await asyncio.sleep(0)


def wait_gone(pid: int, within_s: float = WITHIN_S) -> bool:
    """Has *pid*, anybody's, ended within that time? A zombie has."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(within_s * 1000))
    finally:
        os.close(pidfd)


def stop(pid: int) -> None:
    """SIGSTOP, and until the last of its threads has stopped: those that run go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: {"T"} == {_state_of(task) for task in Path(f"/proc/{pid}/task").iterdir()})


def _state_of(task: Path) -> str:
    with suppress(OSError):  # it has just ended
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    return ""


class Gate:
    """
    Where handlers of ``handlers/gate`` wait: each tells that it is there, and goes on when let.

    Two fifos that the test holds open both ways, so that nobody's ``open`` ever blocks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "entered")
        os.mkfifo(folder / "release")
        self._entered = os.open(folder / "entered", os.O_RDWR | os.O_CLOEXEC)
        self._release = os.open(folder / "release", os.O_RDWR | os.O_CLOEXEC)
        self._heard = b""

    def event(self, label: str = "-", **more: Any) -> str:
        """The event for a handler that shall wait here."""
        return json.dumps({"gate": str(self.folder), "label": label, **more})

    def entered(self, within_s: float = WITHIN_S) -> tuple[str, int]:
        """Label and pid, as we know it, of the next one that has come to the gate."""
        deadline = time.monotonic() + within_s
        poller = select.poll()
        poller.register(self._entered, select.POLLIN)
        while b"\n" not in self._heard:
            left_s = max(0.0, deadline - time.monotonic())
            assert poller.poll(left_s * 1000), "nobody came to the gate"
            self._heard += os.read(self._entered, 4096)
        line, _, self._heard = self._heard.partition(b"\n")
        label, identity = line.decode().split()
        return label, pid_of(identity)

    def is_deserted(self) -> bool:
        """Has nobody come whom `entered` has not told of?"""
        poller = select.poll()
        poller.register(self._entered, select.POLLIN)
        return not self._heard and not poller.poll(0)

    def let(self, count: int = 1) -> None:
        """Let *count* of those who wait, or will, go on."""
        os.write(self._release, b"." * count)

    def close(self) -> None:
        os.close(self._entered)
        os.close(self._release)


class Recorder:
    """A logger like structlog's that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self._note("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._note("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._note("warning", event, fields)

    def _note(self, level: str, event: str, fields: dict[str, Any]) -> None:
        with self._changed:
            self._events.append((level, event, {**fields, "at": time.monotonic()}))
            self._changed.notify_all()

    def of(self, event: str, **wanted: object) -> list[dict[str, Any]]:
        """The fields of all events of that name, with these values."""
        with self._changed:
            return self._of(event, wanted)

    def _of(self, event: str, wanted: dict[str, object]) -> list[dict[str, Any]]:
        return [
            fields
            for _, name, fields in self._events
            if name == event and all(fields.get(key) == value for key, value in wanted.items())
        ]

    def wait_for(
        self, event: str, count: int = 1, within_s: float = WITHIN_S, **wanted: object
    ) -> list[dict[str, Any]]:
        """As `of`, as soon as there are *count* of them."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._of(event, wanted)) >= count, within_s)
            assert there, f"no {count} x {event} {wanted} within {within_s:g} s: {self._events}"
            return self._of(event, wanted)

    @property
    def text(self) -> str:
        """All of it, as somebody who greps for a secret would see it."""
        with self._changed:
            return repr(self._events)


class Program:
    """
    A host program of its own: *code* run by this interpreter, with a mark to find its offspring.

    Its text has ``MARK`` and ``HANDLERS`` to use. Whoever is started for a function with
    ``environment={"LD_TEST_MARK": MARK}`` carries the mark, its zygote and daemons included.
    """

    def __init__(self, folder: Path, code: str, *arguments: str, **options: Any) -> None:
        self.mark = f"fc-test-{os.getpid()}-{time.monotonic_ns()}"
        path = folder / f"{self.mark}.py"
        path.write_text(f"MARK, HANDLERS = {self.mark!r}, {str(TESTS / 'handlers')!r}\n{code}")
        self._heard = b""
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "FC_TEST_HOST": f"host-{self.mark}"},
            **options,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, within_s: float = WITHIN_S) -> str:
        """Its next line on stdout."""
        deadline = time.monotonic() + within_s
        poller = select.poll()
        poller.register(self.process.stdout, select.POLLIN)
        while b"\n" not in self._heard:
            left_s = max(0.0, deadline - time.monotonic())
            assert poller.poll(left_s * 1000), "the program says nothing"
            data = os.read(self.process.stdout.fileno(), 4096)
            assert data, f"the program ended: {self.process.communicate()[1].decode()}"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def finish(self, within_s: float = WITHIN_S) -> tuple[int, str, str]:
        """Exit code (as subprocess has it), the rest of stdout, and stderr."""
        out, err = self.process.communicate(timeout=within_s)
        return self.process.returncode, (self._heard + out).decode(), err.decode()

    def survivors(self) -> list[int]:
        """Every process on this machine that was started for it, zombies not counted."""
        return marked(f"LD_TEST_MARK={self.mark}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pid in marked(self.mark):  # forked children of its own, too
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=WITHIN_S)


def marked(mark: str) -> list[int]:
    """Pids of all processes with *mark* in their environment, zombies not counted."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def open_descriptors() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate for handlers to wait at."""
    folder = tmp_path / "gate"
    folder.mkdir()
    made = Gate(folder)
    yield made
    made.close()


@pytest.fixture
def log() -> Recorder:
    """To be handed to ``Runtime(log=…)``."""
    return Recorder()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts host programs; none outlives the test."""
    started: list[Program] = []

    def start(code: str, *arguments: str, **options: Any) -> Program:
        started.append(Program(tmp_path, code, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()
