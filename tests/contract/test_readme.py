"""What the README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fc_runtime import Runtime
from support.sealed import REFUSED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_library_example_runs(name: str) -> None:
    """The first Python of both READMEs runs as it stands, in the root of a clone."""
    program = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)[0]
    program += '\n    assert result.json() == 2 or result.text == "2", result\n'

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "JSONDecodeError" in done.stdout


@pytest.mark.skipif(REFUSED is not None, reason=f"nobody can be strict here: {REFUSED}")
@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_strict_function_can_be_registered(name: str) -> None:
    """It is a call that there is, with options that there are."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    (call,) = [program for program in found if 'sandbox="strict"' in program]
    with Runtime() as runtime:
        exec(call.replace("their/code", str(ROOT / "examples/json_event")), {"runtime": runtime})

        assert "1" == runtime.invoke("theirs", b'{"key": "1"}').text


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_command_line_example_prints_what_the_readme_says(name: str) -> None:
    """The command and its output, as they stand."""
    text = (ROOT / name).read_text()
    (command, printed) = re.findall(r"\$ fc-runtime (invoke .*)\n(.*)\n", text)[0]

    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m fc_runtime {command}"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == printed


def test_the_readmes_say_the_same() -> None:
    """Both have the same code, the same table of outcomes, and the same links."""
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))

    for pattern in (r"`[A-Z]\w+Error`", r"\]\((docs/[^)]*)\)", r"^\$ \S+ \S+", r"`[a-z_]+=[^`]*`"):
        assert set(re.findall(pattern, english, re.MULTILINE)) == set(
            re.findall(pattern, chinese, re.MULTILINE)
        )
