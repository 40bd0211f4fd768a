"""
What goes back: the handler's value as bytes, its exception as Function Compute's error body.

Everything here meets objects that user code made, so every text taken from one is guarded
(``__str__`` may raise), cut (it may be gigantic) and, where it travels in a header, made encodable
(it may hold surrogates). The work on a traceback does not grow with what it would print: deep
recursion is folded as the traceback module folds it, the middle of what is left is left out, and
of a chain of exceptions only the newest are shown. The body is Function Compute's to the letter;
the human text beside it has no caret lines, which would make it five times as dear.
"""

import json
import linecache
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from itertools import groupby
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias

TEXT_BYTES: Final = 16 * 1024  # one message, or one human traceback, in UTF-8 and with its mark
ITEM_CHARS: Final = 1024  # one file name, function name or source line of a frame
FRAMES_SHOWN: Final = 100  # the outer and the inner half; a traceback seldom has a tenth of it
REPEATS_SHOWN: Final = 3  # of the same line, as the traceback module has it
CHAIN_SHOWN: Final = 8  # exceptions linked by __cause__ and __context__, the newest
GROUP_SHOWN: Final = 15  # members of an exception group
GROUP_DEPTH: Final = 2

_Place: TypeAlias = tuple[str, int, str]  # file name, line, function
_Call: TypeAlias = tuple[str, int, str, str] | str  # a place and its source line, or a remark

_CAUSED: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def encode(value: object) -> bytes:
    """
    Turn what the handler returned into the response payload.

    Args:
        value: str is encoded as UTF-8, bytes are taken verbatim, anything else becomes ASCII JSON
            with sorted keys and an indent of 4.
    Raises: what json, ``to_json`` or ``__repr__`` raise; UnicodeEncodeError for lone surrogates.
    Source: spec 1.3-1.8.
    """
    if isinstance(value, str):
        return str.encode(value)
    if isinstance(value, bytes):
        return value if type(value) is bytes else bytes(memoryview(value))
    return _ENCODER.encode(value).encode()


def _as_json(value: Any) -> Any:
    """What the json module asks about a type that it does not know (spec 1.5, 1.6)."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):  # so is a datetime
        return value.isoformat()
    if hasattr(value, "to_json"):
        return value.to_json()
    raise TypeError(repr(value) + " is not JSON serializable")


_ENCODER: Final = json.JSONEncoder(default=_as_json, indent=4, sort_keys=True)


class Failure(NamedTuple):
    """An exception, described: no part of it refers to user objects any more."""

    error_type: str  # the bare class name
    error_message: str  # at most TEXT_BYTES, encodable
    body: bytes  # what Function Compute answers (spec 5.A)
    traceback: str  # for people: chained, without our own frames; at most TEXT_BYTES, encodable


def failure_of(error: BaseException, *, skip: int = 1) -> Failure:
    """
    Describe *error*. Never raises, whatever *error* does when asked about itself.

    Args:
        skip: how many frames at the top are the runtime's own and not shown [frames]. With no
            other frame the body has no ``stackTrace`` (spec 1.14).
    Source: spec 5.A.
    """
    error_type, message, calls, text = "Exception", "<the exception cannot be described>", [], ""
    with suppress(BaseException):  # step by step: what is known before a step fails, is told
        error_type = _bounded(_name_of(type(error)))
        message = message_of(error)
        outermost = traceback_of(error)
        for _ in range(skip):
            outermost = outermost and outermost.tb_next
        calls = _calls(outermost)
        text = traceback_text(error, outermost)
    return Failure(
        encodable(error_type),
        encodable(message),
        error_body(error_details(error_type, message, [_stack_entry(call) for call in calls])),
        text or _bounded(encodable(f"{error_type}: {message}")),
    )


def error_details(error_type: str, message: str, stack_trace: list[Any]) -> dict[str, Any]:
    """The three keys of spec 5.A; ``stackTrace`` only when there is one."""
    details = {"errorMessage": message, "errorType": error_type}
    return {**details, "stackTrace": stack_trace} if stack_trace else details


def error_body(details: dict[str, Any]) -> bytes:
    try:
        return json.dumps(details, indent=4, sort_keys=True).encode()
    except BaseException:  # noqa: BLE001 (user code has broken json: an answer is due all the same)
        return _UNDESCRIBED


_UNDESCRIBED: Final = error_body(
    {"errorMessage": "<the exception cannot be described>", "errorType": "Exception"}
)


def platform_body(message: str) -> bytes:
    """The body of a failure that no exception describes, a timeout for one (spec 5.B)."""
    return json.dumps({"errorMessage": message}, separators=(",", ":")).encode()


# Asked of the base classes: a class of the handler's may have put something else in their place.
traceback_of: Final[Callable[[BaseException], TracebackType | None]] = BaseException.__dict__[
    "__traceback__"
].__get__


def _name_of(kind: type) -> str:
    return str.__str__(type.__dict__["__name__"].__get__(kind))


def message_of(error: object) -> str:
    """``str(error)``, at most TEXT_BYTES of it; a remark in its place if that fails."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 (even SystemExit: it is only being described)
        return f"<str() of {_name_of(type(error))} failed>"
    return _bounded(str.__str__(text))  # a subclass of str may not cut in here


