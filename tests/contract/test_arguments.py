"""
Wrong arguments are refused where they are given, and the error names field, value and mend
(design 2; spec 13.9).
"""

import logging
import math
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_runtime import (
    Crashed,
    Credentials,
    Function,
    FunctionNotFoundError,
    HttpRequest,
    InvalidFunctionError,
    RefusedError,
    RuntimeClosedError,
)
from support.callers import CALLERS, Caller, Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]

NAN = math.nan
NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "index.py").write_text("def handler(event, context): return event\n")
    return folder


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("handler", "index", "'index.handler'"),
        ("handler", "nosuch.handler", "there is no nosuch.py in"),
        ("handler", None, "a text"),
        ("initializer", "index", "'index.handler'"),
        ("initializer", 42, "a text"),
        ("timeout", -1, "positive"),
        ("timeout", 0, "positive"),
        ("timeout", NAN, "positive, finite"),
        ("timeout", math.inf, "finite"),
        ("timeout", 86_401, "at most 86400"),
        ("timeout", 10**400, "at most 86400"),
        ("timeout", "3", "a number of seconds"),
        ("timeout", None, "a number of seconds"),
        ("timeout", True, "a number of seconds"),
        ("initialization_timeout", -0.5, "positive"),
        ("initialization_timeout", NAN, "finite"),
        ("idle_timeout", 0, "positive"),
        ("idle_timeout", NAN, "finite"),
        ("idle_timeout", math.inf, "finite"),
        ("memory_mb", 16, "from 32 to 32768"),
        ("memory_mb", 0, "from 32"),
        ("memory_mb", -128, "from 32"),
        ("memory_mb", 32_769, "to 32768"),
        ("memory_mb", 128.0, "a whole number"),
        ("memory_mb", "128", "a whole number"),
        ("min_instances", -1, "from 0"),
        ("max_instances", 0, "from 1"),
        ("max_invocations", 0, "from 1"),
        ("max_invocations", 1.5, "a whole number"),
        ("sandbox", "strict-ish", "one of"),
        ("credentials", ("id", "secret", "token"), "a Credentials"),
        ("environment", ["A=1"], "a mapping"),
        ("preload", "json", "a sequence"),
        ("preload", ["not a module"], "a module's name"),
        ("layers", "/tmp", "a sequence of folders"),
        ("layers", ["/no/such/layer"], "no such folder"),
        ("memory", 128, "no such field; "),
        ("time_out", 3, "timeout"),
        ("event", b"", "no such field"),
    ],
)
def test_wrong_option_is_refused_by_name(
    caller: Caller, code: Path, field: str, value: object, mend: str
) -> None:
    """`register` names the field, its value, and what would do; nothing is registered."""
    with pytest.raises(InvalidFunctionError) as caught:
        caller.register("refused", code=code, **{field: value})

    error = caught.value
    assert field == error.field
    assert mend in error.mend
    assert str(error).startswith(f"{field}=")
    assert isinstance(error, RefusedError)
    assert isinstance(error, ValueError)
    assert "fc.refused.invalid_function" == error.code
    assert {} == caller.functions()
    if field != "credentials":  # whose value might be a secret
        assert value is error.value or value == error.value or isinstance(value, list)


@pytest.mark.parametrize("name", ["", "1abc", "a b", "a/b", "-a", "a" * 129, "a\n", "é", None, 7])
def test_wrong_name_is_refused(caller: Caller, code: Path, name: Any) -> None:
    """Letters, digits, _ and -, at most 128 (spec 7.C)."""
    with pytest.raises(InvalidFunctionError, match="name=") as caught:
        caller.register(name, code=code)

    assert ("name", name) == (caught.value.field, caught.value.value)


@pytest.mark.parametrize("name", ["a", "A-b_9", "_a", "a" * 128])
def test_any_legal_name_works(caller: Caller, code: Path, name: str) -> None:
    """Whatever the name rule allows can be registered and called."""
    caller.register(name, code=code)

    assert b"event" == caller.invoke(name, "event").payload
    assert [name] == list(caller.functions())


def test_max_instances_below_min_instances_is_refused(caller: Caller, code: Path) -> None:
    """The two are looked at together."""
    with pytest.raises(InvalidFunctionError, match=r"max_instances=2: from 3"):
        caller.register("refused", code=code, min_instances=3, max_instances=2)


