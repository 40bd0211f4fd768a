"""Cases of what a handler writes and reads beside its event and its answer."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import (
    Case,
    Expectation,
    Seen,
    either,
    raised,
    returned,
    returned_json,
    returned_with_log,
    timed_out,
)

_MOST_LOG: Final = 4 * 2**20  # head, tail and what comes between two looks
_out: Final = partial(Case, handler="output")


def _with_little_log(expectation: Expectation) -> Expectation:
    """And a log that was cut."""

    def holds(seen: Seen) -> bool:
        return (
            seen.result is not None
            and expectation.holds(seen)
            and len(seen.result.log) <= _MOST_LOG
        )

    return Expectation(f"{expectation.phrase}, log cut", holds)


CASES: Final = (
    _out(
        name="flood",
        row=22,
        what="writes to its output without end",
        deed="flooding",
        timeout=0.5,
        expect=_with_little_log(timed_out("flooding")),
    ),
    _out(
        name="flood-and-return",
        row=22,
        what="writes to its output as fast as it can, and returns",
        deed="flooding_and_returning",
        expect=_with_little_log(returned(b"returned")),
    ),
    _out(
        name="flood-of-a-child",
        row=22,
        what="has a child that writes to its error output without end",
        deed="flooding_from_a_child",
        timeout=0.5,
        expect=_with_little_log(timed_out("flooding_from_a_child")),
    ),
    _out(
        name="endless-line",
        row=22,
        what="prints one line that never ends",
        deed="printing_without_end",
        timeout=0.5,
        expect=_with_little_log(timed_out("printing_without_end")),
    ),
    _out(
        name="log-of-a-terabyte",
        what="makes its log a terabyte long, of which nothing is there",
        deed="blowing_up_the_log",
        expect=_with_little_log(either(returned(b"blown up"), raised("OSError"))),
    ),
    _out(
        name="log-sealed",
        what="seals its log, so that nobody can shorten it",
        deed="sealing_the_log",
        expect=returned(b"not sealed"),
    ),
    _out(
        name="log-rewritten",
        what="writes to the middle of its log, and cuts it",
        deed="writing_in_the_middle",
        expect=_with_little_log(returned(b"written")),
    ),
    _out(
        name="any-bytes",
        row=22,
        what="prints what is no text",
        deed="any_bytes",
        expect=returned_with_log(
            "every byte in the log", lambda log: bytes(range(256)) + b"\xed\xa0\x80\xff\n" in log
        ),
    ),
    _out(
        name="streams-closed",
        row=29,
        what="closes standard output and error",
        deed="closing_streams",
        expect=returned(b"silent"),
    ),
    _out(
        name="logging-broken",
        row=29,
        what="breaks logging and its streams, and raises",
        deed="breaking_logging",
        expect=raised("ValueError"),
    ),
    _out(
        name="reads-stdin",
        row=24,
        what="reads standard input",
        deed="reading_stdin",
        expect=returned_json({"read": 0, "fd": 0}),
        timeout=2.0,
    ),
    _out(
        name="stdout-kept-open",
        row=23,
        what="returns while a child still has standard output",
        deed="keeping_stdout_open",
        expect=returned(b"returned", leftovers=1),
        timeout=60.0,
        within_s=-50.0,
    ),
)
