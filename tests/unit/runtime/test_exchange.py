"""What an instance's bytes mean on our side: three conversations, and a `WireError` for all else."""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fc_runtime.dispatch.exchange import Exchange, Ids, check_fields
from fc_runtime.http import HttpResponse
from fc_worker import messages as m, wire
from fc_worker.lane import PIECE_BYTES, Receiver, Window, make_window_file
from fc_worker.wire import Decoder, Frame, Kind, WireError
from hypothesis import given, strategies as st

INVOCATION = 41
MAX_BODY = 10_000
GOOD: dict[str, Any] = {m.STATUS: m.STATUS_RETURNED}
FULL: dict[str, Any] = {
    m.STATUS: m.STATUS_RAISED,
    m.ERROR_TYPE: "ValueError",
    m.ERROR_MESSAGE: "ünïcode",
    m.TRACEBACK: "",
    m.UNCLEAN: "cwd",
    m.EXIT_CODE: 0,
    m.RUN_NS: 1,
    m.INIT_NS: 2,
    m.USER_US: 3,
    m.SYSTEM_US: 2**63 - 1,
    m.PEAK_RSS: 4,
    m.CHILDREN: 5,
    m.LEFT_BEHIND: 6,
    m.THREADED: True,
}
NUMBERS = sorted(name for name, value in FULL.items() if type(value) is int)
TEXTS = sorted(name for name, value in FULL.items() if type(value) is str)


def answer(
    kind: int,
    headers: dict[str, Any] = GOOD,
    body: bytes = b"",
    *,
    invocation: int = INVOCATION,
    flags: int = 0,
) -> bytes:
    return wire.encode(kind, invocation, headers, len(body), flags) + body


READY = answer(Kind.READY)
PLAIN = wire.encode_plain(INVOCATION, b"value", 1234)
RESULT = answer(Kind.RESULT, body=b"value")


def warm() -> Exchange:
    exchange = Exchange(Decoder(MAX_BODY), INVOCATION)
    exchange.ask_to_invoke({m.REQUEST_ID: "r"}, b"event", wire.LIFT_AFFINITY)
    return exchange


def warm_up() -> Exchange:
    exchange = Exchange(Decoder(MAX_BODY), INVOCATION)
    exchange.ask_to_initialize({m.REQUEST_ID: "r"})
    return exchange


def cold() -> Exchange:
    exchange = warm_up()
    exchange.ask_to_invoke({m.REQUEST_ID: "r"}, b"event")
    return exchange


CONVERSATIONS = {
    "warm": (warm, RESULT),
    "cold": (cold, READY + RESULT),
    "warm, plain": (warm, PLAIN),
    "cold, plain": (cold, READY + PLAIN),
    "warm-up": (warm_up, READY),
    "cold, failed": (cold, answer(Kind.READY, {m.STATUS: m.STATUS_RAISED}, b"why")),
    "warm-up, exiting": (warm_up, answer(Kind.READY, {m.STATUS: m.STATUS_EXITING})),
}


@given(st.sampled_from(sorted(CONVERSATIONS)), st.lists(st.integers(0, 2**16), max_size=8))
def test_a_conversation_ends_with_its_last_byte(name: str, places: list[int]) -> None:
    """Warm, cold or warm-up: done when all that is owed is here, not before, however it was cut."""
    make, stream = CONVERSATIONS[name]
    exchange = make()
    cuts = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    chunks = [stream[start:end] for start, end in itertools.pairwise(cuts)]

    assert [False] * (len(chunks) - 1) + [True] == [exchange.received(chunk) for chunk in chunks]
    assert (make is not warm) is (exchange.ready is not None)
    assert stream.endswith(b"value") is (exchange.reply is not None)
    if exchange.reply is not None:
        told = {m.USER_US: 1234} if "plain" in name else {}
        assert GOOD | told == exchange.reply.headers
        assert (INVOCATION, b"value") == (exchange.reply.invocation, exchange.reply.body)