@pytest.mark.parametrize(
    "name",
    [
        "FC_ANYTHING",
        "FC_FUNC_CODE_PATH",
        "accessKeyID",
        "accessKeySecret",
        "securityToken",
        "1A",
        "_A",
        "A-B",
        "A B",
        "A=B",
        "",
        "Ä",
    ],
)
def test_reserved_or_illegal_variable_is_refused(caller: Caller, code: Path, name: str) -> None:
    """Names that are FC's own, or that are no names (spec 9.B)."""
    with pytest.raises(InvalidFunctionError) as caught:
        caller.register("refused", code=code, environment={name: "value"})

    assert f"environment[{name!r}]" == caught.value.field
    assert caught.value.mend


@pytest.mark.parametrize("value", [1, None, b"bytes", "with\0nul", "\ud800"])
def test_variable_must_be_a_text(caller: Caller, code: Path, value: object) -> None:
    """Anything else could not be put into an environment; its value is not shown."""
    with pytest.raises(InvalidFunctionError) as caught:
        caller.register("refused", code=code, environment={"A": value})

    assert "environment['A']" == caught.value.field


def test_environment_has_a_size(caller: Caller, code: Path) -> None:
    """FC's 4 KB are fine, and so is more; without a bound it would fail at exec."""
    caller.register("fine", code=code, environment={"A": "x" * 8192})
    assert b"" == caller.invoke("fine").payload

    with pytest.raises(InvalidFunctionError, match="environment"):
        caller.register("refused", code=code, environment={"A": "x" * 10**6})


@pytest.mark.parametrize("field", ["access_key_id", "access_key_secret", "security_token"])
@pytest.mark.parametrize("value", [None, 7, b"bytes", "with\0nul", "\ud800"])
def test_credentials_must_be_texts(field: str, value: object) -> None:
    """Checked where they are made; a secret is never shown."""
    triple = {"access_key_id": "id", "access_key_secret": "secret", field: value}

    with pytest.raises(InvalidFunctionError) as caught:
        Credentials(**triple)

    assert field in caught.value.field


def test_longest_times_work(deploy: Deploy) -> None:
    """What the checks let through, the clocks can hold: FC's 86,400 s, and idle for ever."""
    function = deploy(
        "dying",
        "index.dispatch",
        timeout=86_400,
        initialization_timeout=86_400,
        idle_timeout=1e9,
    )

    for _ in range(2):
        assert b"well" == function("well").payload
        assert Crashed(signal=9) == function.fail("killed").outcome


def test_least_memory_is_enough_for_a_handler(deploy: Deploy) -> None:
    """The smallest ``memory_mb`` that is let through runs an interpreter and an event."""
    function = deploy("events", "index.echo", memory_mb=32)

    for event in (b"small", bytes(2**20)):
        assert event == function(event).payload


# -- code --------------------------------------------------------------------------------------


def test_missing_code_is_refused(caller: Caller, tmp_path: Path) -> None:
    """No code given, a folder that is not there, a file that is no zip."""
    with pytest.raises(InvalidFunctionError, match=r"code=None: the folder or \.zip"):
        caller.register("refused")
    for value in (tmp_path / "nowhere", "", 42, None):
        with pytest.raises(InvalidFunctionError, match="code=") as caught:
            caller.register("refused", code=value)
        assert "code" == caught.value.field
    with pytest.raises(InvalidFunctionError, match=r"code=.*too long"):
        caller.register("refused", code="x" * 5000)
    plain = tmp_path / "index.py"
    plain.write_text("def handler(event, context): pass\n")
    with pytest.raises(InvalidFunctionError, match=r"neither a folder nor a \.zip"):
        caller.register("refused", code=plain)


def zip_with(path: Path, entry: str | zipfile.ZipInfo, content: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return 'well'\n")
        archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    "entry", ["../evil.py", "/etc/evil.py", "a/../../evil.py", "a\\..\\evil.py"]
)
def test_zip_that_writes_outside_is_refused(caller: Caller, tmp_path: Path, entry: str) -> None:
    """An entry that would land outside the code folder names itself; nothing is unpacked."""
    package = zip_with(tmp_path / "code.zip", entry)

    with pytest.raises(InvalidFunctionError, match="outside the code folder") as caught:
        caller.register("refused", code=package)

    assert "code" == caught.value.field
    assert repr(entry) in str(caught.value)
    assert not (tmp_path / "evil.py").exists()


