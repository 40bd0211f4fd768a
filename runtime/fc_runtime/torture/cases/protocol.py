"""Cases of handlers that talk to the supervisor themselves."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import (
    Case,
    broke_the_protocol,
    crashed,
    either,
    returned,
    timed_out,
)

_talk: Final = partial(Case, handler="protocol")
_soon: Final = partial(_talk, timeout=60.0, within_s=-50.0)  # who waits for the deadline is wrong

CASES: Final = (
    _soon(
        name="noise",
        row=18,
        what="writes random bytes to every descriptor",
        deed="noise",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="forged-answer",
        row=19,
        what="answers for another invocation",
        deed="forging",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="huge-frame",
        row=20,
        what="announces 4 GiB and sends ten bytes",
        deed="announcing_too_much",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="deep-headers",
        row=21,
        what="sends headers a hundred thousand levels deep",
        deed="deep",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="wide-headers",
        row=21,
        what="announces a map of four billion keys",
        deed="wide",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="long-text",
        row=21,
        what="announces a text of 4 GiB in the headers",
        deed="long_text",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="wrong-types",
        what="sends headers with values of the wrong type",
        deed="wrong_types",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="another-version",
        what="speaks a version of the protocol that there is not",
        deed="another_version",
        expect=broke_the_protocol(),
    ),
    _soon(
        name="another-kind",
        what="says that it has been initialised, once more",
        deed="another_kind",
        expect=broke_the_protocol(),
    ),
    _talk(
        name="half-a-frame",
        what="begins an answer, and hangs",
        deed="half_a_frame",
        timeout=0.3,
        expect=timed_out(),
    ),
    _soon(
        name="half-a-frame-and-exit",
        what="begins an answer, and exits",
        deed="half_a_frame_and_exit",
        expect=crashed(exit_code=0),
    ),
    _talk(
        name="dripping",
        what="sends its answer a byte at a time",
        deed="dripping",
        timeout=0.5,
        expect=timed_out(),
    ),
    _talk(
        name="answers-twice",
        row=19,
        what="answers itself, and then returns",
        deed="answering_twice",
        expect=broke_the_protocol(),
    ),
    _talk(
        name="answers-ahead",
        what="leaves a thread that answers what has not been asked",
        deed="answering_ahead",
        expect=returned(b"an answer"),
    ),
    _talk(
        name="request-pipe-closed",
        what="closes the pipe that events come by, and returns",
        deed="closing_the_request_pipe",
        expect=either(returned(), crashed()),
    ),
    _talk(
        name="request-pipe-empty",
        what="puts /dev/null in the place of the pipe that events come by",
        deed="reading_nothing",
        expect=either(returned(), crashed()),
    ),
    _talk(
        name="pipes-not-blocking",
        what="makes its pipes non-blocking",
        deed="blocking_no_more",
        expect=either(returned(), crashed()),
    ),
    _soon(
        name="answer-pipe-gone",
        what="puts /dev/null in the place of the pipe that answers leave by",
        deed="answering_nobody",
        expect=crashed(),
    ),
    _soon(
        name="answer-pipe-given-away",
        what="dies while a child of it holds the pipe that answers leave by",
        deed="giving_the_pipe_away",
        expect=crashed(exit_code=4),
    ),
)
