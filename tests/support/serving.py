"""
``fc-runtime serve`` as a shell runs it: a real process in an empty home, its first line, its log.

A line of standard error is waited for as it comes, by a thread that reads it; a process by its end.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

LONG_S = 60.0  # for what takes a moment, on a machine that has none to spare
SERVE = [sys.executable, "-m", "fc_runtime", "serve"]


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", **more}


def refused(home: Path, *arguments: object, **more: str) -> tuple[int, str]:
    """Of a start that must fail: its exit code, and what it said; standard output stays empty."""
    done = subprocess.run(
        [*SERVE, *map(str, arguments)],
        env=environment(home, **more),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


class Served:
    """
    A daemon at work. ``url`` is the line that it said; leaving ends it, at once.

    Args:
        under: a command that becomes the daemon, in surroundings of its own making.
    """

    def __init__(
        self,
        home: Path,
        *arguments: object,
        cwd: Path | None = None,
        under: Sequence[str] = (),
        **more: str,
    ):
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*under, *SERVE, "--port", "0", *map(str, arguments)],
            env=environment(home, **more),
            cwd=home if cwd is None else cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a test can do what a terminal's Ctrl-C does
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.process.stdout.readline().strip()
        if not re.fullmatch(r"http://.+:\d+", self.url):
            self.process.kill()
            self._reader.join(LONG_S)
            raise AssertionError(f"said {self.url!r}, and: {self.errors}")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def errors(self) -> str:
        """All of standard error so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, within_s: float = LONG_S, *, count: int = 1) -> str:
        """The *count*-th line of standard error with *pattern* in it, once it is there."""
        until = time.monotonic() + within_s
        with self._changed:
            while True:
                found = [line for line in self._lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[count - 1]
                left = until - time.monotonic()
                assert left > 0, f"no {pattern!r} in: {''.join(self._lines)}"
                assert not self._ended, f"ended without {pattern!r}: {''.join(self._lines)}"
                self._changed.wait(left)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of the log so far."""
        with self._changed:
            told = [json.loads(line) for line in self._lines if line.startswith("{")]
        return [event for event in told if event["event"] == name]

    def invoke(self, function: str, event: bytes = b"", service: str = "") -> httpx.Response:
        path = (
            f"/2016-08-15/services/{service}/functions/{function}/invocations"
            if service
            else f"/2023-03-30/functions/{function}/invocations"
        )
        return httpx.post(self.url + path, content=event, timeout=LONG_S)

    def send_signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def interrupt_all(self) -> None:
        """Ctrl-C on a terminal: to the daemon and to all that it has started."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Its exit code."""
        code = self.process.wait(LONG_S)
        self._reader.join(LONG_S)
        return code

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.send_signal(signal.SIGINT)
            self.send_signal(signal.SIGINT)
            try:
                self.process.wait(LONG_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(LONG_S)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
