"""Handler strings (spec 1.A), the five load errors (spec 5.A), and `sys.path` (spec 1.B)."""

import json
import logging
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fc_worker import ahead
from fc_worker.load import Loader, LoadError, prepare_sys_path

NAMED = "def h(event, context): return __name__\n"


@pytest.fixture(autouse=True)
def clean_interpreter() -> Iterator[None]:
    """What a test imports, and what it does to `sys.path`, ends with it."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)
    sys.path[:] = path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """An empty code directory."""
    path = tmp_path / "code"
    path.mkdir()
    return path


Load = Callable[[Path, str], Any]


@pytest.fixture(params=["at once", "found and compiled ahead"])
def load(request: pytest.FixtureRequest) -> Load:
    """A handler's function, by either way that an instance comes to it."""

    def load(code: Path, handler: str) -> Any:
        loader = Loader(str(code))
        if request.param != "at once":
            loader.look_ahead(handler, [str(code)], [], time.monotonic() + ahead.WITHIN_S)
        return loader.load(handler)

    return load


def write(code: Path, name: str, text: str = NAMED) -> Path:
    path = code / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def failure(load: Load, code: Path, handler: str) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load(code, handler)
    return caught.value


def described(error: LoadError) -> tuple[str, str, list[str]]:
    return error.error_type, error.error_message, error.stack_trace


# -- table 1.A -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "handler", "name"),
    [
        ("index.py", "index.h", "index"),
        ("a-b.py", "a-b.h", "a-b"),
        ("dir/main.py", "dir/main.h", "dir/main"),
        ("dir/main.py", "./dir/main.h", "./dir/main"),
        ("dir/sub/deep.py", "dir/sub/deep.h", "dir/sub/deep"),
        ("a.dir/main.py", "a.dir/main.h", "a.dir/main"),
    ],
)
def test_handler_is_a_file_and_a_name_in_it(
    load: Load, code: Path, file: str, handler: str, name: str
) -> None:
    """1.A rows 1 and 2: no ``__init__.py`` needed, slashes and hyphens stay in ``__name__``."""
    write(code, file)

    assert name == load(code, handler)(b"", None)


def test_folder_of_the_handler_is_not_on_sys_path(load: Load, code: Path) -> None:
    """1.A row 2: the directory is not put on `sys.path`."""
    write(code, "dir/main.py")
    before = list(sys.path)

    load(code, "dir/main.h")

    assert before == sys.path


def test_dots_go_through_packages(load: Load, code: Path) -> None:
    """1.A row 3: ``pkg.mod.h`` works with ``pkg/__init__.py``, which itself is not run."""
    write(code, "pkg/__init__.py", "raise RuntimeError('nobody imports me')")
    write(code, "pkg/mod.py")

    assert load(code, "pkg.mod.h")(b"", None) == "pkg.mod"


def test_package_itself_can_hold_the_handler(load: Load, code: Path) -> None:
    """A package directory wins over a file of the same name, as it does in an import."""
    write(code, "pkg/__init__.py")
    write(code, "pkg.py", "")

    assert load(code, "pkg.h")(b"", None) == "pkg"


def test_package_below_a_folder(load: Load, code: Path) -> None:
    """Slashes and dots together: the folder first, then the packages."""
    write(code, "dir/pkg/__init__.py", "")
    write(code, "dir/pkg/mod.py")

    assert load(code, "dir/pkg.mod.h")(b"", None) == "dir/pkg.mod"


def test_folder_without_init_is_no_package(load: Load, code: Path) -> None:
    """1.A row 4."""
    write(code, "dir/main.py")

    assert described(failure(load, code, "dir.main.h")) == (
        "ImportModuleError",
        "Unable to import module 'dir.main'",
        ["ImportError: No module named 'dir'"],
    )


def test_handler_without_a_dot(load: Load, code: Path) -> None:
    """1.A row 5, 5.A row 7: the message is cut at its comma."""
    write(code, "index.py")

    assert described(failure(load, code, "index")) == (
        "InvalidHandleName",
        "Invalid handler 'index'",
        ["ValueError: not enough values to unpack (expected 2", "got 1)"],
    )