def test_the_worker_reads_what_was_asked() -> None:
    """Both roles: what is unsent, decoded by the other side, is INITIALIZE then INVOKE."""
    sent = Decoder(MAX_BODY).feed(b"".join(cold().unsent))

    assert [
        Frame(Kind.INITIALIZE, INVOCATION, 0, {m.REQUEST_ID: "r"}, b""),
        Frame(Kind.INVOKE, INVOCATION, 0, {m.REQUEST_ID: "r"}, b"event"),
    ] == sent
    (warm_frame,) = Decoder(MAX_BODY).feed(b"".join(warm().unsent))
    assert wire.LIFT_AFFINITY == warm_frame.flags


def test_an_empty_event_is_a_frame_without_body() -> None:
    """An empty event is sent, and adds no part of no bytes, on which a write would stall."""
    exchange = Exchange(Decoder(MAX_BODY), INVOCATION)
    exchange.ask_to_invoke({m.REQUEST_ID: "r"}, b"")

    assert 1 == len(exchange.unsent)
    (frame,) = Decoder(MAX_BODY).feed(bytes(exchange.unsent[0]))
    assert b"" == frame.body


@given(st.binary(max_size=300), st.lists(st.integers(0, 400)))
def test_sent_forgets_exactly_what_went(event: bytes, counts: list[int]) -> None:
    """A pipe takes any number of bytes at a time; what remains is what it has not taken."""
    exchange = warm_up()
    exchange.ask_to_invoke({m.REQUEST_ID: "r"}, event)
    whole = b"".join(exchange.unsent)
    taken = 0
    for count in counts:
        count = min(count, len(whole) - taken)  # noqa: PLW2901
        exchange.sent(count)
        taken += count

        assert whole[taken:] == b"".join(exchange.unsent)
        assert all(len(part) for part in exchange.unsent)

    exchange.sent(len(whole) - taken)
    assert [] == exchange.unsent


def test_cold_now_until_ready() -> None:
    """``cold_now`` tells a cold call that has not heard READY from all others."""
    exchange = cold()

    assert exchange.cold_now
    exchange.received(READY)
    assert not exchange.cold_now
    assert not warm().cold_now


def test_wanted_is_the_decoders() -> None:
    """How much to read next: the rest of the frame, once its prefix is here."""
    exchange = warm()

    assert wire.PREFIX_BYTES == exchange.wanted
    exchange.received(RESULT[:-3])
    assert 3 == exchange.wanted


BREACHES = {
    "a result to another invocation": (warm, answer(Kind.RESULT, invocation=INVOCATION + 1)),
    "a result to invocation 0": (warm, answer(Kind.RESULT, invocation=0)),
    "a result to the largest id": (warm, answer(Kind.RESULT, invocation=2**64 - 1)),
    "READY for another invocation": (cold, answer(Kind.READY, invocation=1)),
    "READY to a warm call": (warm, READY),
    "a result where READY is owed": (cold, RESULT),
    "two READYs": (cold, READY + READY),
    "a result to a warm-up": (warm_up, READY + RESULT),
    "a result after a failed READY": (cold, answer(Kind.READY, {m.STATUS: 1}) + RESULT),
    "two results": (warm, RESULT + RESULT),
    "a request": (warm, answer(Kind.INVOKE)),
    "INITIALIZE": (cold, answer(Kind.INITIALIZE)),
    "a CHUNK, which is not spoken yet": (warm, answer(Kind.CHUNK)),
    "one byte after the result": (warm, RESULT + b"\x00"),
    "half a frame after the result": (cold, READY + RESULT + RESULT[:30]),
    "garbage": (warm, b"\xff" * 64),
    "text on the pipe": (warm, b"Traceback (most recent call last):\n"),
    "a body over the limit": (warm, answer(Kind.RESULT, body=bytes(MAX_BODY + 1))),
    "nothing but a huge length": (warm, b"\xff\xff\xff\xff" + RESULT[4:]),
    "no status": (warm, answer(Kind.RESULT, {m.RUN_NS: 1})),
    "no headers": (warm, answer(Kind.RESULT, {})),
    "no header bytes, and not plain": (warm, wire.PREFIX.pack(0, 0, 41, 4, 1, 0)),
    "a plain READY": (cold, wire.PREFIX.pack(0, 0, 41, 2, 1, wire.PLAIN)),
    "a plain READY in the window": (
        cold,
        wire.PREFIX.pack(5, 0, 41, 2, 1, wire.PLAIN | wire.PLAIN_ASIDE) + b"value",
    ),
    "in the window, but not plain": (warm, wire.PREFIX.pack(0, 0, 41, 4, 1, wire.PLAIN_ASIDE)),
    "a plain result to another": (warm, wire.encode_plain(INVOCATION + 1, b"", 0)),
    "two plain results": (warm, PLAIN + PLAIN),
    "plain, but with headers": (warm, answer(Kind.RESULT, {m.RUN_NS: 1}, flags=wire.PLAIN)),
}


