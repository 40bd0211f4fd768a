"""Cases of what comes in, what is returned, and what is raised."""

import hashlib
from functools import partial
from typing import Final

from fc_runtime.errors import EventTooLargeError
from fc_runtime.torture.case import (
    Case,
    declined,
    either,
    raised,
    rejected,
    returned,
    returned_json,
    timed_out,
)
from fc_runtime.torture.plays import sending

_MOST: Final = 100_000  # bytes of an answer, and of an event, where that is the case
_value: Final = partial(Case, handler="values")
_event: Final = partial(
    Case, handler="values", deed="received", options={"handler": "values.received"}
)


def _received(event: bytes) -> dict[str, object]:
    return {"size": len(event), "sha256": hashlib.sha256(event).hexdigest()}


_EVENTS: Final = {
    "event-empty": ("gets an empty event", b""),
    "event-any-bytes": ("gets an event that is no text", bytes(range(256)) * 3),
    "event-large": ("gets an event of 32 MiB", bytes(range(256)) * (2**17)),
}

CASES: Final = (
    *(
        _event(
            name=name,
            row=27,
            what=what,
            play=sending(event),
            expect=returned_json(_received(event)),
            timeout=10.0,
        )
        for name, (what, event) in _EVENTS.items()
    ),
    _event(
        name="event-too-large",
        row=27,
        what="is to get an event of a byte more than it may",
        host={"max_event_bytes": _MOST},
        play=sending(bytes(_MOST + 1)),
        expect=declined(EventTooLargeError),
    ),
    _value(
        name="answer-at-the-limit",
        row=26,
        what="returns exactly as much as it may",
        deed=f"of_size {_MOST}",
        host={"max_response_bytes": _MOST},
        expect=returned(b"x" * _MOST),
    ),
    _value(
        name="answer-over-the-limit",
        row=26,
        what="returns a byte more than it may",
        deed=f"of_size {_MOST + 1}",
        host={"max_response_bytes": _MOST},
        timeout=60.0,
        within_s=-50.0,
        expect=rejected("ResponseTooLarge"),
    ),
    _value(
        name="answer-far-over-the-limit",
        row=26,
        what="returns a thousand times what it may",
        deed=f"of_size {_MOST * 1000}",
        host={"max_response_bytes": _MOST},
        options={"memory_mb": 512},
        timeout=60.0,
        within_s=-50.0,
        expect=rejected("ResponseTooLarge"),
    ),
    _value(
        name="answer-a-set",
        row=25,
        what="returns what JSON does not have",
        deed="a_set",
        expect=rejected("TypeError"),
    ),
    _value(
        name="answer-that-raises",
        row=25,
        what="returns something that raises while it is encoded",
        deed="raising_in_encoding",
        expect=rejected("LookupError"),
    ),
    _value(
        name="answer-that-hangs",
        row=25,
        what="returns something that hangs while it is encoded",
        deed="hanging_in_encoding",
        timeout=0.3,
        expect=timed_out(),
    ),
    _value(
        name="answer-in-itself",
        row=25,
        what="returns a list that holds itself",
        deed="itself",
        expect=rejected("ValueError"),
    ),
    _value(
        name="answer-nested",
        row=25,
        what="returns a hundred thousand lists, one in the other",
        deed="nested",
        expect=rejected("RecursionError"),
    ),
    _value(
        name="answer-surrogate",
        row=25,
        what="returns a text that UTF-8 does not have",
        deed="surrogate",
        expect=rejected("UnicodeEncodeError"),
    ),
    _value(
        name="answer-a-large-number",
        row=25,
        what="returns a number of a hundred thousand digits",
        deed="large_number",
        expect=rejected("ValueError"),
    ),
    _value(
        name="answer-a-generator",
        row=25,
        what="returns a generator",
        deed="generator",
        expect=rejected("TypeError"),
    ),
    _value(
        name="answer-a-lying-text",
        what="returns a text whose encode() returns a number",
        deed="text_that_lies",
        expect=either(returned(b"text"), rejected("TypeError"), rejected("LookupError")),
    ),
    _value(
        name="answer-lying-bytes",
        what="returns bytes that say they are a terabyte",
        deed="bytes_that_lie",
        expect=either(returned(b"bytes"), rejected("ResponseTooLarge")),
    ),
    _value(
        name="error-without-words",
        what="raises an exception that cannot be printed",
        deed="exception_without_words",
        expect=raised("Mute"),
    ),
    _value(
        name="error-of-many-words",
        what="raises an exception with 32 MiB to say",
        deed="exception_of_many_words",
        expect=raised("ValueError"),
    ),
    _value(
        name="error-of-bad-words",
        what="raises an exception with surrogates, NUL and escape codes",
        deed="exception_of_bad_words",
        expect=raised("ValueError"),
    ),
    _value(
        name="error-that-lies",
        what="raises an exception whose class and traceback cannot be asked for",
        deed="exception_that_lies",
        expect=raised("Chameleon"),
    ),
    _value(
        name="error-chain",
        what="raises an exception with ten thousand causes",
        deed="chain_of_exceptions",
        expect=raised("ValueError"),
    ),
    _value(
        name="error-circle",
        what="raises an exception that is its own cause",
        deed="circle_of_exceptions",
        expect=raised("ValueError"),
    ),
    _value(
        name="error-group",
        what="raises a group of groups of exceptions, 500 deep and three wide",
        deed="group_of_exceptions",
        expect=raised("ExceptionGroup"),
    ),
    _value(
        name="error-recursion",
        what="raises out of a thousand frames",
        deed="recursing",
        expect=raised("RecursionError"),
    ),
)
