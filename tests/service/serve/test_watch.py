"""``--watch``: whoever saves a file sees it in the next reply, and no reply is lost over it."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.serving import LONG_S, Served
from support.stage import until

Make = Callable[..., Path]
VERSION = "def handler(event, context): return '{}'\n"


def save(path: Path, text: str) -> None:
    """As an editor does: another file, put in its place."""
    beside = path.with_name(f".{path.name}.new~")
    beside.write_text(text)
    beside.replace(path)


def change(served: Served, path: Path, text: str) -> str:
    """
    Save until the change is seen, and hand back the line that says so: there is no word of when the
    watch itself has begun.
    """
    before = len(served.events("function.reloaded"))

    def seen() -> bool:
        save(path, text)
        try:
            served.wait_for("function.reloaded", 1.0, count=before + 1)
        except AssertionError:
            return False
        return True

    until(seen, LONG_S, what="function.reloaded")
    return served.wait_for("function.reloaded", count=before + 1)


def test_a_change_is_served(home: Path, project: Make) -> None:
    """The log says which function and which file; the next reply is of the new code."""
    folder = project(code=VERSION.format("first"))
    with Served(home, folder, "--no-auth", "--watch") as served:
        assert served.invoke("hi").text == "first"
        line = change(served, folder / "code" / "index.py", VERSION.format("second"))

        assert served.invoke("hi").text == "second"
        assert '"function": "hi"' in line
        assert '"index.py"' in line


def test_a_broken_file(home: Path, project: Make) -> None:
    """Says so when it is called, as FC does, and is well again with the next change."""
    folder = project(code=VERSION.format("first"))
    index = folder / "code" / "index.py"
    with Served(home, folder, "--no-auth", "--watch") as served:
        change(served, index, "def handler(event, context:\n")
        broken = served.invoke("hi")
        assert broken.status_code == 200
        assert "x-fc-error-type" in broken.headers
        assert "SyntaxError" in broken.text
        change(served, index, VERSION.format("mended"))

        assert served.invoke("hi").text == "mended"


def test_no_request_is_lost(home: Path, project: Make) -> None:
    """Under constant calls, ten changes: every reply is whole, of one version or the next."""
    folder = project(code=VERSION.format(0))
    index = folder / "code" / "index.py"
    with Served(home, folder, "--no-auth", "--watch", "--no-access-log") as served:
        replies: list[list[httpx.Response]] = [[], []]
        over = threading.Event()
        url = f"{served.url}/2023-03-30/functions/hi/invocations"

        def call(into: list[httpx.Response]) -> None:
            with httpx.Client(timeout=LONG_S) as client:
                while not over.is_set():
                    into.append(client.post(url))

        callers = [threading.Thread(target=call, args=(into,)) for into in replies]
        for caller in callers:
            caller.start()
        try:
            for version in range(1, 6):
                change(served, index, VERSION.format(version))
        finally:
            last = served.invoke("hi").text
            over.set()
            for caller in callers:
                caller.join()

        assert last == "5"
        for of_one in replies:
            assert {200} == {reply.status_code for reply in of_one}
            assert not [reply for reply in of_one if "x-fc-error-type" in reply.headers]
            versions = [int(reply.text) for reply in of_one]
            assert versions == sorted(versions)


def test_the_manifest_too(home: Path, project: Make) -> None:
    """A change of s.yaml is applied."""
    folder = project()
    file = folder / "s.yaml"
    text = file.read_text()
    with Served(home, folder, "--no-auth", "--watch") as served:

        def applied() -> bool:
            save(file, text.replace("from s.yaml", "changed"))
            try:
                served.wait_for("manifest.applied", 1.0)
            except AssertionError:
                return False
            return True

        until(applied, LONG_S, what="manifest.applied")

        assert served.invoke("hi").text == "changed"


def test_a_manifest_that_is_saved_before_it_is_watched(home: Path, project: Make) -> None:
    """Whatever is saved since it was read: right after the URL was said, too."""
    folder = project()
    file = folder / "s.yaml"
    text = file.read_text()
    with Served(home, folder, "--no-auth", "--watch") as served:
        save(file, text.replace("from s.yaml", "changed"))
        served.wait_for("manifest.applied")

        assert served.invoke("hi").text == "changed"


def test_without_it(home: Path, project: Make) -> None:
    """Nothing is watched: a warm function keeps the code that it was loaded with."""
    folder = project(code=VERSION.format("first"))
    with Served(home, folder, "--no-auth") as served:
        assert served.invoke("hi").text == "first"
        save(folder / "code" / "index.py", VERSION.format("second"))

        assert served.invoke("hi").text == "first"


def remove_and_make(code: Path) -> None:
    shutil.rmtree(code)
    code.mkdir()


def put_another_in_its_place(code: Path) -> None:
    code.rename(code.with_name("old"))
    code.mkdir()


def switch_a_link(code: Path) -> None:
    if not code.is_symlink():
        code.rename(code.with_name("first"))
        code.symlink_to("first")
    other = code.with_name("second")
    other.mkdir()
    beside = code.with_name("beside")
    beside.symlink_to("second")
    beside.replace(code)


@pytest.mark.parametrize("replace", [remove_and_make, put_another_in_its_place, switch_a_link])
def test_a_folder_that_was_replaced(
    home: Path, project: Make, replace: Callable[[Path], None]
) -> None:
    """As builds do: the new folder is served, and watched from then on."""
    folder = project(code=VERSION.format("first"))
    code = folder / "code"
    with Served(home, folder, "--no-auth", "--watch") as served:
        change(served, code / "index.py", VERSION.format("seen"))  # the watch has begun
        replace(code)
        (code / "index.py").write_text(VERSION.format("replaced"))
        until(lambda: served.invoke("hi").text == "replaced", LONG_S, what="the new folder")
        change(served, code / "index.py", VERSION.format("changed"))

        assert served.invoke("hi").text == "changed"


def test_a_folder_that_comes_back(home: Path, project: Make) -> None:
    """It may be gone for a while."""
    folder = project(code=VERSION.format("first"))
    code = folder / "code"
    with Served(home, folder, "--no-auth", "--watch") as served:
        change(served, code / "index.py", VERSION.format("seen"))
        shutil.rmtree(code)
        remade = code.with_name("remade")
        remade.mkdir()
        (remade / "index.py").write_text(VERSION.format("back"))
        remade.rename(code)

        until(lambda: served.invoke("hi").text == "back", LONG_S, what="the folder")