@pytest.mark.parametrize(("make", "stream"), BREACHES.values(), ids=BREACHES)
def test_a_breach_of_protocol_is_a_wire_error(make: Any, stream: bytes) -> None:
    """Forged, unasked, doubled or trailing: refused, whether it comes at once or byte by byte."""
    with pytest.raises(WireError):
        make().received(stream)

    dripped = make()

    def drip() -> None:
        for byte in stream:
            dripped.received(bytes([byte]))

    with pytest.raises(WireError):
        drip()


def test_an_answer_that_nobody_asked_for() -> None:
    """Before anything was asked, nothing may come."""
    exchange = Exchange(Decoder(MAX_BODY), INVOCATION)

    with pytest.raises(WireError, match="nobody asked for"):
        exchange.received(RESULT)


def test_bytes_of_an_older_answer_are_not_taken_for_this_one() -> None:
    """What a late thread of the last invocation writes meets the next exchange as a breach."""
    decoder = Decoder(MAX_BODY)
    first = Exchange(decoder, INVOCATION)
    first.ask_to_invoke({}, b"")
    assert first.received(RESULT)
    second = Exchange(decoder, INVOCATION + 1)
    second.ask_to_invoke({}, b"")

    with pytest.raises(WireError, match="invocation 41, not 42"):
        second.received(RESULT)


@pytest.mark.parametrize("rest", [b"\xff" * 64, RESULT + RESULT, answer(Kind.INVOKE)])
@pytest.mark.parametrize("place", range(0, len(READY) + 30, 3))
def test_ready_counts_whatever_follows_it(rest: bytes, place: int) -> None:
    """
    A breach after READY is the invocation's, not the initialization's, however the reads fell:
    the handler may have run.
    """
    exchange = cold()
    stream = READY + rest

    with pytest.raises(WireError):
        exchange.received(stream[:place])
        exchange.received(stream[place:])

    assert exchange.ready is not None
    assert not exchange.cold_now


def test_a_breach_before_ready_is_the_initializations() -> None:
    """A frame that is not what was owed does not count for it, though a breach comes after it."""
    exchange = cold()

    with pytest.raises(WireError, match="kind 4 that nobody asked for"):
        exchange.received(RESULT + b"\xff" * 64)

    assert exchange.ready is exchange.reply is None
    assert exchange.cold_now


def test_nobody_can_tell_the_next_id() -> None:
    """
    An idle worker that has seen ids cannot answer the next one ahead: every bit of it is as often
    one as zero, whatever the bit before was and whatever it was last time. No id comes twice.
    """
    ids = Ids()
    drawn = [ids.draw() for _ in range(2000)]
    steps = [later ^ earlier for earlier, later in itertools.pairwise(drawn)]

    assert len(drawn) == len(set(drawn))
    assert 0 < min(drawn) <= max(drawn) < 2**64
    for numbers in (drawn, steps):
        for bit in range(64):
            ones = sum(number >> bit & 1 for number in numbers)
            assert 750 < ones < 1250  # eleven standard deviations


