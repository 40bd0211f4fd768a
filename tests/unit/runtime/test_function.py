"""What a function is: checked where it is made, and the error names field, value and mend."""

import copy
import dataclasses
import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fc_runtime.checks import (
    MAX_ENVIRONMENT_BYTES,
    MAX_LIST_BYTES,
    MAX_TIMEOUT_S,
    positive_seconds,
)
from fc_runtime.credentials import Credentials
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.function import (
    MAX_HOOK_S,
    MAX_IDLE_S,
    MAX_MEMORY_MB,
    MAX_PROCESSES,
    MAX_SCRATCH_MB,
    MIN_MEMORY_MB,
    Function,
)
from hypothesis import given, strategies as st


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A code folder with a handler file in every place where one may lie."""
    for name in (
        "index.py",
        "a-b.py",
        "dir/main.py",
        "dir/sub/deep.py",
        "pkg/__init__.py",
        "pkg/mod.py",
        "my.dir/index.py",
        "bytecode.pyc",
        "extension.so",
        "no_module.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


class BytesPath(os.PathLike[Any]):
    def __fspath__(self) -> bytes:
        return b"/tmp"


def test_defaults_are_those_of_the_docstring(code: Path) -> None:
    """Name and code are enough; the rest is FC's own, or ours with its reason."""
    function = Function(name="hello", code=code)

    assert {
        "name": "hello",
        "code": code,
        "handler": "index.handler",
        "initializer": None,
        "timeout": 3.0,
        "initialization_timeout": 30.0,
        "memory_mb": 512,
        "environment": {},
        "credentials": None,
        "min_instances": 0,
        "max_instances": 10,
        "idle_timeout": 300.0,
        "max_invocations": None,
        "preload": (),
        "preload_learned": True,
        "preload_denied": (),
        "sandbox": "standard",
        "layers": (),
        "network": "host",
        "max_processes": 1024,
        "cpu": None,
        "scratch": "keep",
        "scratch_mb": 512,
        "known_as": None,
        "service": "",
        "qualifier": "LATEST",
        "version_id": "",
        "region": "",
        "account_id": "",
        "log_project": "",
        "log_store": "",
        "pre_stop": None,
        "pre_stop_timeout": 3.0,
        "pre_freeze": None,
        "pre_freeze_timeout": 3.0,
    } == {field.name: getattr(function, field.name) for field in dataclasses.fields(function)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A"),
        ("name", "_a-b_9"),
        ("name", "a" * 128),
        ("handler", "a-b.h"),
        ("handler", "dir/main.h"),
        ("handler", "./dir/main.h"),
        ("handler", "././index.h"),
        ("handler", "dir/sub/deep.h"),
        ("handler", "pkg.mod.h"),
        ("handler", "pkg.h"),
        ("handler", "my.dir/index.h"),
        ("handler", "bytecode.h"),
        ("handler", "extension.h"),
        ("handler", "index.ünïcode"),
        ("initializer", None),
        ("initializer", "pkg.mod.init"),
        ("timeout", 1e-3),
        ("timeout", MAX_TIMEOUT_S),
        ("initialization_timeout", MAX_TIMEOUT_S),
        ("idle_timeout", MAX_IDLE_S),
        ("memory_mb", MIN_MEMORY_MB),
        ("memory_mb", MAX_MEMORY_MB),
        ("min_instances", 10),
        ("max_instances", 1),
        ("max_instances", 10_000),
        ("max_invocations", 1),
        ("environment", {"A": "", "b_9": "grüß dich\n"}),
        ("environment", {"A": "x" * (MAX_ENVIRONMENT_BYTES - 3)}),
        ("credentials", Credentials(access_key_id="i", access_key_secret="s")),
        ("preload", ("numpy", "xml.etree.ElementTree")),
        ("sandbox", "none"),
        ("sandbox", "strict"),
        ("network", "host"),
        ("max_processes", 1),
        ("max_processes", MAX_PROCESSES),
        ("cpu", 0.05),
        ("cpu", 2.0),
        ("scratch", "empty"),
        ("scratch", "host"),
        ("scratch_mb", 1),
        ("scratch_mb", MAX_SCRATCH_MB),
        ("known_as", "a service$LATEST/a function, 函数"),
        ("known_as", "x" * 512),
        ("service", ""),
        ("service", "服务"),
        ("qualifier", "prod"),
        ("pre_stop", "dir/main.bye"),
        ("pre_stop_timeout", MAX_HOOK_S),
        ("pre_freeze", "pkg.mod.sleep"),
        ("pre_freeze_timeout", 1e-3),
    ],
)
def test_good_values_are_taken(code: Path, field: str, value: object) -> None:
    """Up to each limit, and every form of handler of table 1.A that names a file."""
    function = Function(**{"name": "f", "code": code, field: value})  # type: ignore[arg-type]

    assert value == getattr(function, field)


