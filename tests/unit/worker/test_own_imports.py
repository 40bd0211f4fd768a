"""
What a handler's module imports of the function's own is compiled with it: found as an import finds
it, used while it is what was seen, and otherwise as if nobody had looked.
"""

import importlib
import inspect
import os
import pickle
import py_compile
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fc_worker import ahead, own_imports
from fc_worker.load import Loader
from fc_worker.own_imports import Guesser

INDEX = "import {what}\ndef h(event, context): return {what}.NAME\n"
NAMED = "NAME = __name__\n"
PROJECT = {
    "index.py": "from app.views import shown\nimport settings\n"
    "def h(event, context): return shown(), settings.NAME\n",
    "settings.py": NAMED,
    "app/__init__.py": "from . import models\n",
    "app/models.py": "from .deep.store import NAME\n",
    "app/deep/__init__.py": "",
    "app/deep/store.py": "from ..helpers import NAME\n",
    "app/helpers.py": NAMED,
    "app/views.py": "from .models import NAME\nimport app.other as other\n"
    "def shown(): return NAME, other.NAME\n",
    "app/other.py": "from namespace.inner import NAME\n",
    "namespace/inner.py": NAMED,
}


@pytest.fixture(autouse=True)
def clean_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code directory is where an instance has it; what a test imports ends with it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    modules, finders = set(sys.modules), set(sys.path_importer_cache)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    for folder in set(sys.path_importer_cache) - finders:
        del sys.path_importer_cache[folder]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path