def test_threads_may_draw_ids_together() -> None:
    """No two threads are given the same id, also while one of them fetches more."""
    ids = Ids()
    with ThreadPoolExecutor(8) as threads:
        lots = list(threads.map(lambda _: [ids.draw() for _ in range(2000)], range(8)))

    assert 16_000 == len(set(itertools.chain(*lots)))


@pytest.mark.parametrize("status", range(5))
def test_every_status_is_known(status: int) -> None:
    """Returned, raised, rejected, exiting, declined: all are answers."""
    exchange = warm()

    assert exchange.received(answer(Kind.RESULT, {**FULL, m.STATUS: status}))
    assert exchange.reply is not None
    assert status == exchange.reply.headers[m.STATUS]


@pytest.mark.parametrize("status", [None, 5, -1, 2**64 - 1, True, False, 0.0, "0", [], [0], {}])
def test_an_unknown_status_is_a_wire_error(status: object) -> None:
    """A status is one of five numbers; what merely equals one, or cannot be looked up, is none."""
    with pytest.raises(WireError, match="status"):
        warm().received(answer(Kind.RESULT, {m.STATUS: status}))


@pytest.mark.parametrize("value", [-1, -(2**63), 2**63, 2**64 - 1, True, 1.5, "1", None, [1], {}])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_a_size(name: str, value: object) -> None:
    """Numbers are whole, not negative, below 2**63, and not booleans."""
    with pytest.raises(WireError):
        warm().received(answer(Kind.RESULT, {**FULL, name: value}))


@pytest.mark.parametrize("value", [1, 0, True, 1.5, None, ["x"], {"x": 1}])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_a_text(name: str, value: object) -> None:
    """Texts are texts."""
    with pytest.raises(WireError, match=f"'{name}'"):
        warm().received(answer(Kind.RESULT, {**FULL, name: value}))


@pytest.mark.parametrize("value", [False, 1, "yes", None, []])
def test_threaded_is_true_or_absent(value: object) -> None:
    """A mark is there or not; it has no second value."""
    with pytest.raises(WireError):
        check_fields({**FULL, m.THREADED: value})


@pytest.mark.parametrize("value", [1, "x", True, None])
def test_an_unknown_field_is_a_wire_error(value: object) -> None:
    """Both sides come in one wheel, so a field that we do not know was not sent by our worker."""
    with pytest.raises(WireError, match="'zz'"):
        check_fields({**FULL, "zz": value})


@pytest.mark.parametrize("value", [1, "x", None])
def test_a_worker_does_not_choose_the_size_of_our_messages(value: object) -> None:
    """The name of an unknown field is told, but not all 100 KB of it."""
    with pytest.raises(WireError, match="'zzzz") as caught:
        check_fields({**FULL, "z" * 100_000: value})

    assert len(str(caught.value)) < 100


field_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
hostile_headers = st.dictionaries(
    st.sampled_from([*FULL, "zz"]), field_values, max_size=5
) | st.builds(lambda name, value: {**FULL, name: value}, st.sampled_from([*FULL]), field_values)


