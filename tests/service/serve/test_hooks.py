"""Hooks of an instance's life (spec 3), from wherever a function comes: manifests, the APIs."""

import base64
import io
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.serving import Served

Make = Callable[..., Path]
CODE = """
import os

def said(text):
    who = f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}"
    with open(os.environ["DIARY"], "a") as diary:
        diary.write(f"{who} {text}\\n")

def handler(event, context):
    said("handler")
    return "well"

def initialize(context):
    said("initializer")

def freeze(context):
    said("pre-freeze")

def stop(context):
    said("pre-stop")
"""
HOOKS = {
    "preFreeze": {"handler": "index.freeze", "timeout": 10},
    "preStop": {"handler": "index.stop", "timeout": 10},
}
HANG = """
def hang(context):
    with open(os.environ["GATE"], "w") as gate:
        gate.write("in")
    import signal
    signal.pause()
"""
WHOLE_LIFE = ["initializer", "handler", "pre-freeze", "pre-stop"]


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """Where the function of `CODE` writes what it does."""
    return tmp_path / "diary"


def packed() -> str:
    """`CODE` as base64 of a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", CODE)
    return base64.b64encode(file.getvalue()).decode()


def life_of(served: Served, diary: Path, service: str = "") -> list[str]:
    """
    What the instance has done that was called, one after the other, once the daemon has ended. A
    spare one may have been up beside it.
    """
    with served:
        answer = served.invoke("hi", service=service)
        assert (200, b"well") == (answer.status_code, answer.content), served.errors
        assert 0 == served.stop()
    told = [line.split() for line in diary.read_text().splitlines()]
    (called,) = [who for who, what in told if what == "handler"]
    return [what for who, what in told if who == called]


def manifest(diary: Path, text: str) -> str:
    return text.replace("DIARY", json.dumps({"DIARY": str(diary)})).replace(
        "HOOKS", json.dumps(HOOKS)
    )


FC3 = """\
edition: 3.0.0
name: demo
resources:
  hi:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: hi
      runtime: python3.10
      code: ./code
      handler: index.handler
      environmentVariables: DIARY
      instanceLifecycleConfig:
        initializer: {handler: index.initialize, timeout: 10}
        preFreeze: {handler: index.freeze, timeout: 10}
        preStop: {handler: index.stop, timeout: 10}
"""
FC2 = """\
edition: 1.0.0
name: demo
services:
  hi:
    component: fc
    props:
      region: cn-hangzhou
      service: {name: demo}
      function:
        name: hi
        runtime: python3.9
        codeUri: ./code
        handler: index.handler
        initializer: index.initialize
        initializationTimeout: 10
        environmentVariables: DIARY
        instanceLifecycleConfig: HOOKS
"""


@pytest.mark.parametrize(("text", "service"), [(FC3, ""), (FC2, "demo")], ids=["fc3", "fc2"])
def test_of_a_manifest(home: Path, project: Make, diary: Path, text: str, service: str) -> None:
    """All that ``s.yaml`` names are called, in order, the last when the daemon ends."""
    folder = project(manifest(diary, text), CODE)

    assert WHOLE_LIFE == life_of(Served(home, folder, "--no-auth"), diary, service)


def test_of_the_api_of_fc3(home: Path, diary: Path) -> None:
    """``instanceLifecycleConfig`` of CreateFunction."""
    served = Served(home, "--no-auth")
    made = httpx.post(
        f"{served.url}/2023-03-30/functions",
        json={
            "functionName": "hi",
            "runtime": "python3.10",
            "handler": "index.handler",
            "code": {"zipFile": packed()},
            "environmentVariables": {"DIARY": str(diary)},
            "instanceLifecycleConfig": {
                "initializer": {"handler": "index.initialize", "timeout": 10},
                **HOOKS,
            },
        },
    )

    assert 200 == made.status_code, made.text
    assert WHOLE_LIFE == life_of(served, diary)


@pytest.mark.parametrize("version", ["2016-08-15", "2021-04-06"])
def test_of_the_api_of_fc2(home: Path, diary: Path, version: str) -> None:
    """``initializer`` and ``instanceLifecycleConfig`` of CreateFunction."""
    served = Served(home, "--no-auth")
    api = f"{served.url}/{version}/services"
    httpx.post(api, json={"serviceName": "demo"}).raise_for_status()
    made = httpx.post(
        f"{api}/demo/functions",
        json={
            "functionName": "hi",
            "runtime": "python3.9",
            "handler": "index.handler",
            "initializer": "index.initialize",
            "initializationTimeout": 10,
            "code": {"zipFile": packed()},
            "environmentVariables": {"DIARY": str(diary)},
            "instanceLifecycleConfig": HOOKS,
        },
    )

    assert 200 == made.status_code, made.text
    assert WHOLE_LIFE == life_of(served, diary, "demo")


def test_a_hook_that_hangs(home: Path, project: Make, diary: Path, tmp_path: Path) -> None:
    """A second Ctrl-C does not wait for it."""
    text = FC3.replace("index.stop, timeout: 10", "index.hang, timeout: 90")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    text = text.replace(
        "environmentVariables: DIARY", f"environmentVariables: {{GATE: {gate}, DIARY: {diary}}}"
    )
    folder = project(text, CODE + HANG)
    with Served(home, folder, "--no-auth", "--grace", "90") as served:
        assert 200 == served.invoke("hi").status_code
        served.send_signal(signal.SIGINT)
        assert "in" == gate.read_text()
        served.send_signal(signal.SIGINT)

        assert 130 == served.wait()
