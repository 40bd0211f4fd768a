"""Return values (spec 1.3-1.8) and error bodies (spec 1.14, 5.A, 5.B)."""

import datetime as dt
import decimal
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fc_worker import respond
from fc_worker.respond import TEXT_BYTES, Failure, encode, failure_of, platform_body
from hypothesis import given, strategies as st

# -- values ----------------------------------------------------------------------------------------


class WithJson:
    def to_json(self) -> Any:
        return '{"a": 1}'


class WithJsonDict:
    def to_json(self) -> Any:
        return {"b": decimal.Decimal("0.5")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", b"text"),
        ("", b""),
        ("\u4f60\u597d", b"\xe4\xbd\xa0\xe5\xa5\xbd"),
        ('"quoted"', b'"quoted"'),
        (b"", b""),
        (bytes(range(256)), bytes(range(256))),
    ],
)
def test_str_and_bytes_go_verbatim(value: object, expected: bytes) -> None:
    """1.3: no quotes around a str, bytes untouched."""
    assert expected == encode(value)


def test_subclasses_of_str_and_bytes_go_verbatim() -> None:
    """1.3: by isinstance, and what leaves is plain bytes whatever the subclass overrides."""

    class Text(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:
            raise AssertionError

    class Data(bytes):
        def __bytes__(self) -> bytes:
            raise AssertionError

    assert (encode(Text("t")), encode(Data(b"d"))) == (b"t", b"d")
    assert bytes is type(encode(Data(b"d")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": 2}, b'{\n    "a": 2,\n    "b": 1\n}'),
        (None, b"null"),
        (True, b"true"),
        (42, b"42"),
        ((1, 2), b"[\n    1,\n    2\n]"),
        (float("nan"), b"NaN"),
        ({}, b"{}"),
        (["\u4f60", "\ud800"], b'[\n    "\\u4f60",\n    "\\ud800"\n]'),
        ({1: 1}, b'{\n    "1": 1\n}'),
    ],
)
def test_anything_else_is_sorted_ascii_json(value: object, expected: bytes) -> None:
    """1.4: 4 spaces, sorted, ASCII-escaped."""
    assert expected == encode(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("1.50"), b"1.5"),
        (dt.date(2024, 2, 29), b'"2024-02-29"'),
        (
            dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC),
            b'"2024-02-29T01:02:03+00:00"',
        ),
        (WithJson(), b'"{\\"a\\": 1}"'),
        (WithJsonDict(), b'{\n    "b": 0.5\n}'),
    ],
)
def test_types_json_does_not_know(value: object, expected: bytes) -> None:
    """1.5: Decimal, datetime and date, ``to_json`` (a str that it returns is encoded again)."""
    assert expected == encode(value)


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    "value",
    [{"a": b"x"}, bytearray(b"x"), {1, 2}, (n for n in "x"), object(), dt.time(1)],
    ids=lambda value: type(value).__name__,
)
def test_not_serialisable(value: Any) -> None:
    """1.6: the message is the repr of the innermost object that fits nowhere."""
    culprit = value["a"] if isinstance(value, dict) else value

    with pytest.raises(TypeError) as caught:
        encode(value)

    assert repr(culprit) + " is not JSON serializable" == str(caught.value)


def test_coroutine_is_not_serialisable() -> None:
    """1.9: an ``async def`` handler that nobody awaited."""
    pending = coroutine()
    try:
        with pytest.raises(TypeError, match=r"<coroutine object .* is not JSON serializable"):
            encode(pending)
    finally:
        pending.close()


def test_mixed_keys_and_cycles() -> None:
    """1.7."""
    cycle: list[Any] = []
    cycle.append(cycle)

    with pytest.raises(TypeError, match="'<' not supported between instances of"):
        encode({"a": 1, 1: 2})
    with pytest.raises(ValueError, match="Circular reference detected"):
        encode(cycle)


def test_lone_surrogates_in_a_str_result() -> None:
    """1.8."""
    with pytest.raises(UnicodeEncodeError):
        encode("\ud800")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    PLAIN | st.decimals() | st.dates() | st.datetimes() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_encode_is_json_dumps_or_its_error(value: object) -> None:
    """1.3-1.8 at once: JSON's result, JSON's errors, and nothing else."""
    try:
        encoded = encode(value)
    except (TypeError, ValueError):
        return

    if not isinstance(value, str | bytes):
        assert encoded.isascii()
        json.loads(encoded)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_encode_of_json_values_is_json_dumps(value: object) -> None:
    """1.4: for what the json module knows, byte by byte."""
    if not isinstance(value, str):
        assert json.dumps(value, indent=4, sort_keys=True).encode() == encode(value)