@given(
    st.sampled_from(sorted(CONVERSATIONS)),
    st.lists(
        st.builds(
            Frame,
            st.integers(0, 6),
            st.sampled_from([INVOCATION, INVOCATION, 0, 2**64 - 1]),
            st.integers(0, 2**16 - 1),
            hostile_headers | st.just(GOOD) | st.just({}),
            st.binary(max_size=20),
        ),
        max_size=4,
    ),
    st.binary(max_size=30),
)
def test_hostile_answers_give_a_sane_frame_or_a_wire_error(
    name: str, frames: list[Frame], rest: bytes
) -> None:
    """
    Whatever frames and bytes a worker makes up: a `WireError`, or a reply whose every field can be
    used without another look. Never another exception.
    """
    make, _ = CONVERSATIONS[name]
    exchange = make()
    stream = b"".join(
        answer(
            frame.kind, frame.headers, frame.body, invocation=frame.invocation, flags=frame.flags
        )
        for frame in frames
    )
    try:
        done = exchange.received(stream + rest)
    except WireError:
        return

    assert done is (not exchange._owed)
    for frame in (exchange.ready, exchange.reply):
        if frame is not None:
            assert INVOCATION == frame.invocation
            assert frame.headers[m.STATUS] in range(5)
            for field, value in frame.headers.items():
                assert type(value) is type(FULL[field])
                assert type(value) is not int or 0 <= value < 2**63


# -- HTTP --------------------------------------------------------------------------------------


def http() -> Exchange:
    exchange = Exchange(Decoder(MAX_BODY + m.MAX_HTTP_HEADER_BYTES), INVOCATION)
    exchange.ask_to_invoke({m.REQUEST_ID: "r", m.HTTP: "{}"}, b"body")
    return exchange


def page(status: object = 200, text: object = "") -> dict[str, Any]:
    return {**GOOD, m.HTTP_STATUS: status, m.HTTP_HEADERS: text}


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", ()),
        ("A\n", (("A", ""),)),
        (
            "Set-Cookie\na=1\nSet-Cookie\nb\t2 \u00fc",
            (("Set-Cookie", "a=1"), ("Set-Cookie", "b\t2 ü")),
        ),
    ],
)
def test_http_response_is_taken(text: str, headers: tuple[tuple[str, str], ...]) -> None:
    """A status and names and values in turn, if an HTTP request was sent."""
    exchange = http()

    assert exchange.received(answer(Kind.RESULT, page(599, text), b"body"))

    assert HttpResponse(599, headers) == exchange.http


BREACHES: dict[str, dict[str, Any]] = {
    "no status": {**GOOD, m.HTTP_HEADERS: ""},
    "no headers": {**GOOD, m.HTTP_STATUS: 200},
    "neither": GOOD,
    "status is a text": page("200"),
    "status is a truth": page(True),
    "status is too low": page(99),
    "status is too high": page(600),
    "headers are a number": page(200, 5),
    "headers are bytes": page(200, b"A\nb"),
    "headers are a list": page(200, ["A", "b"]),
    "a name alone": page(200, "A"),
    "a third line": page(200, "A\nb\nC"),
    "an empty name": page(200, "\nb"),
    "a space in a name": page(200, "A b\nc"),
    "a colon in a name": page(200, "A:\nc"),
    "a return in a value": page(200, "A\nb\r"),
    "a NUL in a value": page(200, "A\nb\0"),
    "too many": page(200, "\n".join(["A", "b"] * (m.MAX_HTTP_HEADERS + 1))),
    "too long": page(200, "A\n" + "b" * m.MAX_HTTP_HEADER_BYTES),
}


@pytest.mark.parametrize("headers", BREACHES.values(), ids=BREACHES)
def test_anything_else_is_a_breach(headers: dict[str, Any]) -> None:
    """A worker is hostile: what it says of an HTTP response is believed only if it is one."""
    exchange = http()

    with pytest.raises(WireError):
        exchange.received(answer(Kind.RESULT, headers))

    assert exchange.reply is None


def test_plain_answer_to_an_http_request_is_a_breach() -> None:
    """It has no status."""
    with pytest.raises(WireError):
        http().received(PLAIN)


@pytest.mark.parametrize(("exchange", "before"), [(warm, b""), (cold, READY)])
def test_http_response_that_nobody_asked_for_is_a_breach(
    exchange: Callable[[], Exchange], before: bytes
) -> None:
    """An event is answered with a value."""
    with pytest.raises(WireError, match="nobody asked"):
        exchange().received(before + answer(Kind.RESULT, page()))


