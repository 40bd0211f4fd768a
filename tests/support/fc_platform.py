"""Plays Function Compute to a custom runtime: starts its program, calls it, collects its output."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_S = 60.0
_URL = re.compile(rb"^(http://\S+)\n", re.MULTILINE)


class Program:
    """The program of an instance: what the platform would start as ``/code/bootstrap``."""

    def __init__(self, environ: Mapping[str, str], command: list[str] | None = None) -> None:
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "fc_runtime.service.custom"],
            env={**_inherited(), "FC_SERVER_PORT": "0", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._output = bytearray()
        self._errors = bytearray()
        self._said = threading.Condition()
        self._readers = [
            threading.Thread(target=self._collect, args=(pipe, into))
            for pipe, into in (
                (self.process.stdout, self._output),
                (self.process.stderr, self._errors),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def output(self) -> str:
        """All of standard output so far."""
        return bytes(self._output).decode()

    @property
    def errors(self) -> str:
        return bytes(self._errors).decode()

    def wait_for(self, pattern: str) -> re.Match[bytes]:
        """Until standard output has it. Fails if the program ends before."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        until = time.monotonic() + STARTS_WITHIN_S
        with self._said:
            while True:
                found = expression.search(self._output)
                if found:
                    return found
                assert self.process.poll() is None, f"it has ended: {self.output}{self.errors}"
                assert time.monotonic() < until, f"no {pattern!r} in: {self.output}{self.errors}"
                self._said.wait(1.0)

    def says(self, text: str) -> bool:
        """Does standard output have it, by now or soon? What fails otherwise shows all of it."""
        return bool(self.wait_for(re.escape(text)))

    def url(self) -> str:
        """Where it listens, as the caller on this machine sees it."""
        told = self.wait_for(r"^http://\S+$").group().decode()
        return told.replace("0.0.0.0", "127.0.0.1")

    def stop(self, within_s: float = 60.0) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.ended(within_s)

    def ended(self, within_s: float = 60.0) -> int:
        try:
            return self.process.wait(within_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for reader in self._readers:
                reader.join()
            for pipe in (self.process.stdout, self.process.stderr):
                pipe.close()

    def _collect(self, pipe, into: bytearray) -> None:
        while data := os.read(pipe.fileno(), 65536):
            with self._said:
                into += data
                self._said.notify_all()


class Platform:
    """Calls it as FC does: with its headers, over kept connections."""

    def __init__(self, program: Program, headers: Mapping[str, str] | None = None) -> None:
        self.program = program
        self.client = httpx.Client(base_url=program.url(), timeout=60.0)
        self.headers = dict(headers or {})

    def invoke(self, event: bytes = b"", **headers: str) -> httpx.Response:
        """``x_fc_request_id="…"`` is the header of that name."""
        return self.client.post("/invoke", content=event, headers=self._with(headers))

    def initialize(self, **headers: str) -> httpx.Response:
        return self.client.post("/initialize", headers=self._with(headers))

    def pre_stop(self, **headers: str) -> httpx.Response:
        return self.client.get("/pre-stop", headers=self._with(headers))

    def pass_through(self, method: str, target: str, content: bytes = b"", **headers: str):
        """The request of an HTTP trigger."""
        told = self._with({"x_fc_control_path": "/http-invoke", **headers})
        return self.client.request(method, target, content=content, headers=told)

    def _with(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            **self.headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }


@contextmanager
def platform(
    environ: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Iterator[Platform]:
    """An instance, from start to SIGTERM."""
    program = Program(environ)
    try:
        player = Platform(program, headers)
        with player.client:
            yield player
    finally:
        program.stop()


def wait_until_readable(fd: int, within_s: float) -> bool:
    return bool(select.select([fd], [], [], within_s)[0])


def _inherited() -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "HOME", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "worker")]),
    }