def exception_lines(error: BaseException) -> list[str]:
    """
    The end of a traceback: ``["ValueError: boom"]``. A syntax error has its place before that,
    ``['File "index.py", line 1', "def f(:", "SyntaxError: invalid syntax"]``.
    Not the traceback module's: since CPython 3.12 that one adds guesses ("Did you mean ...?"),
    and it visits the whole chain of exceptions for it.
    """
    kind = type(error)
    known = kind.__module__ in {"builtins", "__main__"}
    name = kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, SyntaxError) and error.lineno is not None:
        place = f'File "{error.filename or "<string>"}", line {error.lineno}'
        source = [_item(error.text.strip())] if error.text else []
        return [_item(place), *source, f"{name}: {_bounded(str(error.msg))}"]
    message = message_of(error)
    return [f"{name}: {message}" if message else name]


def traceback_text(error: BaseException, outermost: TracebackType | None) -> str:
    """*error* as a person wants it, oldest cause first, its own calls from *outermost* on."""
    links = [_block(error, outermost)]
    seen = {id(error)}
    while True:
        older, joint = error.__cause__, _CAUSED
        if older is None and not error.__suppress_context__:
            older, joint = error.__context__, _DURING
        if older is None or id(older) in seen:
            break
        if len(links) == CHAIN_SHOWN:
            links.append("[earlier exceptions left out]\n")
            break
        seen.add(id(older))
        links.append(_block(older, older.__traceback__) + joint)
        error = older
    return _bounded(encodable("".join(reversed(links))), tail_bytes=TEXT_BYTES // 2)


def _block(error: BaseException, outermost: TracebackType | None, depth: int = 0) -> str:
    lines = [f"{line}\n" for line in exception_lines(error)]
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        lines += [f"{message_of(note)}\n" for note in notes[:GROUP_SHOWN]]
    if isinstance(error, BaseExceptionGroup) and depth < GROUP_DEPTH:
        for number, member in enumerate(error.exceptions[:GROUP_SHOWN], 1):
            inner = _block(member, member.__traceback__, depth + 1)
            lines.append(f"  +---- {number} of {len(error.exceptions)} ----\n")
            lines += [f"  | {line}\n" for line in inner.splitlines()]
    if outermost is None:
        return "".join(lines)
    calls = [
        f"  {call}\n" if isinstance(call, str) else traceback.format_list([call])[0]
        for call in _calls(outermost)
    ]
    return "".join(["Traceback (most recent call last):\n", *calls, *lines])


def _calls(outermost: TracebackType | None) -> list[_Call]:
    """The calls from *outermost* down to the raise: at most FRAMES_SHOWN, and a remark or two."""
    head: list[tuple[_Place | str, Any]] = []
    tail: deque[tuple[_Place | str, Any]] = deque(maxlen=FRAMES_SHOWN // 2)
    in_all = 0
    for shown in _folded(outermost):
        in_all += 1
        (head if len(head) < FRAMES_SHOWN // 2 else tail).append(shown)
    left_out = in_all - len(head) - len(tail)
    gap: list[_Call] = [f"[{left_out} lines left out]"] if left_out else []
    return [*(_call(*shown) for shown in head), *gap, *(_call(*shown) for shown in tail)]


def _folded(outermost: TracebackType | None) -> Iterator[tuple[_Place | str, Any]]:
    for place, run in groupby(_walk(outermost), key=lambda step: step[0]):
        count = 0
        for count, (_, names) in enumerate(run, 1):
            if count <= REPEATS_SHOWN:
                yield place, names
        if (more := count - REPEATS_SHOWN) > 0:
            yield f"[Previous line repeated {more} more time{'s' if more > 1 else ''}]", None


def _walk(step: TracebackType | None) -> Iterator[tuple[_Place, dict[str, Any]]]:
    while step is not None:
        code = step.tb_frame.f_code
        yield (code.co_filename, step.tb_lineno, code.co_name), step.tb_frame.f_globals
        step = step.tb_next


def _call(place: _Place | str, names: Any) -> _Call:
    if isinstance(place, str):
        return place
    source = ""
    with suppress(Exception):  # a module's own __loader__ may be asked, and fail as it likes
        source = linecache.getline(place[0], place[1], names).strip()
    return _item(place[0]), place[1], _item(place[2]), _item(source)


def _stack_entry(call: _Call) -> list[str]:
    """One frame of ``stackTrace``: its text cut at every comma, as Function Compute does it."""
    if isinstance(call, str):
        return [call, ""]
    file_name, line, function, source = call
    text = f'File "{file_name}", line {line}, in {function}'
    return [*(part.strip() for part in text.split(",")), source]


def encodable(text: str) -> str:
    """*text* with a ``?`` for every surrogate, so that UTF-8 takes it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _item(text: str) -> str:
    return text if len(text) <= ITEM_CHARS else f"{text[:ITEM_CHARS]}[... {len(text)} characters]"


def _bounded(text: str, *, tail_bytes: int = 0) -> str:
    """*text* if it has at most TEXT_BYTES; else its beginning, a mark and its last *tail_bytes*."""
    if len(text) <= TEXT_BYTES and len(text.encode("utf-8", "surrogatepass")) <= TEXT_BYTES:
        return text
    mark = f"\n[cut: {len(text)} characters in all]\n"
    head = text[:TEXT_BYTES].encode("utf-8", "replace")[: TEXT_BYTES - len(mark) - tail_bytes]
    tail = text[-TEXT_BYTES:].encode("utf-8", "replace")[-tail_bytes:] if tail_bytes else b""
    return head.decode("utf-8", "ignore") + mark + tail.decode("utf-8", "ignore")
