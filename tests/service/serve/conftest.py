"""Projects to serve: folders with a manifest and code, in an otherwise empty home."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.stage import Gate

CODE = """
import json, os

def handler(event, context):
    asked = json.loads(event or b"{}")
    if "gate" in asked:
        with open(asked["gate"] + "/entered", "w") as entered:
            entered.write(f"{asked['label']} {os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}\\n")
        with open(asked["gate"] + "/release", "rb", buffering=0) as release:
            release.read(1)
    return os.environ.get("GREETING", "hello")
"""
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
      timeout: 60
      environmentVariables: {GREETING: "from s.yaml"}
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig: {authType: anonymous, methods: [GET]}
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
      function: {name: hi, runtime: python3.9, codeUri: ./code, handler: index.handler}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Nothing is in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with ``s.yaml`` and ``code/index.py``."""

    def make(manifest: str = FC3, code: str = CODE) -> Path:
        folder = tmp_path / "project"
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "index.py").write_text(code)
        (folder / "s.yaml").write_text(manifest)
        return folder

    return make


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where the handler of `CODE` waits."""
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = Gate(folder)
    yield gate
    gate.close()