def entry_of(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o777) << 16
    return entry


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_zip_with_a_special_file_is_refused(caller: Caller, tmp_path: Path, kind: int) -> None:
    """Nobody's code has one."""
    package = zip_with(tmp_path / "code.zip", entry_of("tty", kind))

    with pytest.raises(InvalidFunctionError, match="'tty' is a special file"):
        caller.register("refused", code=package)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("shadow", "/etc/shadow"),
        ("up", ".."),
        ("lib/up", "../.."),
        ("lib/up", "deep/../../.."),  # ``deep`` may be a link by then
        ("up", "./lib/../.."),
        ("empty", ""),
        ("long", "x" * 4096),
        ("folder/", "lib"),
    ],
)
def test_zip_with_a_link_that_leads_outside_is_refused(
    caller: Caller, tmp_path: Path, name: str, target: str
) -> None:
    """Wherever it leads; nothing is unpacked."""
    package = zip_with(tmp_path / "code.zip", entry_of(name, stat.S_IFLNK), target)

    with pytest.raises(InvalidFunctionError, match=f"'{name}' is a link that leads outside"):
        caller.register("refused", code=package)


@pytest.mark.parametrize(
    "entries", [("up", "up/evil"), ("up/evil", "up"), ("up", "up/"), ("up", "up")]
)
def test_zip_with_something_behind_a_link_is_refused(
    caller: Caller, tmp_path: Path, entries: tuple[str, str]
) -> None:
    """It would be written where the link leads to."""
    package = tmp_path / "code.zip"
    with zipfile.ZipFile(package, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a duplicate name
        archive.writestr("index.py", "def handler(event, context): return 'well'\n")
        for name in entries:
            kind = stat.S_IFLNK if name == "up" else 0
            archive.writestr(entry_of(name, kind), "." if kind else "")

    with pytest.raises(InvalidFunctionError):
        caller.register("refused", code=package)
        caller.invoke("refused")


def test_zip_with_links_inside_is_unpacked_with_them(caller: Caller, tmp_path: Path) -> None:
    """As `zip -y` makes them, of a library's versions; also out of a folder, and to a folder."""
    package = tmp_path / "code.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(entry_of("lib/newest", stat.S_IFLNK), "../versions/two")
        archive.writestr(entry_of("newest.txt", stat.S_IFLNK), "lib/newest/text")
        archive.writestr("versions/two/text", "of the second")
        archive.writestr(
            "index.py",
            "import os\ndef handler(event, context):\n"
            "    return os.readlink('lib/newest') + ': ' + open('newest.txt').read()\n",
        )
    caller.register("linked", code=package)

    assert "../versions/two: of the second" == caller.invoke("linked").text


def test_zip_that_is_none_is_refused(caller: Caller, tmp_path: Path) -> None:
    """Named .zip, but not readable as one."""
    package = tmp_path / "code.zip"
    package.write_bytes(b"PK\x03\x04 and then nothing")

    with pytest.raises(InvalidFunctionError, match=r"not a readable \.zip"):
        caller.register("refused", code=package)


def test_zip_without_the_module_is_refused(caller: Caller, tmp_path: Path) -> None:
    """The handler's module is looked for in the zip too."""
    package = zip_with(tmp_path / "code.zip", "data.txt")

    with pytest.raises(InvalidFunctionError, match=r"there is no other\.py"):
        caller.register("refused", code=package, handler="other.handler")


def test_zip_bomb_is_refused(caller: Caller, tmp_path: Path) -> None:
    """More than FC's 500 MB unpacked is refused before it is written (spec 12)."""
    package = tmp_path / "code.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("index.py", "def handler(event, context): pass\n")
        with archive.open("zeros", "w", force_zip64=True) as zeros:
            for _ in range(501):
                zeros.write(bytes(1_000_000))

    with pytest.raises(InvalidFunctionError, match="unpacks to more than 500000000 bytes"):
        caller.register("refused", code=package)


# -- calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", -1),
        ("timeout", 0),
        ("timeout", NAN),
        ("timeout", math.inf),
        ("timeout", 10**400),
        ("timeout", "3"),
        ("request_id", ""),
        ("request_id", "two\nlines"),
        ("request_id", "a blank"),
        ("request_id", "x" * 129),
        ("request_id", "é"),
        ("request_id", 42),
        ("request_id", b"bytes"),
        ("credentials", ("id", "secret", "token")),
        ("credentials", "secret"),
        ("json", NAN),
        ("json", NESTED),
        ("http", 5),
        ("http", HttpRequest(headers=5)),
        ("http", HttpRequest(headers=[("a", "b")])),
        ("http", HttpRequest(headers={"a": 5})),
    ],
)
def test_wrong_argument_of_a_call_is_refused(
    caller: Caller, code: Path, field: str, value: object
) -> None:
    """`invoke` names it likewise; no process is started for it, the next call works."""
    caller.register("echo", code=code)

    with pytest.raises(InvalidFunctionError) as caught:
        caller.invoke("echo", b"", **{field: value})

    assert field == caught.value.field
    assert caught.value.mend
    assert 0 == caller.stats()["functions"]["echo"]["processes"]
    assert b"well" == caller.invoke("echo", "well").payload


