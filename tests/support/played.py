"""
A document, played: its fenced examples in the order they stand, as a reader would type them.

    ```console   `$ command`, then what it prints. `fc-runtime serve … &` is a daemon on a free port,
                 which the examples that follow reach by the port they name; `kill %1` ends it
    ```python    a program that prints what stands behind `print(…)  # `; or, if its first line is
    ```yaml      `# a/file.name`, the content of that file

The reader is in an empty folder, in which `examples` is that of a clone.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from support.serving import LONG_S, Served, environment

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(console|python|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.\w+)\n")
_TOLD = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
_SHOWN_PORT = "9000"


class Block(NamedTuple):
    kind: str
    text: str


def blocks(document: Path, section: str = "") -> list[Block]:
    """Of the whole *document*, or of what is under the heading *section* and its own headings."""
    text = document.read_text(encoding="utf-8")
    if section:
        text = _section(text.splitlines(keepends=True), section)
    return [Block(*found) for found in _BLOCK.findall(text)]


def _section(lines: list[str], heading: str) -> str:
    """From below *heading* to the next of its level, or above it."""
    level = heading.index(" ")
    found: list[str] = []
    inside = fenced = False
    for line in lines:
        fenced ^= line.startswith("```")
        marks = len(line) - len(line.lstrip("#"))
        if not fenced and 0 < marks <= level:
            inside = line.strip() == heading
        elif inside:
            found.append(line)
    assert found, f"there is no {heading!r}"
    return "".join(found)


class Reader:
    """Leaving it ends the daemon that an example left running."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home
        self._daemon: Served | None = None
        (folder / "examples").symlink_to(ROOT / "examples")

    def play(self, block: Block) -> None:
        file = _FILE.match(block.text)
        if block.kind == "console":
            self._console(block.text)
        elif file is not None:
            path = self._folder / file.group(1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            assert block.kind == "python", block
            self._python(block.text)

    def _console(self, text: str) -> None:
        for typed in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = typed.partition("\n")
            command = command.split("  #")[0].strip()
            if command == "kill %1":
                self._stop()
            elif command.startswith("pip install "):
                continue  # what is installed is what is tested
            elif " serve " in command and command.endswith("&"):
                self._serve(command.removesuffix("&"), shown.strip())
            else:
                self._shell(command, shown)

    def _serve(self, command: str, shown: str) -> None:
        assert self._daemon is None, f"one is still running: {command}"
        words = shlex.split(command)
        at = words.index("fc-runtime")
        more = dict(word.split("=", 1) for word in words[:at])
        assert words[at + 1] == "serve"
        self._daemon = Served(self._home, *words[at + 2 :], cwd=self._folder, **more)
        assert shown == self._daemon.url.replace(self._port, _SHOWN_PORT)

    def _shell(self, command: str, shown: str) -> None:
        typed = command.replace("fc-runtime", f"{sys.executable} -m fc_runtime")
        done = self._run(["sh", "-c", self._here(typed)])
        assert shown.strip() == done.stdout.strip(), done.stderr

    def _python(self, text: str) -> None:
        done = self._run([sys.executable, "-c", self._here(text)])
        assert _TOLD.findall(text) == done.stdout.splitlines(), done.stderr

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=environment(self._home),
            capture_output=True,
            text=True,
            timeout=LONG_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    @property
    def _port(self) -> str:
        return "" if self._daemon is None else self._daemon.url.rpartition(":")[2]

    def _here(self, text: str) -> str:
        """*text*, with the port that the daemon really has."""
        if self._daemon is None:
            return text
        hosts = r"127\.0\.0\.1|\w\.localhost"
        return re.sub(rf"({hosts}):{_SHOWN_PORT}\b", rf"\1:{self._port}", text)

    def _stop(self) -> None:
        assert self._daemon is not None
        daemon, self._daemon = self._daemon, None
        with daemon:
            assert daemon.stop() == 0, daemon.errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._daemon is not None:
            self._daemon.__exit__(kind, error, traceback)
