"""What is found and compiled before a fork is used only while it is still what would be found."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import psutil
import pytest
from fc_worker import ahead, own_imports
from fc_worker.load import Loader, LoadError

FIRST = "def h(event, context): return 'first'\n"
OTHER = "def h(event, context): return 'other'\n"


@pytest.fixture(autouse=True)
def clean_interpreter() -> Iterator[None]:
    """What a test imports ends with it."""
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A code directory with one module."""
    (tmp_path / "index.py").write_text(FIRST)
    return tmp_path


def looked_ahead(code: Path, handler: str = "index.h") -> Loader:
    loader = Loader(str(code))
    loader.look_ahead(handler, [str(code)], [], time.monotonic() + ahead.WITHIN_S)
    return loader


def refuse(*_: object) -> None:
    raise AssertionError("it was to be done already")


def test_nothing_is_searched_or_compiled_again(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is left to an instance is to run it."""
    loader = looked_ahead(code)
    monkeypatch.setattr(SourceFileLoader, "get_code", refuse)
    ways = [getattr(SourceFileLoader, way) for way in own_imports._WAYS]
    monkeypatch.setattr(own_imports, "_OWN_WAYS", ways)
    monkeypatch.setattr(Loader, "_find", refuse)

    assert loader.load("index.h")(b"", None) == "first"


def test_nothing_of_it_runs(code: Path) -> None:
    """It is the instance's: neither this process nor its child runs a line."""
    (code / "index.py").write_text(f"open({str(code / 'trace')!r}, 'w').close()\n" + FIRST)

    looked_ahead(code)

    assert not (code / "trace").exists()
    assert "index" not in sys.modules


def test_no_bytecode_is_written(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a process that writes it: a function's code folder is not ours to write to."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    looked_ahead(code)

    assert [code / "index.py"] == list(code.iterdir())


def rewrite_in_place(code: Path) -> None:
    path = code / "index.py"
    before = path.stat()
    path.write_text(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # and it is of the same size


def put_another_in_its_place(code: Path) -> None:
    other = code / "other.py"
    other.write_text(OTHER)
    other.rename(code / "index.py")


def put_a_package_before_it(code: Path) -> None:
    (code / "index").mkdir()
    (code / "index" / "__init__.py").write_text(OTHER)


@pytest.mark.parametrize(
    "change", [rewrite_in_place, put_another_in_its_place, put_a_package_before_it]
)
def test_what_has_changed_is_found_anew(code: Path, change: Callable[[Path], None]) -> None:
    """An instance gets what is there when it starts."""
    loader = looked_ahead(code)

    change(code)

    assert loader.load("index.h")(b"", None) == "other"


def test_what_is_gone_is_missed(code: Path) -> None:
    """With the error of a handler that never was there."""
    loader = looked_ahead(code)

    (code / "index.py").unlink()

    with pytest.raises(LoadError) as caught:
        loader.load("index.h")
    assert caught.value.error_type == "ImportModuleError"


@pytest.mark.parametrize("handler", ["index", "missing.h", "../index.h", ".h", "index\0.h"])
def test_what_is_not_there_is_left_to_the_instance(code: Path, handler: str) -> None:
    """It says what is wrong, as without."""
    loader = looked_ahead(code, handler)

    assert {} == loader._ahead


@pytest.mark.parametrize(
    "work",
    [
        lambda *_: os.kill(os.getpid(), signal.SIGKILL),
        lambda *_: os._exit(3),
        lambda *_: signal.pause(),
        lambda *_: refuse(),
        lambda *_: "no code",
    ],
    ids=["crashes", "exits", "hangs", "raises", "is no code"],
)
def test_a_compiler_that_fails_takes_nobody_along(
    code: Path, work: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a child's, which is ended; the instance tries for itself. No child is left."""
    monkeypatch.setattr(ahead, "WITHIN_S", 0.3)
    children = psutil.Process().children()
    with monkeypatch.context() as broken:
        broken.setattr(SourceFileLoader, "get_code", work)
        loader = looked_ahead(code)

    assert {} == loader._ahead
    assert loader.load("index.h")(b"", None) == "first"
    assert children == psutil.Process().children()


def test_children_that_were_there_are_left_alone(code: Path) -> None:
    """Only who compiles is ended."""
    with subprocess.Popen(["sleep", "60"]) as other:
        looked_ahead(code)

        assert other.poll() is None
        other.kill()


def test_a_text_that_is_too_large_is_left_to_the_instance(code: Path) -> None:
    """A zygote has no limit of memory; an instance has."""
    with (code / "index.py").open("a") as file:
        file.write("#" * ahead.MOST_BYTES)

    loader = looked_ahead(code)

    assert {} == loader._ahead
    assert loader.load("index.h")(b"", None) == "first"


def test_half_an_answer_is_none(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child was ended in the middle of its answer."""
    write = os.write
    monkeypatch.setattr(ahead.os, "write", lambda fd, data: write(fd, data[:-1]) and len(data))

    assert {} == looked_ahead(code)._ahead