TOO_LONG = 10**400  # as an int it is finite, as a float it is nothing
BAD: list[tuple[str, object, str]] = [
    *(("name", value, "letters, digits") for value in ("", "9a", "-a", "a b", "a\n", "a" * 129)),
    *(("name", value, "letters, digits") for value in (None, 5, b"f", "ä", "a/b", "..")),
    *(("code", value, "the path of a folder") for value in (None, "", 5, b"/tmp", BytesPath())),
    *(("code", value, "the path of a folder") for value in ("a\0b", "\ud800")),
    ("code", "/no/such/place", "there is no /no/such/place"),
    ("code", __file__, "neither a folder nor a .zip file"),
    *(("handler", value, "a text such as") for value in (None, 5, b"index.handler", ["a.b"])),
    *(("handler", value, "'module.function'") for value in ("", "index", ".handler", "index.")),
    *(("handler", value, "a function's name") for value in ("index.a b", "index.9", "index.class")),
    *(("handler", value, "in the code folder") for value in ("/etc/x.h", "../x.h", "a/../x.h")),
    *(("handler", value, "a module's name") for value in ("..x.h", ".x.h", "a..b.h", "dir/.h")),
    *(("handler", value, "there is no") for value in ("main.h", "dir.sub.h", "json.dumps")),
    *(("handler", value, "there is no") for value in ("no_module.h", "in\0dex.h", "x\ud800.h")),
    ("initializer", "", "'module.function'"),
    ("initializer", "missing.init", "there is no missing.py in"),
    *(
        (field, value, "a positive, finite number of seconds, at most 8")
        for field in ("timeout", "initialization_timeout")
        for value in (0, -1, math.nan, math.inf, -math.inf, 86_400.5, TOO_LONG)
    ),
    *(("idle_timeout", value, "at most 1e+09") for value in (0, math.inf, 1e300, TOO_LONG)),
    *(
        (field, value, "a number of seconds")
        for field in ("timeout", "initialization_timeout", "idle_timeout")
        for value in (None, "3", True, [3], 3j)
    ),
    *(("memory_mb", value, "from 32 to 32768") for value in (0, 31, 32_769, -1)),
    *(
        (field, value, "a whole number")
        for field in ("memory_mb", "min_instances", "max_instances", "max_invocations")
        for value in (True, 64.0, "64", [64])
    ),
    *(("min_instances", value, "from 0 to 10000") for value in (-1, 10_001)),
    *(("max_instances", value, "from 1 to 10000") for value in (0, -1, 10_001)),
    *(("max_invocations", value, "from 1 to") for value in (0, -1, 2**64)),
    *(("environment", value, "a mapping") for value in (None, "A=1", [("A", "1")], 5)),
    *(("preload", value, "a sequence of module") for value in (None, "numpy", {"numpy"}, 5)),
    *(("preload", [value], "a module's name") for value in ("", "a b", "a..b", ".a", 5, None)),
    ("preload_denied", "numpy", "a sequence of module"),
    ("preload_denied", ["a b"], "a module's name"),
    *(("preload_learned", value, "True or False") for value in (1, "no", None)),
    ("preload", ["x" * 1000] * 17, f"at most {MAX_LIST_BYTES} bytes in all"),
    *(("layers", value, "a sequence of folders") for value in (None, "/tmp", {"/tmp"}, 5)),
    *(("layers", [value], "there is no such folder") for value in ("/no/such", 5, b"/tmp", "\0")),
    ("layers", [BytesPath()], "there is no such folder"),
    *(("sandbox", value, "one of none, standard, strict") for value in ("", "Strict", None, [])),
    *(("network", value, "one of none, host") for value in ("", "bridge", [])),
    ("network", "none", "only sandbox='strict'"),
    *(("max_processes", value, "from 1 to") for value in (0, -1, MAX_PROCESSES + 1)),
    *(("max_processes", value, "a whole number") for value in (1.5, True, "8")),
    *(("cpu", value, "from 0.05 to") for value in (0, 0.01, -1.0, math.nan, math.inf, 1e9)),
    *(("cpu", value, "a number of CPUs") for value in ("1", True, [])),
    *(("scratch", value, "one of keep, empty, host") for value in ("", None, "tmp")),
    *(("scratch_mb", value, "from 1 to") for value in (0, MAX_SCRATCH_MB + 1)),
    ("known_as", "", "a text, or None"),
    *(("known_as", value, "a text") for value in (5, b"f", "a\0b", "\ud800")),
    *(("known_as", value, "control character") for value in ("a\nb", "\x7f", "x" * 513)),
    *(("service", value, "a text") for value in (None, 5, "\0")),
    *((field, "a\nb", "control character") for field in ("qualifier", "version_id", "region")),
    *((field, "a\rb", "control character") for field in ("account_id", "log_project", "log_store")),
    *(("pre_stop", value, "there is no") for value in ("main.h", "json.dumps")),
    *(("pre_freeze", value, "'module.function'") for value in ("", "index")),
    *(("pre_stop_timeout", value, "at most 90") for value in (90.1, 0, math.inf)),
    *(("credentials", value, "a Credentials, or a callable") for value in ("key", ("i", "s"), 5)),
]