# -- failures --------------------------------------------------------------------------------------


def raised_by(function: Callable[[], object]) -> Exception:
    """What *function* raises. The frame of this call is the runtime's one own frame."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 (it is what the test asks for)
        return error
    raise AssertionError


def failing(statement: str = "raise ValueError('x')") -> Failure:
    names: dict[str, Any] = {}
    exec(compile(f"def h():\n    {statement}", "/no/such/file.py", "exec"), names)
    return failure_of(raised_by(names["h"]))


def test_body_of_an_exception(tmp_path: Path) -> None:
    """5.A: to the letter, without the runtime's own frame."""
    path = tmp_path / "index.py"
    path.write_text("def my_handler():\n    raise Exception('something is wrong')\n")
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)

    failure = failure_of(raised_by(names["my_handler"]))

    assert failure[:2] == ("Exception", "something is wrong")
    assert (
        f"""{{
    "errorMessage": "something is wrong",
    "errorType": "Exception",
    "stackTrace": [
        [
            "File \\"{path}\\"",
            "line 2",
            "in my_handler",
            "raise Exception('something is wrong')"
        ]
    ]
}}""".encode()
        == failure.body
    )
    assert (
        "Traceback (most recent call last):\n"
        f'  File "{path}", line 2, in my_handler\n'
        "    raise Exception('something is wrong')\n"
        "Exception: something is wrong\n"
    ) == failure.traceback


def stack_trace(failure: Failure) -> list[list[str]]:
    return json.loads(failure.body)["stackTrace"]


def test_source_that_cannot_be_read_is_empty() -> None:
    """5.A: an entry always has its last part."""
    assert stack_trace(failing()) == [['File "/no/such/file.py"', "line 2", "in h", ""]]


def test_file_name_is_cut_at_commas() -> None:
    """5.A: an entry is the traceback's line, cut at every comma."""
    names: dict[str, Any] = {}
    exec(compile("def h(): 1 / 0", "/a, b.py", "exec"), names)

    assert stack_trace(failure_of(raised_by(names["h"]))) == [
        ['File "/a', 'b.py"', "line 1", "in h", ""]
    ]


def test_stack_trace_is_absent_without_user_frames() -> None:
    """1.14: what fails in the runtime's own frame has no frame that is shown."""
    one_frame = failure_of(raised_by(lambda: 1 / 0))
    no_frame = failure_of(raised_by(dict.fromkeys))  # type: ignore[arg-type]

    assert set(json.loads(one_frame.body)) == {"errorMessage", "errorType", "stackTrace"}
    assert set(json.loads(no_frame.body)) == {"errorMessage", "errorType"}
    assert no_frame.traceback.startswith("TypeError: ")


def test_wrong_arity() -> None:
    """1.14: the message is Python's."""

    def h() -> None: ...

    with pytest.raises(TypeError) as caught:
        h(b"", None)  # type: ignore[call-arg]
    failure = failure_of(caught.value)

    assert failure.error_type == "TypeError"
    assert failure.error_message.endswith("h() takes 0 positional arguments but 2 were given")
    assert "stackTrace" not in json.loads(failure.body)


@pytest.mark.parametrize(("skip", "frames"), [(0, 2), (1, 1), (2, 0), (9, 0)])
def test_skip_counts_frames_from_the_top(skip: int, frames: int) -> None:
    """1.6: with no frame skipped, the runtime's are shown as well."""
    error = raised_by(lambda: 1 / 0)

    assert frames == len(json.loads(failure_of(error, skip=skip).body).get("stackTrace", []))


def test_error_type_is_the_class_name_alone() -> None:
    """5.A: no module, no outer class; the human text has them."""

    class Outer:
        class CustomError(Exception): ...

    def h() -> None:
        raise Outer.CustomError("m")

    failure = failure_of(raised_by(h))

    assert failure.error_type == "CustomError"
    assert f"{__name__}.{Outer.CustomError.__qualname__}: m\n" in failure.traceback