def test_a_memoryview_that_was_released_is_refused(caller: Caller, code: Path) -> None:
    """As anything else that is no event."""
    caller.register("echo", code=code)
    event = memoryview(b"gone")
    event.release()

    with pytest.raises(InvalidFunctionError, match="event='memoryview'"):
        caller.invoke("echo", event)


@pytest.mark.parametrize("name", [[], {}])
def test_a_name_that_cannot_be_one_is_refused(caller: Caller, code: Path, name: Any) -> None:
    """By every verb."""
    caller.register("echo", code=code)

    for verb in (caller.invoke, caller.warm, caller.unregister):
        with pytest.raises(InvalidFunctionError, match="name="):
            verb(name)


def test_refusals_are_raised_even_without_check(caller: Caller, code: Path) -> None:
    """``check=False`` is about outcomes: what was never run has none."""
    caller.register("echo", code=code)

    with pytest.raises(InvalidFunctionError):
        caller.invoke("echo", b"", timeout=-1, check=False)
    with pytest.raises(FunctionNotFoundError):
        caller.invoke("nobody", check=False)


def test_callable_that_gives_no_credentials_is_told(caller: Caller, code: Path) -> None:
    """The function's own callable returned something else: named, and nothing is lost by it."""
    answers: list[Any] = ["a secret that must not be shown"]
    caller.register("echo", code=code, credentials=lambda: answers[0])

    with pytest.raises(InvalidFunctionError) as caught:
        caller.invoke("echo")

    assert "credentials" in caught.value.field
    assert "must not be shown" not in str(caught.value)
    answers[0] = Credentials(access_key_id="id", access_key_secret="secret")
    assert caller.invoke("echo").ok


def test_unknown_function_names_those_that_are_known(caller: Caller, code: Path) -> None:
    """FunctionNotFoundError helps with a typo."""
    caller.register("hello", code=code)

    for ask in (
        lambda: caller.invoke("helo"),
        lambda: caller.warm("helo"),
        lambda: caller.unregister("helo"),
    ):
        with pytest.raises(FunctionNotFoundError, match="helo") as caught:
            ask()
        assert "fc.refused.function_not_found" == caught.value.code
    with pytest.raises(FunctionNotFoundError, match="hello"):
        caller.invoke("helo")


def test_unregistered_function_is_unknown(caller: Caller, code: Path) -> None:
    """After `unregister` the name is free, and its processes go."""
    caller.register("echo", code=code)
    caller.invoke("echo")

    caller.unregister("echo")

    assert {} == caller.functions()
    with pytest.raises(FunctionNotFoundError):
        caller.invoke("echo")


@pytest.mark.parametrize("n", [0, -1, 11, 1.5, True, "1"])
def test_wrong_number_to_warm_is_refused(caller: Caller, code: Path, n: Any) -> None:
    """From 1 to the function's max_instances."""
    caller.register("echo", code=code)

    with pytest.raises(InvalidFunctionError, match="n="):
        caller.warm("echo", n)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "1"])