@pytest.mark.parametrize(
    ("handler", "module", "missing"),
    [
        ("/dir/main.h", "/dir/main", "main"),
        ("index.App.method", "index.App", "App"),
        ("json.dumps", "json", "json"),
        ("../elsewhere.h", "../elsewhere", "elsewhere"),
        ("dir/../../elsewhere.h", "dir/../../elsewhere", "elsewhere"),
        (".h", "", ""),
        ("dir/.h", "dir/", ""),
    ],
)
def test_only_the_code_directory_is_searched(
    load: Load, code: Path, handler: str, module: str, missing: str
) -> None:
    """1.A row 6: no absolute path, no class, no standard library, nothing beside the code."""
    write(code, "dir/main.py")
    write(code, "index.py", "class App:\n    def method(self, event, context): ...\n")
    write(code.parent, "elsewhere.py")

    assert (
        "ImportModuleError",
        f"Unable to import module '{module}'",
        [f"ImportError: No module named '{missing}'"],
    ) == described(failure(load, code, handler))


def test_absolute_path_of_another_directory_fails(load: Load, code: Path) -> None:
    """1.A row 6, even if there is such a file."""
    other = write(code.parent, "elsewhere.py").with_suffix("")

    assert failure(load, code, f"{other}.h").error_type == "ImportModuleError"


def test_absolute_path_into_the_code_directory_works(load: Load, code: Path) -> None:
    """1.A: "absolute path wins the join", so ``/code/index.h`` finds what it says."""
    write(code, "index.py")

    assert f"{code}/index" == load(code, f"{code}/index.h")(b"", None)


def test_file_named_like_a_loaded_module_loses(load: Load, code: Path) -> None:
    """1.A row 7: the file is found, then `sys.modules` wins."""
    write(code, "logging.py")

    error_type, message, stack_trace = described(failure(load, code, "logging.h"))
    assert (
        error_type,
        message,
    ) == ("HandlerNotFound", "Handler 'h' is missing on module 'logging'")
    assert stack_trace == ["AttributeError: module 'logging' has no attribute 'h'"]


def test_loaded_module_is_used_whatever_the_file_says(load: Load, code: Path) -> None:
    """1.A row 7, seen from the other side."""
    write(code, "logging.py")

    assert logging.getLogger is load(code, "logging.getLogger")


def test_what_cannot_be_called_fails_when_called(load: Load, code: Path) -> None:
    """1.A row 8: loading is no error, calling is."""
    write(code, "index.py", "h = 42\n")
    function = load(code, "index.h")

    with pytest.raises(TypeError, match="'int' object is not callable"):
        function(b"", None)


# -- load errors, 5.A ------------------------------------------------------------------------------


def test_module_not_found(load: Load, code: Path) -> None:
    """5.A row 1."""
    assert described(failure(load, code, "nomod.h")) == (
        "ImportModuleError",
        "Unable to import module 'nomod'",
        ["ImportError: No module named 'nomod'"],
    )


def test_import_error_inside_the_module(load: Load, code: Path) -> None:
    """5.A row 2."""
    write(code, "index.py", "import no_such_module_x\n")

    assert described(failure(load, code, "index.h")) == (
        "ImportModuleError",
        "Unable to import module 'index'",
        ["ModuleNotFoundError: No module named 'no_such_module_x'"],
    )


def test_syntax_error(load: Load, code: Path) -> None:
    """5.A row 3: place, line and text are parts of their own, carets are gone."""
    path = write(code, "syn.py", "def f(:\n    pass\n")

    assert (
        "UserCodeSyntaxError",
        "Syntax error in module 'syn'",
        [f'File "{path}"', "line 1", "def f(:", "SyntaxError: invalid syntax"],
    ) == described(failure(load, code, "syn.h"))


def test_syntax_error_raised_by_hand(load: Load, code: Path) -> None:
    """5.A row 3, without a place: only the message is left."""
    write(code, "syn.py", "raise SyntaxError('odd, very')\n")

    assert failure(load, code, "syn.h").stack_trace == ["SyntaxError: odd", "very"]