def test_failed_http_request_is_answered_without_a_response() -> None:
    """An exception has neither status nor headers; with them it is a breach."""
    exchange = http()
    failure = {**FULL, m.STATUS: m.STATUS_RAISED}

    assert exchange.received(answer(Kind.RESULT, failure))
    assert exchange.http is None
    with pytest.raises(WireError):
        http().received(answer(Kind.RESULT, {**failure, m.HTTP_STATUS: 200}))


# -- bodies in the window ----------------------------------------------------------------------

LARGE = 2 * PIECE_BYTES + 5
TOOK = wire.encode_signal(Kind.TOOK, INVOCATION)
PIECE = wire.encode_signal(Kind.PIECE, INVOCATION)


class Sides:
    """An exchange with a window, and the worker's view of that."""

    def __init__(self, max_body: int = LARGE) -> None:
        fd = make_window_file()
        self.window, self.theirs = Window(fd), Window(fd)
        os.close(fd)
        self.exchange = Exchange(Decoder(max_body), INVOCATION, self.window)

    def ask(self, event: bytes) -> Frame:
        """What the worker is told."""
        self.exchange.ask_to_invoke({m.REQUEST_ID: "r"}, event, wire.LIFT_AFFINITY)
        (frame,) = Decoder(LARGE).feed(self.said())
        return frame

    def said(self) -> bytes:
        """All that is on its way to the worker now."""
        said = b"".join(self.exchange.unsent)
        self.exchange.sent(len(said))
        return said

    def take_event(self, frame: Frame) -> bytes:
        receiver: Receiver = self.theirs.receive_event(frame.aside)
        while receiver.left:
            assert not self.exchange.received(TOOK)
            assert PIECE == self.said()
            receiver.take()
        return receiver.body()


def aside(size: int, headers: dict[str, Any] = GOOD, kind: Kind = Kind.RESULT) -> bytes:
    return wire.encode(kind, INVOCATION, headers, size, wire.ASIDE)


@pytest.fixture
def sides() -> Iterator[Sides]:
    made = Sides()
    yield made
    made.window.close()
    made.theirs.close()


def test_an_event_below_the_threshold_follows_its_frame(sides: Sides) -> None:
    """One byte below, and flags as they were."""
    frame = sides.ask(bytes(wire.ASIDE_BYTES - 1))

    assert (wire.ASIDE_BYTES - 1, 0) == (len(frame.body), frame.aside)
    assert wire.LIFT_AFFINITY == frame.flags


@pytest.mark.parametrize("size", [wire.ASIDE_BYTES, PIECE_BYTES, PIECE_BYTES + 1, LARGE])
def test_an_event_from_the_threshold_on_stands_aside(sides: Sides, size: int) -> None:
    """The frame tells its size; the worker takes it piece by piece, and then answers."""
    event = os.urandom(size)

    frame = sides.ask(event)

    assert (b"", size) == (frame.body, frame.aside)
    assert wire.LIFT_AFFINITY | wire.ASIDE == frame.flags
    assert event == sides.take_event(frame)
    assert sides.exchange.received(RESULT)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, LARGE])