@pytest.mark.parametrize(("field", "value", "mend"), BAD)
def test_a_bad_value_is_named_with_its_mend(
    code: Path, field: str, value: object, mend: str
) -> None:
    """The error says which field, what it was, and what would do."""
    with pytest.raises(InvalidFunctionError) as caught:
        Function(**{"name": "f", "code": code, field: value})  # type: ignore[arg-type]

    assert field == caught.value.field
    assert mend in caught.value.mend
    assert str(caught.value).startswith(f"{field}=")


@pytest.mark.parametrize(
    ("environment", "key", "mend"),
    [
        ({"": "x"}, "environment['']", "starting with a letter"),
        ({"9A": "x"}, "environment['9A']", "starting with a letter"),
        ({"_A": "x"}, "environment['_A']", "starting with a letter"),
        ({"A B": "x"}, "environment['A B']", "starting with a letter"),
        ({"A=": "x"}, "environment['A=']", "starting with a letter"),
        ({"A\0": "x"}, "environment['A\\x00']", "starting with a letter"),
        ({5: "x"}, "environment[5]", "starting with a letter"),
        ({"FC_REGION": "x"}, "environment['FC_REGION']", "reserved"),
        ({"accessKeyID": "x"}, "environment['accessKeyID']", "reserved"),
        ({"accessKeySecret": "x"}, "environment['accessKeySecret']", "reserved"),
        ({"securityToken": "x"}, "environment['securityToken']", "reserved"),
        ({"A": 5}, "environment['A']", "a text without NUL"),
        ({"A": None}, "environment['A']", "a text without NUL"),
        ({"A": "s3cret\0"}, "environment['A']", "a text without NUL"),
        ({"A": "s3cret\ud800"}, "environment['A']", "a text without NUL"),
        ({"A": "s3cret" * 20_000}, "environment", "at most 65536 bytes"),
        ({"A": "😀" * 16_384}, "environment", "at most 65536 bytes"),
        ({f"V{n}": "x" for n in range(9_000)}, "environment", "at most 65536 bytes"),
    ],
)
def test_a_bad_variable_is_named_and_its_value_is_not_shown(
    code: Path, environment: Any, key: str, mend: str
) -> None:
    """The variable is named; what it holds may be a secret."""
    with pytest.raises(InvalidFunctionError) as caught:
        Function(name="f", code=code, environment=environment)

    assert key == caught.value.field
    assert mend in caught.value.mend
    assert "s3cret" not in str(caught.value)