def test_cause_is_in_the_human_text_only() -> None:
    """5.A: ``__cause__`` and ``__context__`` are ignored in the body."""

    def h() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    failure = failure_of(raised_by(h))

    assert b"inner" not in failure.body
    before, joint, after = failure.traceback.partition(
        "\nThe above exception was the direct cause of the following exception:\n\n"
    )
    assert joint
    assert before.endswith("KeyError: 'inner'\n")
    assert after.endswith("ValueError: outer\n")


@pytest.mark.parametrize("from_none", [False, True])
def test_context_is_shown_unless_suppressed(from_none: bool) -> None:
    """As the traceback module has it."""

    def h() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            if from_none:
                raise ValueError("outer") from None
            raise ValueError("outer")  # noqa: B904 (the case under test)

    assert ("During handling of the above exception" in failure_of(raised_by(h)).traceback) is (
        not from_none
    )


def test_syntax_error_at_run_time() -> None:
    """The place of the mistake is in the human text; in the body it is ``str(e)``."""
    failure = failing("compile('def f(:', 'made.py', 'exec')")

    assert failure.error_message == "invalid syntax (made.py, line 1)"
    assert failure.traceback.endswith(
        'File "made.py", line 1\ndef f(:\nSyntaxError: invalid syntax\n'
    )


def test_members_of_a_group_and_notes_are_told() -> None:
    """What asyncio's TaskGroup raises says little without its members."""
    group = ExceptionGroup("two", [ValueError("first"), KeyError("second")])
    group.add_note("a note")
    text = failure_of(group).traceback

    assert "ExceptionGroup: two (2 sub-exceptions)\na note\n" in text
    assert "  | ValueError: first\n" in text
    assert "  | KeyError: 'second'\n" in text


class StrRaisesError(Exception):
    def __str__(self) -> str:
        raise ValueError("no str")


class StrExitsError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class StrIsNoStrError(Exception):
    def __str__(self) -> Any:
        return 42  # noqa: PLE0307 (the case under test)


class ReprRaisesError(Exception):
    def __repr__(self) -> str:
        raise ValueError("no repr")


class HostileText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise ValueError("no len")

    def __getitem__(self, _: Any) -> Any:
        raise ValueError("no item")


class StrIsHostileError(Exception):
    def __str__(self) -> str:
        return HostileText("text")