def test_a_result_aside_is_the_body_of_the_answer(sides: Sides, size: int) -> None:
    """Done with its last piece, and no sooner; each piece but the last is acknowledged."""
    sides.ask(b"event")
    result = os.urandom(size)
    sender = sides.theirs.send_result(result)

    done = sides.exchange.received(aside(size, GOOD | {m.USER_US: 7}))
    while sender.left:
        assert not done
        assert TOOK == sides.said()
        sender.lay()
        done = sides.exchange.received(PIECE)

    assert done
    assert not sides.exchange.unsent
    reply = sides.exchange.reply
    assert reply is not None
    assert (GOOD | {m.USER_US: 7}, result) == (reply.headers, reply.body)


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_plain_result_may_stand_aside(sides: Sides, size: int) -> None:
    """Without headers; whatever its size, though a worker says it of no more than one piece."""
    body = os.urandom(size)
    sender = sides.theirs.send_result(body)
    exchange = sides.exchange
    exchange.ask_to_invoke({m.REQUEST_ID: "r"}, b"event")

    done = exchange.received(wire.encode_plain_aside(INVOCATION, size, 16_384))
    while not done:
        sender.lay()
        done = exchange.received(PIECE)

    assert exchange.reply is not None
    assert body == exchange.reply.body
    assert {m.STATUS: m.STATUS_RETURNED, m.USER_US: 16_383} == exchange.reply.headers


def test_a_failure_may_stand_aside_too(sides: Sides) -> None:
    """An error's body is as large as it likes."""
    sides.ask(b"event")
    sides.theirs.send_result(b"x" * wire.ASIDE_BYTES)

    assert sides.exchange.received(aside(wire.ASIDE_BYTES, FULL))
    assert sides.exchange.reply is not None
    assert b"x" * wire.ASIDE_BYTES == sides.exchange.reply.body


@pytest.mark.parametrize(
    ("event", "said", "says"),
    [
        (b"event", TOOK, "kind 8 that nobody asked for"),
        (b"event", PIECE, "kind 9 that nobody asked for"),
        (bytes(LARGE), PIECE, "kind 9 that nobody asked for"),
        (bytes(PIECE_BYTES), TOOK, "kind 8 that nobody asked for"),
        (bytes(LARGE), TOOK * 3, "kind 8 that nobody asked for"),
        (bytes(LARGE), wire.encode_signal(Kind.TOOK, INVOCATION + 1), "an answer to invocation 42"),
        (bytes(LARGE), RESULT, "an answer before the event was read"),
        (bytes(LARGE), TOOK + PLAIN, "an answer before the event was read"),
        (bytes(LARGE), aside(LARGE), "an answer before the event was read"),
        (b"event", aside(LARGE) + RESULT, "kind 4 that nobody asked for"),
        (b"event", aside(LARGE) + aside(LARGE), "kind 4 that nobody asked for"),
        (b"event", aside(LARGE) + TOOK, "kind 8 that nobody asked for"),
        (b"event", aside(LARGE) + PIECE * 3, "kind 9 that nobody asked for"),
        (b"event", aside(LARGE) + answer(Kind.PIECE, {}, b"x"), "kind 9 that is not empty"),
        (bytes(LARGE), answer(Kind.TOOK, {"a": 1}), "kind 8 that is not empty"),
        (b"event", aside(LARGE + 1), f"body of {LARGE + 1} bytes, limit {LARGE}"),
        (b"event", aside(5, {m.STATUS: 9}), "an answer without a status"),
    ],
)
def test_lies_about_bodies_aside(sides: Sides, event: bytes, said: bytes, says: str) -> None:
    """More taken than was laid, pieces of nothing, answers that come too soon: a `WireError`."""
    sides.ask(event)

    with pytest.raises(WireError, match=says):
        sides.exchange.received(said)

    assert sides.exchange.reply is None or sides.exchange.reply.body != b""


def test_a_body_aside_where_there_is_no_window() -> None:
    """Nothing is shared, so it cannot stand there."""
    exchange = warm()

    with pytest.raises(WireError, match="and there is none"):
        exchange.received(aside(5))


def test_ready_has_nothing_aside(sides: Sides) -> None:
    """Not even the reason why it will not serve."""
    sides.exchange.ask_to_initialize({m.REQUEST_ID: "r"})

    with pytest.raises(WireError, match="before there was an event"):
        sides.exchange.received(aside(5, {m.STATUS: m.STATUS_RAISED}, Kind.READY))