@pytest.mark.parametrize(
    ("statement", "message", "stack_trace"),
    [
        ("raise RuntimeError('boom')", "boom", ["RuntimeError: boom"]),
        ("raise RuntimeError", "", ["RuntimeError"]),
        ("raise KeyError('k')", "'k'", ["KeyError: 'k'"]),
        ("raise RuntimeError('a, b^\\nc')", "a, b^\nc", ["RuntimeError: a", "b", "c"]),
        (
            "class E(Exception): ...\nraise E('own')",
            "own",
            ["index.E: own"],
        ),
    ],
)
def test_other_error_at_import(
    load: Load, code: Path, statement: str, message: str, stack_trace: list[str]
) -> None:
    """5.A row 4: real quotes around ``str(e)``; the trace is cut at commas, carets are gone."""
    write(code, "index.py", statement)

    assert (
        "UserCodeError",
        f"Module initialization error: '{message}'",
        stack_trace,
    ) == described(failure(load, code, "index.h"))


@pytest.mark.parametrize(
    ("statement", "stack_trace"),
    [
        ("int('x')", ["ValueError: invalid literal for int() with base 10: 'x'"]),
        (
            "import json; json.loads('')",
            ["json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"],
        ),
    ],
)
def test_value_error_at_import_blames_the_handler(
    load: Load, code: Path, statement: str, stack_trace: list[str]
) -> None:
    """5.A row 5, the quirk: any ValueError."""
    write(code, "index.py", statement)

    assert ("InvalidHandleName", "Invalid handler 'index'", stack_trace) == described(
        failure(load, code, "index.h")
    )


def test_function_missing(load: Load, code: Path) -> None:
    """5.A row 6, without the guesses that newer interpreters add to the message."""
    write(code, "index.py", "def missin(event, context): ...\n")

    assert described(failure(load, code, "index.missing")) == (
        "HandlerNotFound",
        "Handler 'missing' is missing on module 'index'",
        ["AttributeError: module 'index' has no attribute 'missing'"],
    )


def test_body_is_sorted_json_with_four_spaces(load: Load, code: Path) -> None:
    """5.A: what the caller gets, to the letter."""
    assert (
        failure(load, code, "nomod.h").body()
        == b"""{
    "errorMessage": "Unable to import module 'nomod'",
    "errorType": "ImportModuleError",
    "stackTrace": [
        "ImportError: No module named 'nomod'"
    ]
}"""
    )


def test_details_have_the_order_of_the_log(load: Load, code: Path) -> None:
    """5.A: logged as a Python dict's repr."""
    error = failure(load, code, "nomod.h")

    assert list(error.details()) == ["errorMessage", "errorType", "stackTrace"]
    assert error.details() == json.loads(error.body())


def test_traceback_shows_the_user_and_not_us(load: Load, code: Path) -> None:
    """The human text begins where the module failed."""
    path = write(code, "index.py", "def f():\n    raise RuntimeError('boom')\nf()\n")

    assert (
        "Traceback (most recent call last):\n"
        f'  File "{path}", line 3, in <module>\n'
        "    f()\n"
        f'  File "{path}", line 2, in f\n'
        "    raise RuntimeError('boom')\n"
        "RuntimeError: boom\n"
    ) == failure(load, code, "index.h").traceback


def test_texts_of_a_hostile_error_are_bounded_and_encodable(load: Load, code: Path) -> None:
    """A message may be gigantic and hold surrogates; the answer is neither."""
    write(code, "index.py", "raise RuntimeError('\\udcff' + 'x' * 10**7)\n")
    error = failure(load, code, "index.h")

    assert len(error.body()) < 100_000
    assert error.error_message.encode().decode()[:34] == "Module initialization error: '?xxx"
    assert json.loads(error.body())["stackTrace"][0].encode().startswith(b"RuntimeError: ?xxx")


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_process_is_not_relabelled(
    load: Load, code: Path, raised: type[BaseException]
) -> None:
    """1.13: ``sys.exit()`` at import ends the process; that is for the caller to do."""
    write(code, "index.py", f"raise {raised.__name__}(3)\n")

    with pytest.raises(raised):
        load(code, "index.h")

    assert "index" not in sys.modules


