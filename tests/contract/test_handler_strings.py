"""
Handler strings and what is done with them: every row of spec 1.A, every load error of spec 5.A.

What can be seen without running code is refused by `register`; the rest comes with the first call.
"""

import py_compile
import sys
import zipfile
from pathlib import Path

import pytest
from fc_runtime import (
    Crashed,
    InitializationError,
    InitializationFailed,
    InvalidFunctionError,
    Raised,
)
from support.callers import Caller

TIERS_MATTER = False  # see conftest

SOURCE = "def handler(event, context):\n    return __name__\n"


def lay_out(folder: Path, **files: str) -> Path:
    """Files in *folder*; a name may have slashes, .py is added."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "handler", "module"),
    [
        (["index"], "index.handler", "index"),
        (["a-b"], "a-b.handler", "a-b"),
        (["dir/main"], "dir/main.handler", "dir/main"),
        (["dir/main"], "./dir/main.handler", "./dir/main"),
        (["dir/sub/deep"], "dir/sub/deep.handler", "dir/sub/deep"),
        (["with.dot/main"], "with.dot/main.handler", "with.dot/main"),
        (["pkg/__init__", "pkg/mod"], "pkg.mod.handler", "pkg.mod"),
        (["pkg/__init__", "pkg/sub/__init__", "pkg/sub/mod"], "pkg.sub.mod.handler", "pkg.sub.mod"),
        (["dir/pkg/__init__", "dir/pkg/mod"], "dir/pkg.mod.handler", "dir/pkg.mod"),
        (["pkg/__init__"], "pkg.handler", "pkg"),
    ],
)
def test_handler_string_finds_its_module(
    caller: Caller, tmp_path: Path, files: list[str], handler: str, module: str
) -> None:
    """The text before the last dot is the module, slashes kept, packages not needed (1.A)."""
    lay_out(tmp_path, **dict.fromkeys(files, SOURCE))
    caller.register("found", code=tmp_path, handler=handler)

    assert module == caller.invoke("found").text


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        (["index"], "/index.handler"),
        (["index"], "index.App.handler"),
        (["index"], "json.dumps"),
        (["index"], "nosuch.handler"),
        (["index"], "dir/index.handler"),
        (["index"], "../index.handler"),
        (["dir/main"], "dir/../dir/main.handler"),
        (["index"], "index"),
        (["index"], "index."),
        (["index"], ".handler"),
        (["index"], ""),
        (["index"], "index.not a name"),
        (["index"], "index.class"),
    ],
)
@pytest.mark.parametrize("field", ["handler", "initializer"])
def test_handler_string_that_finds_nothing_is_refused_at_once(
    caller: Caller, tmp_path: Path, files: list[str], handler: str, field: str
) -> None:
    """`register` refuses it and names field, value and mend, rather than the first call (13.9)."""
    lay_out(tmp_path, **dict.fromkeys([*files, "index"], SOURCE))

    with pytest.raises(InvalidFunctionError) as caught:
        caller.register("refused", code=tmp_path, **{field: handler})

    assert (field, handler) == (caught.value.field, caught.value.value)
    assert caught.value.mend
    assert f"{field}={handler!r}" in str(caught.value)


def test_folder_of_a_handler_is_not_importable_from(caller: Caller, tmp_path: Path) -> None:
    """The code folder is on ``sys.path``, ``dir`` of ``dir/main`` is not (1.A)."""
    lay_out(
        tmp_path,
        **{
            "beside": "here = 'top'\n",
            "dir/beside": "here = 'dir'\n",
            "dir/main": "import beside\ndef handler(event, context): return beside.here\n",
        },
    )
    caller.register("imports", code=tmp_path, handler="dir/main.handler")

    assert "top" == caller.invoke("imports").text


def test_module_is_imported_once_and_globals_persist(caller: Caller, tmp_path: Path) -> None:
    """The import is paid for once per instance (1.12)."""
    source = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n"
    caller.register("counts", code=lay_out(tmp_path, index=source), max_instances=1)

    assert [1, 2, 3] == [caller.invoke("counts").json() for _ in range(3)]


def test_handler_and_initializer_may_live_in_two_modules(caller: Caller, tmp_path: Path) -> None:
    """Same rules for both (spec 3)."""
    lay_out(
        tmp_path,
        state="ready = False\n",
        setup="import state\ndef initialize(context): state.ready = True\n",
        index="import state\ndef handler(event, context): return state.ready\n",
    )
    caller.register("two", code=tmp_path, initializer="setup.initialize")

    assert caller.invoke("two").json() is True


# -- load errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error_type", "message", "stack_trace"),
    [
        (
            "import nosuchmodule",
            "ImportModuleError",
            "Unable to import module 'index'",
            ["ModuleNotFoundError: No module named 'nosuchmodule'"],
        ),
        (
            "def f(:",
            "UserCodeSyntaxError",
            "Syntax error in module 'index'",
            ['File "{code}/index.py"', "line 1", "def f(:", "SyntaxError: invalid syntax"],
        ),
        (
            "raise RuntimeError('boom')",
            "UserCodeError",
            "Module initialization error: 'boom'",
            ["RuntimeError: boom"],
        ),
        (
            "raise ValueError('a quirk')",
            "InvalidHandleName",
            "Invalid handler 'index'",
            ["ValueError: a quirk"],
        ),
        (
            "other = 1",
            "HandlerNotFound",
            "Handler 'handler' is missing on module 'index'",
            ["AttributeError: module 'index' has no attribute 'handler'"],
        ),
    ],
)
def test_load_errors_are_function_computes(
    caller: Caller,
    tmp_path: Path,
    *,
    source: str,
    error_type: str,
    message: str,
    stack_trace: list[str],
) -> None:
    """One of five error types, with a flat stack trace; logged as a dict's repr (5.A, 1.13)."""
    caller.register("unloadable", code=lay_out(tmp_path, index=source))

    with pytest.raises(InitializationError) as caught:
        caller.invoke("unloadable")

    result = caught.value.result
    body = {
        "errorMessage": message,
        "errorType": error_type,
        "stackTrace": [part.format(code=tmp_path) for part in stack_trace],
    }
    assert InitializationFailed(Raised(error_type, message)) == result.outcome
    assert body == result.json()
    assert f"[ERROR] {body}" in result.log.decode()
    assert message in str(caught.value)