def test_wrong_concurrency_is_refused(caller: Caller, code: Path, concurrency: Any) -> None:
    """`map` wants a whole number from 1."""
    caller.register("echo", code=code)

    with pytest.raises(InvalidFunctionError, match="concurrency="):
        caller.map("echo", [b""], concurrency=concurrency)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_queue", -1),
        ("max_queue", 1.5),
        ("max_event_bytes", "32 MiB"),
        ("max_response_bytes", 2**31),
        ("isolation", "chains"),
        ("region", None),
        ("region", "two\nlines"),
        ("account_id", 1234567890),
        ("placement", "no"),
        ("log", 5),
        ("log", logging.getLogger("plain")),  # would not take an event's fields
    ],
)
@pytest.mark.parametrize("kind", list(CALLERS))
def test_wrong_option_of_a_runtime_is_refused(kind: str, option: str, value: object) -> None:
    """A runtime that could not work is not made."""
    with pytest.raises(InvalidFunctionError) as caught:
        CALLERS[kind](**{option: value})

    assert (option, value) == (caught.value.field, caught.value.value)


# -- functions as values -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(CALLERS))
@pytest.mark.parametrize("drain", [-1, NAN, "1", True, []])
def test_wrong_drain_is_refused(kind: str, code: Path, drain: Any) -> None:
    """And nothing has been closed by it."""
    caller = CALLERS[kind]()
    caller.register("echo", code=code)

    with pytest.raises(InvalidFunctionError, match="drain="):
        caller.close(drain)

    assert b"well" == caller.invoke("echo", "well").payload
    caller.close(math.inf)
    caller.end()


def test_function_may_be_made_beforehand(caller: Caller, code: Path) -> None:
    """`register` takes a Function as well, and hands back what it registered."""
    function = Function(name="echo", code=str(code), timeout=5)

    assert function is caller.register(function)
    assert {"echo": function} == caller.functions()
    assert (5.0, "index.handler", code.resolve()) == (
        function.timeout,
        function.handler,
        function.code,
    )
    with pytest.raises(InvalidFunctionError, match="timeout"):
        caller.register(function, timeout=3)


def test_function_cannot_be_changed(code: Path) -> None:
    """Frozen, its environment included: what was checked stays checked."""
    given = {"A": "1"}
    function = Function(name="echo", code=code, environment=given)
    given["A"] = "2"

    assert "1" == function.environment["A"]
    with pytest.raises(AttributeError):
        function.timeout = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        function.environment["A"] = "3"  # type: ignore[index]


def test_relative_code_is_meant_from_here(
    caller: Caller, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is resolved once, at `register`; the host may change directory later."""
    monkeypatch.chdir(code.parent)
    caller.register("echo", code="code")
    monkeypatch.chdir("/")

    assert b"event" == caller.invoke("echo", "event").payload


def test_closed_runtime_refuses_everything(caller: Caller, code: Path) -> None:
    """RuntimeClosedError, from every verb but close itself (which may be called again)."""
    caller.register("echo", code=code)
    caller.invoke("echo")
    caller.close()
    caller.close()

    for verb in (
        lambda: caller.invoke("echo"),
        lambda: caller.register("other", code=code),
        lambda: caller.unregister("echo"),
        lambda: caller.warm("echo"),
        lambda: caller.map("echo", [b""]),
        lambda: caller.submit("echo").result(),
    ):
        with pytest.raises(RuntimeClosedError) as caught:
            verb()
        assert "fc.refused.closed" == caught.value.code


def test_a_code_folder_that_has_gone_is_named(caller: Caller, tmp_path: Path) -> None:
    """What was right at `register` may be wrong at the first call: the error still says what."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "index.py").write_text("def handler(event, context):\n    return event\n")
    caller.register("gone", code=folder)
    (folder / "index.py").unlink()
    folder.rmdir()

    for _ in range(2):
        with pytest.raises(InvalidFunctionError) as caught:
            caller.invoke("gone")
        assert (caught.value.field, caught.value.value) == ("code", str(folder))