def test_error_of_a_modules_getattr_is_the_users(load: Load, code: Path) -> None:
    """Only AttributeError means that the function is missing."""
    write(code, "index.py", "def __getattr__(name): raise LookupError(name)\n")

    with pytest.raises(LookupError):
        load(code, "index.h")


# -- once, and known by name -----------------------------------------------------------------------


def test_module_is_imported_once_for_handler_and_initializer(code: Path) -> None:
    """1.12: both find the same globals."""
    write(code, "index.py", "seen = []\ndef init(c): seen.append(c)\ndef h(e, c): return seen\n")
    loader = Loader(str(code))

    loader.load("index.init")("context")

    assert loader.load("index.h")(b"", None) == ["context"]


def test_function_is_looked_up_once(code: Path) -> None:
    """1.12: the handler object is kept, whatever the module does to its name later."""
    write(code, "index.py", "def h(e, c):\n    global h\n    h = None\n    return 'first'\n")
    loader = Loader(str(code))

    assert loader.load("index.h")(b"", None) == "first"
    assert loader.load("index.h")(b"", None) == "first"


def test_failed_import_is_tried_again(code: Path) -> None:
    """1.12: only what succeeded is kept; half a module is not left in `sys.modules`."""
    path = write(code, "index.py", "raise RuntimeError('not yet')\n")
    loader = Loader(str(code))
    with pytest.raises(LoadError):
        loader.load("index.h")
    assert "index" not in sys.modules

    path.write_text(NAMED + "# another size, so that no bytecode of before fits\n")

    assert loader.load("index.h")(b"", None) == "index"


def test_module_is_in_sys_modules_while_it_runs_and_after(load: Load, code: Path) -> None:
    """Pickle, multiprocessing and dataclasses look a class up by its module's name."""
    write(
        code,
        "dir/main.py",
        "import sys\nhere = sys.modules[__name__]\nclass Thing: ...\n"
        "def h(event, context): return Thing()\n",
    )
    thing = load(code, "dir/main.h")(b"", None)

    assert sys.modules["dir/main"].here is sys.modules["dir/main"]
    assert type(thing) is type(pickle.loads(pickle.dumps(thing)))


def test_module_that_replaces_itself_is_respected(load: Load, code: Path) -> None:
    """As an import statement does: what stands in `sys.modules` afterwards is the module."""
    write(
        code,
        "index.py",
        "import sys, types\nnew = types.SimpleNamespace(h=lambda e, c: 'replaced')\n"
        "sys.modules[__name__] = new\n",
    )

    assert load(code, "index.h")(b"", None) == "replaced"


def test_module_that_was_preloaded_is_shared(load: Load, code: Path) -> None:
    """What the zygote imported under the handler's name is not imported again."""
    write(code, "index.py", "import os\ntoken = object()\ndef h(e, c): return token\n")
    sys.path.insert(0, str(code))
    import index  # type: ignore[import-not-found]

    assert index.token is load(code, "index.h")(b"", None)


# -- sys.path --------------------------------------------------------------------------------------


def test_sys_path_is_code_then_layers_then_opt_then_the_rest() -> None:
    """1.B: and whatever stood there twice stands there once."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path[:] = ["/usr/lib/python", "/code", "/opt/python", "/site"]

    prepare_sys_path("/code", ["/layers/a", "/layers/b"])

    assert [
        "/code",
        f"/layers/a/python/lib/{version}/site-packages",
        f"/layers/b/python/lib/{version}/site-packages",
        f"/opt/python/lib/{version}/site-packages",
        "/layers/a/python",
        "/layers/b/python",
        "/opt/python",
        "/usr/lib/python",
        "/site",
    ] == sys.path


def test_sys_path_stays_the_same_object() -> None:
    """Who holds `sys.path` sees the change; doing it twice changes nothing."""
    path = sys.path

    prepare_sys_path("/code", [])
    once = list(sys.path)
    prepare_sys_path("/code", [])

    assert path is sys.path
    assert once == sys.path