class NoTracebackError(Exception):
    __traceback__ = property(lambda _: 1 / 0)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StrRaisesError(), "<str() of StrRaisesError failed>"),
        (StrExitsError(), "<str() of StrExitsError failed>"),
        (StrIsNoStrError(), "<str() of StrIsNoStrError failed>"),
        (ReprRaisesError("m"), "m"),
        (StrIsHostileError(), "text"),
        (KeyError(ReprRaisesError()), "<str() of KeyError failed>"),
        (NoTracebackError("m"), "m"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hostile_exceptions_are_described(error: BaseException, message: str) -> None:
    """An exception that cannot say what it is still gives a Failure with its type."""
    failure = failure_of(error)

    assert (type(error).__name__, message) == failure[:2]
    assert message == json.loads(failure.body)["errorMessage"]
    assert message in failure.traceback


def test_type_that_lies_about_its_name_is_described() -> None:
    """By the name it was born with: its metaclass has no say in it."""

    class Meta(type):
        __name__ = property(lambda _: 1 / 0)  # type: ignore[assignment]

    class LiarError(Exception, metaclass=Meta): ...

    failure = failure_of(LiarError("m"))

    assert ("LiarError", "m") == failure[:2]
    assert {"errorType": "LiarError", "errorMessage": "m"} == json.loads(failure.body)


def test_exception_that_hides_where_it_was_raised_is_told_all_the_same() -> None:
    """Its class may say what it likes of its traceback and of itself."""

    class HidingError(NoTracebackError):
        __class__ = property(lambda _: 1 / 0)  # type: ignore[assignment]

    try:
        raise HidingError("m")
    except HidingError as error:
        failure = failure_of(error, skip=0)

    (place,) = json.loads(failure.body)["stackTrace"]
    assert 'raise HidingError("m")' == place[-1]
    assert ("HidingError", "m") == failure[:2]


def test_description_survives_an_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised while an exception is looked at, it is not what the answer is about."""

    def leave(*_: Any) -> Any:
        raise SystemExit(3)

    monkeypatch.setattr("linecache.getline", leave)
    monkeypatch.setattr("json.dumps", leave)
    try:
        raise ValueError("m")
    except ValueError as error:
        failure = failure_of(error, skip=0)

    assert ("ValueError", "m") == failure[:2]
    assert "<the exception cannot be described>" in failure.body.decode()


@pytest.mark.parametrize("letter", ["x", "\u4f60", "\U0001f600", "\ud800", "\0"])
def test_gigantic_messages_are_cut(letter: str) -> None:
    """16 KiB of UTF-8 each, mark included, for message and traceback."""
    failure = failure_of(ValueError(letter * 3_000_000))

    assert len(failure.error_message.encode()) <= TEXT_BYTES
    assert len(failure.traceback.encode()) <= TEXT_BYTES
    assert "[cut: 3000000 characters in all]" in failure.error_message
    assert "characters in all]" in failure.traceback
    assert len(failure.body) < 8 * TEXT_BYTES


def test_message_at_the_limit_is_whole() -> None:
    """The limit itself is no reason to cut."""
    message = "x" * TEXT_BYTES

    assert message == failure_of(ValueError(message)).error_message
    assert message != failure_of(ValueError(message + "x")).error_message


def test_surrogates_are_escaped_in_the_body_and_replaced_elsewhere() -> None:
    """The body is what JSON makes of them (5.A); headers must be encodable."""
    failure = failure_of(OSError("/tmp/\udcff"))

    assert json.loads(failure.body)["errorMessage"] == "/tmp/\udcff"
    assert failure.error_message == "/tmp/?"
    assert failure.traceback == "OSError: /tmp/?\n"


def recurse() -> None:
    recurse()


def ping() -> None:
    pong()


def pong() -> None:
    ping()


def test_recursion_is_folded() -> None:
    """5.A has the traceback module's text: three of the same, then how many more."""
    failure = failure_of(raised_by(recurse))
    trace = stack_trace(failure)

    assert failure.error_type == "RecursionError"
    assert len(trace) == 4
    assert [entry[2] for entry in trace[:3]] == ["in recurse"] * 3
    remark, nothing = trace[3]
    assert nothing == ""
    assert remark.startswith("[Previous line repeated ")
    assert remark.endswith(" more times]")
    assert remark in failure.traceback


def test_mutual_recursion_is_bounded() -> None:
    """What cannot be folded loses its middle: both ends stay."""
    trace = stack_trace(failure_of(raised_by(ping)))

    assert len(trace) == respond.FRAMES_SHOWN + 1
    remark = trace[respond.FRAMES_SHOWN // 2][0]
    assert remark.endswith(" lines left out]")


def test_endless_chain_is_bounded() -> None:
    """A retry loop may link thousands of exceptions; the newest are shown."""
    oldest = error = ValueError("number 0")
    for number in range(1, 5_000):
        newer = ValueError(f"number {number}")
        newer.__context__, error = error, newer
    text = failure_of(error).traceback

    assert text.startswith("[earlier exceptions left out]\n")
    assert text.endswith("ValueError: number 4999\n")
    assert text.count("ValueError: number") == respond.CHAIN_SHOWN
    assert oldest.__context__ is None


def test_chain_in_a_circle_ends() -> None:
    """Each exception is told once."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    text = failure_of(first).traceback

    assert (text.count("ValueError: first"), text.count("ValueError: second")) == (1, 1)


def test_depth_of_the_interpreter_does_not_matter() -> None:
    """A hundred thousand frames cost no more output than a thousand."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        failure = failure_of(raised_by(ping))
    finally:
        sys.setrecursionlimit(limit)

    assert len(failure.body) < 64 * 1024
    assert len(failure.traceback) <= TEXT_BYTES


@given(st.text(alphabet=st.characters(), max_size=300) | st.text(alphabet='\ud800\udcffx\n,^"\\'))
def test_any_message_gives_valid_json(message: str) -> None:
    """5.A: the body parses and says what the exception said; headers encode."""
    failure = failure_of(ValueError(message))

    as_json_has_it = json.loads(json.dumps(message))  # two halves of a pair become one character
    assert json.loads(failure.body) == {"errorMessage": as_json_has_it, "errorType": "ValueError"}
    assert failure.body.isascii()
    failure.error_message.encode()
    failure.traceback.encode()


def test_platform_body_is_compact() -> None:
    """5.B: one key, no spaces."""
    message = "Function timed out after 30 seconds (maxMemoryUsage: 47.28MB)"

    assert (
        platform_body(message)
        == b'{"errorMessage":"Function timed out after 30 seconds (maxMemoryUsage: 47.28MB)"}'
    )