def test_layers_fit_one_datagram(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All their paths together have a limit: a worker is told of them in one message."""
    monkeypatch.setattr("fc_runtime.checks.MAX_LIST_BYTES", 2 * len(str(code)))
    Function(name="f", code=code, layers=[code] * 2)

    with pytest.raises(InvalidFunctionError, match="layers='…': at most"):
        Function(name="f", code=code, layers=[code] * 3)


def test_more_always_warm_than_allowed_at_all(code: Path) -> None:
    """``max_instances`` cannot be less than ``min_instances``."""
    with pytest.raises(InvalidFunctionError, match="max_instances=2: from 3 to 10000"):
        Function(name="f", code=code, min_instances=3, max_instances=2)


def test_values_are_normalised_and_kept(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are absolute, seconds floats, sequences tuples; later changes of what came in are not seen."""
    environment = {"A": "1"}
    preload = ["json"]
    monkeypatch.chdir(code.parent)
    function = Function(
        name="f",
        code=f"./{code.name}",
        timeout=2,
        environment=environment,
        preload=preload,
        layers=[code / "dir"],
    )
    environment["A"] = "2"
    preload.append("csv")

    assert (code, ("json",), (code / "dir",)) == (function.code, function.preload, function.layers)
    assert float is type(function.timeout)
    assert {"A": "1"} == function.environment
    with pytest.raises(TypeError, match="cannot be changed"):
        function.environment["A"] = "3"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        function.timeout = 5  # type: ignore[misc]


def test_a_function_is_a_value(code: Path) -> None:
    """It goes to another process, is copied, taken apart, and found in a set."""
    function = Function(name="f", code=code, environment={"A": "1"})

    assert function == pickle.loads(pickle.dumps(function)) == copy.deepcopy(function)
    assert {function} == {dataclasses.replace(function)}
    assert {"A": "1"} == dataclasses.asdict(function)["environment"]


def test_a_function_is_its_own_template(code: Path) -> None:
    """``dataclasses.replace`` makes a checked variant; equal fields, equal functions."""
    function = Function(name="f", code=code, environment={"A": "1"}, preload=("json",))

    assert function == dataclasses.replace(function)
    assert 7.0 == dataclasses.replace(function, timeout=7).timeout
    with pytest.raises(InvalidFunctionError, match="timeout"):
        dataclasses.replace(function, timeout=-7)


def test_code_in_a_zip(tmp_path: Path, code: Path) -> None:
    """A .zip is looked into: the handler must be in it, in any of the forms of a folder."""
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("index.py", "dir/main.py", "pkg/__init__.py", "./dotted/index.py", "x.so"):
            archive.writestr(name, "")
    for handler in ("index.h", "dir/main.h", "./dir/main.h", "pkg.h", "dotted/index.h", "x.h"):
        assert path == Function(name="f", code=path, handler=handler).code

    with pytest.raises(InvalidFunctionError, match=r"there is no main\.py"):
        Function(name="f", code=path, handler="main.h")
    path.write_bytes(b"PK no zip")
    with pytest.raises(InvalidFunctionError, match=r"code=.*not a readable \.zip"):
        Function(name="f", code=path)


@pytest.mark.parametrize(
    ("options", "field", "mend"),
    [
        ({}, "code", "the folder or .zip"),
        (
            {"code": ".", "tmeout": 3},
            "tmeout",
            "no such field; code, handler, initializer, timeout",
        ),
        ({"code": ".", "name": "g"}, "name", "no such field"),
        ({"code": "/no/such/place"}, "code", "there is no"),
    ],
)
def test_made_from_options(options: dict[str, Any], field: str, mend: str) -> None:
    """A misspelt option is an InvalidFunctionError that lists the known ones, not a TypeError."""
    with pytest.raises(InvalidFunctionError) as caught:
        Function.made_from("f", options)

    assert field == caught.value.field
    assert mend in caught.value.mend


def test_made_from_is_the_constructor(code: Path) -> None:
    """Good options make the same function."""
    assert Function(name="f", code=code, timeout=1) == Function.made_from(
        "f", {"code": code, "timeout": 1}
    )


@given(
    st.floats() | st.integers() | st.booleans() | st.text(max_size=3) | st.none(),
    st.sampled_from([MAX_TIMEOUT_S, MAX_IDLE_S, math.inf]),
)
def test_seconds_are_positive_and_finite_or_refused(value: object, most: float) -> None:
    """Whatever comes in: a positive, finite float within the limit, or InvalidFunctionError."""
    try:
        seconds = positive_seconds("timeout", value, most)
    except InvalidFunctionError:
        return

    assert float is type(seconds)
    assert 0 < seconds <= most
    assert math.isfinite(seconds)


@given(st.text(max_size=20) | st.sampled_from(["../../etc/x.h", "..etc.x.h", "./.././a.h"]))
def test_any_handler_is_in_the_code_folder_or_refused(handler: str) -> None:
    """No text reaches outside the code folder, and none is met with another exception."""
    with pytest.raises(InvalidFunctionError):
        Function(name="f", code="/proc/self/fdinfo", handler=handler)