def test_dots_need_packages(caller: Caller, tmp_path: Path) -> None:
    """``dir.main`` without ``dir/__init__.py`` cannot be imported, unlike ``dir/main`` (1.A)."""
    lay_out(tmp_path, **{"dir/main": SOURCE})
    caller.register("dotted", code=tmp_path, handler="dir.main.handler")

    outcome = caller.invoke("dotted", check=False).outcome

    expected = Raised("ImportModuleError", "Unable to import module 'dir.main'")
    assert InitializationFailed(expected) == outcome


@pytest.mark.parametrize("name", ["logging", "json", "signal"])
def test_file_named_like_an_imported_module_loses(
    caller: Caller, tmp_path: Path, name: str
) -> None:
    """The file is found, the standard library's module is used: FC's trap (1.A)."""
    lay_out(tmp_path, **{name: "def own(event, context): return 'mine'\n"})
    caller.register("trapped", code=tmp_path, handler=f"{name}.own")

    outcome = caller.invoke("trapped", check=False).outcome

    expected = Raised("HandlerNotFound", f"Handler 'own' is missing on module '{name}'")
    assert InitializationFailed(expected) == outcome


@pytest.mark.parametrize(
    "name", ["worker", "runtime", "serve", "wire", "context", "load", "capture"]
)
def test_file_named_like_one_of_ours_wins(caller: Caller, tmp_path: Path, name: str) -> None:
    """None of this product's own module names is taken away from the user."""
    lay_out(tmp_path, **{name: "def handler(event, context): return 'mine'\n"})
    caller.register("mine", code=tmp_path, handler=f"{name}.handler")

    assert "mine" == caller.invoke("mine").text


# -- forms of code -----------------------------------------------------------------------------


def test_compiled_handler_without_its_source(caller: Caller, tmp_path: Path) -> None:
    """A module may come as bytecode alone: what the import system takes, `register` takes."""
    lay_out(tmp_path, index=SOURCE)
    py_compile.compile(str(tmp_path / "index.py"), cfile=str(tmp_path / "index.pyc"))
    (tmp_path / "index.py").unlink()
    caller.register("compiled", code=tmp_path)

    assert "index" == caller.invoke("compiled").text


def test_code_may_be_a_zip(caller: Caller, tmp_path: Path) -> None:
    """A .zip is unpacked to a folder that is the code folder, and gone after close."""
    package = tmp_path / "code.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(
            "dir/main.py",
            "import os\ndef handler(event, context):\n"
            "    return [os.getcwd(), open('data/file.txt').read(), os.access('run.sh', os.X_OK)]\n",
        )
        archive.writestr("data/file.txt", "from the zip")
        script = zipfile.ZipInfo("run.sh")
        script.external_attr = 0o100755 << 16
        archive.writestr(script, "#!/bin/sh\n")
    caller.register("zipped", code=package, handler="dir/main.handler")

    folder, text, executable = caller.invoke("zipped").json()
    assert "from the zip" == text
    assert executable
    assert Path(folder).is_dir()
    caller.close()
    assert not Path(folder).exists()


def test_code_folder_is_not_written_to(caller: Caller, tmp_path: Path) -> None:
    """No bytecode appears beside the user's files (spec 9.B: /code is read-only)."""
    lay_out(tmp_path, index="import helper\n" + SOURCE, helper="")
    caller.register("clean", code=tmp_path)

    caller.invoke("clean")

    assert ["helper.py", "index.py"] == sorted(path.name for path in tmp_path.iterdir())