def write(code: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def looked_ahead(code: Path, *folders: Path) -> Loader:
    loader = Loader(str(code))
    loader.look_ahead(
        "index.h", [str(code), *map(str, folders)], [], time.monotonic() + ahead.WITHIN_S
    )
    return loader


def compiled(loader: Loader, code: Path) -> set[str]:
    return {os.path.relpath(path, code) for path in loader._own}


def _ways() -> list[object]:
    return [getattr(SourceFileLoader, way) for way in own_imports._WAYS]


def refuse(*_: object) -> None:
    raise AssertionError("it was to be done already")


def test_a_project_is_compiled_once(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages, relative imports, a folder that is no package: an instance only runs them."""
    write(code, PROJECT)
    loader = looked_ahead(code)
    monkeypatch.setattr(SourceFileLoader, "get_code", refuse)
    monkeypatch.setattr(own_imports, "_OWN_WAYS", _ways())

    assert loader.load("index.h")(b"", None) == (("app.helpers", "namespace.inner"), "settings")
    assert compiled(loader, code) == PROJECT.keys() - {"index.py"}


def test_modules_are_what_they_always_are(code: Path) -> None:
    """Path, source, data beside it: whoever looks at a module sees no difference."""
    write(code, {"index.py": "import app\nh = app\n", "app/__init__.py": NAMED, "app/data": "x"})
    app: ModuleType = looked_ahead(code).load("index.h")  # type: ignore[assignment]

    assert app.__file__ == str(code / "app/__init__.py")
    assert app.__path__ == [str(code / "app")]
    assert app.__spec__ is not None
    assert app.__spec__.cached == importlib.util.cache_from_source(str(code / "app/__init__.py"))
    assert app.__loader__ == app.__spec__.loader == SourceFileLoader("app", app.__file__)
    assert pickle.loads(pickle.dumps(app.__spec__)) == app.__spec__
    assert inspect.getsource(app) == NAMED
    assert importlib.resources.files("app").joinpath("data").read_text() == "x"


def test_nothing_runs_and_no_bytecode_is_written(code: Path) -> None:
    """Neither by who looks ahead, nor by his child."""
    trace = code / "trace"
    write(code, {"index.py": INDEX.format(what="own"), "own.py": f"open({str(trace)!r}, 'w')\n"})
    looked_ahead(code)

    assert sorted(path.name for path in code.iterdir()) == ["index.py", "own.py"]


def edit(path: Path) -> None:
    """As long as before, and as old: only its time of change tells."""
    before = path.stat()
    path.write_text(path.read_text().replace("first", "other"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.write_text("NAME = 'other'\n")


def into_a_package(path: Path) -> None:
    path.unlink()
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "__init__.py").write_text("NAME = 'other'\n")


@pytest.mark.parametrize("change", [edit, replace, into_a_package])
def test_what_has_changed_is_compiled_anew(code: Path, change: Callable[[Path], None]) -> None:
    """Also where it is as long and as old as it was, or something else has its name."""
    write(code, {"index.py": INDEX.format(what="own"), "own.py": "NAME = 'first'\n"})
    loader = looked_ahead(code)
    change(code / "own.py")

    assert loader.load("index.h")(b"", None) == "other"


def test_a_reload_sees_the_new_text(code: Path) -> None:
    """An import is not the only time that a module's code is asked for."""
    write(code, {"index.py": "import own\nh = own\n", "own.py": "NAME = 'first'\n"})
    own: ModuleType = looked_ahead(code).load("index.h")  # type: ignore[assignment]
    assert own.NAME == "first"
    edit(code / "own.py")

    assert own.__loader__.get_code("own").co_consts[0] == "other"  # type: ignore[union-attr]
    assert importlib.reload(own).NAME == "other"


class Hooked(SourceFileLoader):
    """As libraries have one that check types, or count what is run."""

    def get_data(self, path: str) -> bytes:
        return super().get_data(path).replace(b"plain", b"hooked")


HOOK = FileFinder.path_hook((Hooked, [".py"]))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_path_hook_is_asked(code: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """One of a preload's, or one that the handler's module makes before it imports a package."""
    write(code, {"index.py": "import pkg.own\nh = pkg.own\n", "pkg/own.py": "NAME = 'plain'\n"})
    hooks = [HOOK, *sys.path_hooks]
    if when == "before":
        monkeypatch.setattr(sys, "path_hooks", hooks)
    loader = looked_ahead(code)
    monkeypatch.setattr(sys, "path_hooks", hooks)

    assert loader.load("index.h").NAME == "hooked"  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["get_data", "source_to_code", "get_code"])
def test_another_way_to_code_is_taken(
    code: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Who replaces what the import system does with a source sees every source."""
    write(code, {"index.py": INDEX.format(what="own"), "own.py": NAMED})
    loader = looked_ahead(code)
    usual, seen = getattr(SourceFileLoader, way), []

    def noted(*arguments: Any, **named: Any) -> Any:
        seen.append(way)
        return usual(*arguments, **named)

    monkeypatch.setattr(SourceFileLoader, way, noted)

    assert loader.load("index.h")(b"", None) == "own"
    assert seen


def test_who_listens_to_warnings_hears_the_compilers(code: Path) -> None:
    """They are said when a source is compiled, and are errors where somebody wants that."""
    text = "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('error')\n"
    text += "    try:\n        import own\n    except SyntaxError as error:\n        NAME = error\n"
    write(code, {"index.py": text + "def h(e, c): return NAME\n", "own.py": "NAME = 1 is 1\n"})

    assert "is" in str(looked_ahead(code).load("index.h")(b"", None))


def test_a_warning_that_nobody_hears_keeps_nothing_back(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an instance they are ignored, unless its handler or a preload wants them."""
    write(code, {"index.py": INDEX.format(what="own"), "own.py": "NAME = 1 is 1\n"})
    loader = looked_ahead(code)
    monkeypatch.setattr(warnings, "filters", list(own_imports._SILENCE))
    monkeypatch.setattr(SourceFileLoader, "get_code", refuse)
    monkeypatch.setattr(own_imports, "_OWN_WAYS", _ways())

    assert loader.load("index.h")(b"", None) is True


def test_guessing_comes_to_an_end(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also among modules that are not compiled here: what is known by then is used."""
    write(code, {"index.py": "import own, other\n", "own.py": NAMED, "other.py": NAMED})
    monkeypatch.setattr(ahead, "IMPORTS_WITHIN_S", -1.0)
    loader = looked_ahead(code)

    assert "index" in loader._ahead
    assert {} == loader._own


def test_a_texts_encoding_runs_nothing(code: Path) -> None:
    """The compiler imports what an encoding needs, which may be what the function has instead."""
    trace = code / "trace"
    text = f"# -*- coding: idna -*-\nopen({str(trace)!r}, 'w')\n"
    write(code, {"index.py": "import own\n", "own.py": text, "stringprep.py": text})

    looked_ahead(code)

    assert not trace.exists()


def test_with_bytecode_beside_it_a_module_is_left_alone(code: Path) -> None:
    """There is little to gain, and it may say what the source does not."""
    write(code, {"index.py": "import own, other\n", "own.py": NAMED, "other.py": NAMED})
    py_compile.compile(str(code / "own.py"))

    assert compiled(looked_ahead(code), code) == {"other.py"}


def test_large_folders_are_looked_through_once(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many modules are in them."""
    write(code, {f"pkg/part{number}.py": "" for number in range(20)})
    names = ", ".join(f"part{number}" for number in range(20))
    write(code, {"pkg/__init__.py": f"from . import {names}\n"})
    made = []

    def make(folder: str, *kinds: Any) -> FileFinder:
        made.append(folder)  # it looks through the folder when it is first asked
        return FileFinder(folder, *kinds)

    monkeypatch.setattr(own_imports, "FileFinder", make)
    text = compile("import pkg", "index.py", "exec")
    inside = compile((code / "pkg/__init__.py").read_text(), "pkg", "exec")
    guesser = Guesser([str(code)])
    found = [*guesser.imports_of(text, ()), *guesser.imports_of(inside, (str(code / "pkg"),))]

    assert len({guess.spec.origin for guess in found}) == 21
    assert made == [str(code), str(code / "pkg")]


def test_what_does_not_compile_is_left_to_the_instance(code: Path) -> None:
    """It may never be imported; if it is, the error is the user's, without a frame of ours."""
    text = "try:\n    import broken\nexcept SyntaxError as error:\n    NAME = error\nimport good\n"
    write(
        code,
        {
            "index.py": text + "def h(event, context): return NAME\n",
            "broken.py": "def\n",
            "good.py": NAMED,
        },
    )
    loader = looked_ahead(code)

    assert compiled(loader, code) == {"good.py"}
    error = loader.load("index.h")(b"", None)
    assert isinstance(error, SyntaxError)
    assert error.filename == str(code / "broken.py")


def test_an_error_shows_the_function_only(code: Path) -> None:
    """A stack trace from within an import has no frame of ours between those of the function."""
    text = "try:\n    import own\nexcept ValueError as error:\n    NAME = error\n"
    write(code, {"index.py": text + "def h(e, c): return NAME\n", "own.py": "raise ValueError\n"})
    loader = looked_ahead(code)
    assert compiled(loader, code) == {"own.py"}

    frames = traceback.extract_tb(loader.load("index.h")(b"", None).__traceback__)
    assert [str(code / "index.py"), str(code / "own.py")] == [frame.filename for frame in frames]


def test_folders_come_in_their_order(code: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A layer has what the code directory does not."""
    layer = tmp_path_factory.mktemp("layer")
    write(layer, {"own.py": "NAME = 'of the layer'\n", "only.py": "NAME = 'there only'\n"})
    text = "import own, only\ndef h(event, context): return own.NAME, only.NAME\n"
    write(code, {"index.py": text, "own.py": "NAME = 'of the code'\n"})
    sys.path.insert(1, str(layer))
    loader = looked_ahead(code, layer)

    assert str(layer / "only.py") in loader._own
    assert loader.load("index.h")(b"", None) == ("of the code", "there only")


@pytest.mark.parametrize("name", ["json", "importlib", "os", "missing"])
def test_other_modules_are_not_ours(code: Path, name: str) -> None:
    """What is not in the function's folders is left to the import system."""
    write(code, {"index.py": f"import {name}\n"})

    assert {} == looked_ahead(code)._own


def test_imports_in_a_circle_come_to_an_end(code: Path) -> None:
    """Each module is compiled once, whoever imports it."""
    write(code, {"index.py": "import a\nh = a\n", "a.py": "import b, index\n", "b.py": "import a"})

    assert compiled(looked_ahead(code), code) == {"a.py", "b.py"}


@pytest.mark.parametrize("size", [ahead.MOST_BYTES + 1, ahead.MOST_BYTES])
def test_there_is_an_end_to_what_is_compiled(code: Path, size: int) -> None:
    """No module is too large, nor all together: a zygote has no limit of memory."""
    names = ("one", "two", "three")
    write(code, {"index.py": f"import {', '.join(names)}\n"})
    for name in names:
        (code / f"{name}.py").write_text("#" * size)

    loader = looked_ahead(code)

    assert len(loader._own) == (0 if size > ahead.MOST_BYTES else 2)
    assert "index" in loader._ahead


def test_what_ends_the_compiler_costs_what_comes_after_it(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compiled before is used."""
    write(code, {"index.py": INDEX.format(what="own"), "own.py": NAMED})
    monkeypatch.setattr(Guesser, "imports_of", lambda *_: os._exit(1))

    loader = looked_ahead(code)

    assert "index" in loader._ahead
    assert {} == loader._own
    assert loader.load("index.h")(b"", None) == "own"


def test_handler_and_initializer_of_one_module_are_compiled_once(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are two names for one thing to be done."""
    write(code, {"index.py": INDEX.format(what="own"), "own.py": NAMED})
    loader = looked_ahead(code)
    monkeypatch.setattr(ahead, "compile_apart", refuse)
    loader.look_ahead("index.i", [str(code)], [], time.monotonic() + ahead.WITHIN_S)