def test_an_instance_runs_the_file_as_it_is_when_it_starts(caller: Caller, tmp_path: Path) -> None:
    """Though its zygote has seen it as it was before."""
    source = "import os\ndef handler(event, context):\n    return os._exit(1) if event else {0!r}\n"
    path = tmp_path / "index.py"
    path.write_text(source.format("before"))
    caller.register("edited", code=tmp_path, max_instances=1)
    assert "before" == caller.invoke("edited").text

    path.write_text(source.format("after"))
    assert Crashed(exit_code=1) == caller.invoke("edited", b"die", check=False).outcome

    assert "after" == caller.invoke("edited").text


def test_an_instance_imports_files_as_they_are_when_it_starts(
    caller: Caller, tmp_path: Path
) -> None:
    """Also what its module imports: one is edited meanwhile, one becomes a package."""
    source = (
        "import os, own\nfrom app.deep import NAME\n"
        "def handler(event, context):\n    return os._exit(1) if event else own.NAME + NAME\n"
    )
    lay_out(tmp_path, index=source, own="NAME = 'one '", **{"app/deep": "NAME = 'deep'"})
    caller.register("edited", code=tmp_path, max_instances=1)
    assert "one deep" == caller.invoke("edited").text

    (tmp_path / "app/deep.py").unlink()
    lay_out(tmp_path, own="NAME = 'two '", **{"app/deep/__init__": "NAME = 'shallow'"})
    assert Crashed(exit_code=1) == caller.invoke("edited", b"die", check=False).outcome

    assert "two shallow" == caller.invoke("edited").text


def test_layers_are_importable(caller: Caller, tmp_path: Path) -> None:
    """``python/`` of a layer is on the path, the first layer wins, code before layers (9.B, 1.B)."""
    code = lay_out(
        tmp_path / "code",
        index="import a, b\ndef handler(event, context): return [a.here, b.here]\n",
        a="here = 'code'\n",
    )
    first = lay_out(tmp_path / "first", **{"python/a": "here = 1\n", "python/b": "here = 1\n"})
    second = lay_out(tmp_path / "second", **{"python/b": "here = 2\n"})
    caller.register("layered", code=code, layers=[first, second])

    assert ["code", 1] == caller.invoke("layered").json()


def test_layers_are_as_if_they_lay_in_one_opt(caller: Caller, tmp_path: Path) -> None:
    """
    What any layer has in ``site-packages`` comes before what any has in ``python``; programs and
    shared libraries of the first layer before those of the second (9.B).
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    libraries = f"python/lib/{version}/site-packages"
    code = lay_out(
        tmp_path / "code",
        index="import os, subprocess, a, b\n"
        "def handler(event, context):\n"
        "    said = subprocess.run(['tool'], capture_output=True, text=True).stdout\n"
        "    return [a.here, b.here, said, os.environ['LD_LIBRARY_PATH'].split(':')]\n",
    )
    first = lay_out(tmp_path / "first", **{"python/a": "here = 'first'\n"})
    second = lay_out(
        tmp_path / "second",
        **{f"{libraries}/a": "here = 'second'\n", f"{libraries}/b": "here = 'second'\n"},
    )
    for layer in (first, second):
        tool = layer / "bin" / "tool"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\necho {layer.name}\n")
        tool.chmod(0o755)
    caller.register("layered", code=code, layers=[first, second])

    *found, paths = caller.invoke("layered").json()

    assert ["second", "second", "first\n"] == found
    assert [f"{first}/lib", f"{second}/lib", "/opt/lib"] == paths[-3:]


def test_preloaded_modules_are_there_before_the_handler(caller: Caller, tmp_path: Path) -> None:
    """``preload`` is imported in the zygote: the handler finds it in ``sys.modules``."""
    source = "import sys\nthere = 'colorsys' in sys.modules\ndef handler(e, c): return there\n"
    lay_out(tmp_path, index=source)
    caller.register("preloaded", code=tmp_path, preload=["colorsys"])
    caller.register("plain", code=tmp_path)

    assert caller.invoke("preloaded").json() is True
    assert caller.invoke("plain").json() is False


def test_preload_that_starts_a_thread_still_serves(caller: Caller, tmp_path: Path) -> None:
    """Forking beside a thread is not safe, so instances are started by exec then (D1)."""
    lay_out(
        tmp_path,
        threaded="import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
        index="import threading\n"
        "def handler(event, context): return [event.decode(), threading.active_count()]\n",
    )
    caller.register("threaded", code=tmp_path, preload=["threaded"], timeout=10.0)

    assert "event" == caller.invoke("threaded", "event").json()[0]
    assert not caller.invoke("threaded", "event").cold_start
