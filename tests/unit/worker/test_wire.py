"""The frame: whole frames however the stream is cut, and nothing but `WireError` for the rest."""

import itertools
from collections.abc import Iterable
from typing import Any

import msgpack
import pytest
from fc_worker import wire
from fc_worker.wire import (
    MAX_HEADER_BYTES,
    MAX_HEADER_KEYS,
    PREFIX,
    PREFIX_BYTES,
    SMALL_PART_BYTES,
    VERSION,
    Decoder,
    Frame,
    Kind,
    WireError,
)
from hypothesis import given, strategies as st

MAX_BODY = 100_000
MAX_HELD = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_BODY

texts = st.text(st.characters(codec="utf-8"), max_size=20)
header_maps = st.dictionaries(
    texts,
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        texts,
        st.lists(texts, max_size=3),
    ),
    max_size=6,
)


def told_of(frame: Frame) -> Frame:
    """*frame* as it comes: of a body that stands aside, only its size is in the stream."""
    if frame.flags & wire.ASIDE:
        return frame._replace(body=b"", aside=len(frame.body))
    return frame


frames = st.builds(
    Frame,
    st.sampled_from([int(kind) for kind in Kind]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**16 - 1),
    header_maps,
    st.binary(max_size=200) | st.integers(0, MAX_BODY).map(bytes),
    st.just(0),
).map(told_of)
cut_places = st.lists(st.integers(0, 2**20), max_size=12)


def stream_of(many: Iterable[Frame]) -> bytes:
    return b"".join(
        wire.encode(
            *(frame.kind, frame.invocation, frame.headers),
            frame.aside or len(frame.body),
            frame.flags,
        )
        + frame.body
        for frame in many
    )


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """*data* cut at *places*, each taken modulo its length; a read is never empty."""
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def prefixed(
    packed: bytes = b"\x80",
    body: bytes = b"",
    *,
    kind: int = Kind.RESULT,
    version: int = VERSION,
    header_size: int | None = None,
    body_size: int | None = None,
) -> bytes:
    """A frame that may lie about its sizes."""
    if header_size is None:
        header_size = len(packed)
    if body_size is None:
        body_size = len(body)
    return PREFIX.pack(body_size, header_size, 7, kind, version, 0) + packed + body


def held(decoder: Decoder) -> int:
    return sum(map(len, decoder._parts))


@given(st.lists(frames, max_size=4), cut_places)
def test_any_cut_gives_the_same_frames(many: list[Frame], places: list[int]) -> None:
    """Frames come out equal and in order, wherever the stream was cut, and nothing is left over."""
    decoder = Decoder(MAX_BODY)
    out: list[Frame] = []
    for piece in pieces(stream_of(many), places):
        out += decoder.feed(piece)

    assert many == out
    assert not decoder.holds_part
    assert PREFIX_BYTES == decoder.wanted
    assert all(type(frame.body) is bytes for frame in out)


@given(st.lists(frames.filter(lambda frame: len(frame.body) <= 200), min_size=1, max_size=3))
def test_byte_by_byte_gives_the_same_frames(many: list[Frame]) -> None:
    """The worst cut of all: every byte alone."""
    decoder = Decoder(MAX_BODY)
    out = [frame for byte in stream_of(many) for frame in decoder.feed(bytes([byte]))]

    assert many == out


@given(frames, st.integers(0, 2**20))
def test_wanted_is_what_the_next_step_needs(frame: Frame, place: int) -> None:
    """``wanted`` counts down to the next step, and ``holds_part`` tells a frame begun from none."""
    stream = stream_of([frame])
    decoder = Decoder(MAX_BODY)
    first = stream[: place % len(stream)]
    out = decoder.feed(first)
    goal = len(stream) if len(first) >= PREFIX_BYTES else PREFIX_BYTES

    assert [] == out
    assert bool(first) is decoder.holds_part
    assert goal - len(first) == decoder.wanted

    assert [frame] == decoder.feed(stream[len(first) :])
    assert not decoder.holds_part


def chunk_streams() -> st.SearchStrategy[list[bytes]]:
    """Noise, and true streams with a few bytes exchanged, in any cuts."""
    noise = st.lists(st.binary(min_size=1, max_size=300), max_size=6)

    @st.composite
    def damaged(draw: st.DrawFn) -> list[bytes]:
        stream = bytearray(stream_of(draw(st.lists(frames, min_size=1, max_size=3))))
        for _ in range(draw(st.integers(0, 4))):
            # The first bytes of a frame are where damage hurts.
            at = draw(st.integers(0, min(len(stream), 120) - 1))
            stream[at] = draw(st.integers(0, 255))
        return pieces(bytes(stream), draw(cut_places))

    return noise | damaged()


@given(chunk_streams())
def test_hostile_bytes_give_frames_or_a_wire_error(chunks: list[bytes]) -> None:
    """
    Whatever a worker sends, in whatever cuts: frames within the limits or a `WireError`, never
    another exception, and never more held than the limits allow for one frame.
    """
    decoder = Decoder(MAX_BODY)
    for chunk in chunks:
        try:
            out = decoder.feed(chunk)
        except WireError:
            break
        for frame in out:
            assert frame.kind in list(Kind)
            assert len(frame.body) <= MAX_BODY
            assert all(type(key) is str for key in frame.headers)
        assert held(decoder) + decoder.wanted <= MAX_HELD
        assert decoder.wanted > 0


@pytest.mark.parametrize("cut", [0, 1, PREFIX_BYTES + 1])
def test_what_was_said_before_the_breach_is_not_lost(cut: int) -> None:
    """The error carries the whole frames that stood before it in the same bytes, and no other."""
    good = Frame(Kind.READY, 7, 0, {"s": 0}, b"ok")
    older = Frame(Kind.READY, 6, 0, {}, b"")
    stream = stream_of([good]) + prefixed(kind=0)
    decoder = Decoder(MAX_BODY)
    assert [older] == decoder.feed(stream_of([older]) + stream[:cut])

    with pytest.raises(WireError, match="kind 0") as caught:
        decoder.feed(stream[cut:])

    assert [good] == caught.value.before


@given(st.binary(max_size=400))
def test_hostile_headers_give_a_map_or_a_wire_error(packed: bytes) -> None:
    """Any bytes in the place of the headers are a map with text keys or a `WireError`."""
    decoder = Decoder(MAX_BODY)
    try:
        (frame,) = decoder.feed(prefixed(packed))
    except WireError:
        return

    assert type(frame.headers) is dict
    assert all(type(key) is str for key in frame.headers)
    assert len(frame.headers) <= MAX_HEADER_KEYS


@pytest.mark.parametrize("cut", [PREFIX_BYTES, PREFIX_BYTES + 10, PREFIX_BYTES - 1])
@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ({"body_size": 2**32 - 1}, "body of 4294967295 bytes, limit 100000"),
        ({"body_size": MAX_BODY + 1}, "body of 100001 bytes"),
        ({"header_size": 2**32 - 1}, "headers of 4294967295 bytes"),
        ({"header_size": MAX_HEADER_BYTES + 1}, f"limit {MAX_HEADER_BYTES}"),
        ({"kind": 0}, "kind 0"),
        ({"kind": 10}, "kind 10"),
        ({"version": 0}, "version 0"),
        ({"version": VERSION + 1}, "version 2"),
    ],
)
def test_sizes_kinds_and_versions_are_refused_on_the_prefix(
    lie: dict[str, Any], says: str, cut: int
) -> None:
    """A 4 GiB length is refused as soon as its 24 bytes are there; nothing is kept of it."""
    decoder = Decoder(MAX_BODY)
    data = prefixed(**lie).ljust(PREFIX_BYTES + 10, b"x")

    def feed() -> None:
        decoder.feed(data[:cut])
        assert cut < PREFIX_BYTES, "it had the whole prefix"
        decoder.feed(data[cut:PREFIX_BYTES])

    with pytest.raises(WireError, match=says):
        feed()
    assert 0 == held(decoder)


def test_the_limits_themselves_are_allowed() -> None:
    """A body of exactly the limit, and headers of exactly theirs, pass."""
    text = "x" * (MAX_HEADER_BYTES - 8)
    packed = msgpack.packb({"k": text})
    text += "x" * (MAX_HEADER_BYTES - len(packed))
    packed = msgpack.packb({"k": text})
    body = bytes(MAX_BODY)
    expected = [Frame(Kind.RESULT, 7, 0, {"k": text}, body)]
    data = prefixed(packed, body)

    assert MAX_HEADER_BYTES == len(packed)
    assert expected == Decoder(MAX_BODY).feed(data)
    halves = Decoder(MAX_BODY)
    assert [] == halves.feed(data[:50])
    assert expected == halves.feed(data[50:])


BOMBS = {
    "arrays in arrays": b"\x91" * 100_000,
    "maps in maps": b"\x81\xa1a" * 40_000,
    "maps as keys": b"\x81" * 100_000,
    "a value too deep": b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0",
    "an array of 4 G": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "an array over the limit": msgpack.packb({"a": list(range(MAX_HEADER_KEYS + 1))}),
    "a map of 4 G": b"\xdf\xff\xff\xff\xff",
    "a map over the limit": msgpack.packb({str(n): n for n in range(MAX_HEADER_KEYS + 1)}),
    "a text of 4 GiB": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "a binary of 4 GiB": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "a binary": msgpack.packb({"a": b"x"}),
    "an extension of 4 GiB": b"\x81\xa1a\xc9\xff\xff\xff\xff\x05",
    "an extension": msgpack.packb({"a": msgpack.ExtType(5, b"x")}),
    "a timestamp": b"\x81\xa1a\xd6\xff\x00\x00\x00\x00",
    "an empty timestamp": b"\x81\xa1a\xc7\x00\xff",
    "the byte that means nothing": b"\xc1",
    "two maps": b"\x80\x80",
    "half a map": b"\x82\xa1a\x01",
    "a text that is no UTF-8": b"\x81\xa1a\xa1\xff",
    "a key that is no UTF-8": b"\x81\xa1\xff\x01",
    "a number as key": msgpack.packb({1: 1}),
    "nil as key": b"\x81\xc0\x01",
    "bytes as key": msgpack.packb({b"a": 1}),
    "empty bytes as key": msgpack.packb({b"": 1}),
    "a list as key": b"\x81\x91\x01\x01",
    "an extension as key": b"\x81\xc7\x00\x05\x01",
    "a list": msgpack.packb([1, 2]),
    "a number": msgpack.packb(1),
    "a text": msgpack.packb("status"),
    "nil": msgpack.packb(None),
}


@pytest.mark.parametrize("rest", [b"", b"more"], ids=["alone", "with more"])
@pytest.mark.parametrize("packed", BOMBS.values(), ids=BOMBS)
def test_a_msgpack_bomb_is_a_wire_error(packed: bytes, rest: bytes) -> None:
    """Headers that are too deep, too wide, or no map with text keys: a `WireError` each."""
    with pytest.raises(WireError):
        Decoder(MAX_BODY).feed(prefixed(packed) + rest)


def test_a_body_in_drops_holds_little_more_than_its_bytes() -> None:
    """A worker that sends its answer byte by byte does not make us keep an object for each."""
    body = bytes(MAX_BODY)
    *drops, last = pieces(prefixed(body=body), list(range(0, MAX_BODY, 2)))
    decoder = Decoder(MAX_BODY)
    for drop in drops:
        decoder.feed(drop)

    assert sum(map(len, drops)) == held(decoder)
    assert 2 + 2 * MAX_BODY // SMALL_PART_BYTES >= len(decoder._parts)

    (frame,) = decoder.feed(last)
    assert body == frame.body


def test_a_large_body_is_not_copied_together_before_it_is_whole() -> None:
    """Large reads are kept as they came and joined once."""
    stream = prefixed(body=bytes(MAX_BODY))
    decoder = Decoder(MAX_BODY)
    size = SMALL_PART_BYTES
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    for part in parts[:-1]:
        decoder.feed(part)

    assert [id(part) for part in parts[:-1]] == [id(part) for part in decoder._parts]


@given(header_maps, st.sampled_from(Kind), st.integers(0, 2**32 - 1))
def test_the_prefix_is_normative(headers: dict[str, Any], kind: Kind, body_size: int) -> None:
    """Body size, header size, invocation, kind, version, flags: little endian, 20 bytes."""
    head = wire.encode(kind, 3, headers, body_size, flags=wire.LIFT_AFFINITY)
    packed = msgpack.packb(headers)

    assert body_size.to_bytes(4, "little") == head[0:4]
    assert len(packed).to_bytes(4, "little") == head[4:8]
    assert (3).to_bytes(8, "little") == head[8:16]
    assert bytes([kind, VERSION]) == head[16:18]
    assert (1).to_bytes(2, "little") == head[18:20]
    assert packed == head[20:]


@given(st.integers(0, 2**64 - 1), st.binary(max_size=50), st.integers(0, 2**40))
def test_a_plain_result_needs_no_headers(invocation: int, body: bytes, microseconds: int) -> None:
    """It returned, and took so long: that fits the flags, up to 16,383 µs."""
    (frame,) = Decoder(MAX_BODY).feed(wire.encode_plain(invocation, body, microseconds))

    assert (Kind.RESULT, invocation, {}, body) == (
        frame.kind,
        frame.invocation,
        frame.headers,
        frame.body,
    )
    assert min(microseconds, 16_383) == wire.plain_microseconds(frame.kind, 0, frame.flags)


@pytest.mark.parametrize(
    ("kind", "header_size", "flags", "aside"),
    [
        (Kind.RESULT, 9, wire.ASIDE, True),
        (Kind.INVOKE, 9, wire.ASIDE | wire.LIFT_AFFINITY, True),
        (Kind.RESULT, 9, wire.PLAIN | wire.PLAIN_ASIDE, False),
        (Kind.RESULT, 0, wire.PLAIN | wire.PLAIN_ASIDE, True),
        (Kind.RESULT, 0, wire.PLAIN | wire.ASIDE, False),  # two microseconds
        (Kind.RESULT, 0, wire.PLAIN_ASIDE, False),
        (Kind.READY, 0, wire.PLAIN | wire.PLAIN_ASIDE, False),
    ],
)
def test_whose_body_stands_aside(kind: Kind, header_size: int, flags: int, aside: bool) -> None:
    """With headers one bit says so; without, it takes a plain result, and another bit."""
    assert aside is wire.is_aside(kind, header_size, flags)

    headers = b"\x81\xa1s" + b"\xd9\x04text" if header_size else b""
    stream = wire.PREFIX.pack(5, header_size, 1, kind, wire.VERSION, flags) + headers
    for whole in (stream, stream + wire.encode_signal(Kind.TOOK, 1)):
        frame, *_ = [*Decoder(MAX_BODY).feed(whole if aside else stream + b"value"), None]
        assert frame is not None
        assert ((b"", 5) if aside else (b"value", 0)) == (frame.body, frame.aside)


@pytest.mark.parametrize(
    ("kind", "header_size", "flags"),
    [
        (Kind.RESULT, 0, 0),
        (Kind.RESULT, 0, 2),
        (Kind.RESULT, 1, wire.PLAIN),
        *((kind, 0, wire.PLAIN) for kind in Kind if kind is not Kind.RESULT),
    ],
)
def test_what_is_not_plain(kind: int, header_size: int, flags: int) -> None:
    """Only a RESULT, only without headers, and only if it says so."""
    assert wire.plain_microseconds(kind, header_size, flags) is None


def test_a_frame_may_have_no_headers() -> None:
    """No header bytes are a map of nothing, alone and in a stream."""
    data = prefixed(b"", b"body")
    expected = Frame(Kind.RESULT, 7, 0, {}, b"body")

    assert [expected] == Decoder(MAX_BODY).feed(data)
    assert [expected, expected] == Decoder(MAX_BODY).feed(data + data)


def test_encode_starts_anew_after_it_has_failed() -> None:
    """Headers that cannot be packed leave nothing behind for the next frame."""
    with pytest.raises((TypeError, ValueError)):
        wire.encode(Kind.INVOKE, 1, {"a": 1, "b": object()}, 0)

    head = wire.encode(Kind.INVOKE, 1, {"a": 1}, 0)
    assert [Frame(Kind.INVOKE, 1, 0, {"a": 1}, b"")] == Decoder(0).feed(head)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_around_leaves_room_for_one_text(text: str) -> None:
    """What stands around a text of known size, and the text, are the packed map (request ids)."""
    others = {"t": 3_000_000_000, "c": ["id", "secret", ""]}
    before, after = wire.around("r", len(text), others)

    assert {"r": text, **others} == wire.unpack_headers(before + text.encode() + after)


def test_around_needs_a_text() -> None:
    """A text of no bytes has no place to be found."""
    with pytest.raises(ValueError, match="empty separator"):
        wire.around("r", 0, {})


def test_a_body_aside_is_only_told() -> None:
    """What follows such a frame is the next frame, however much its body has."""
    head = wire.encode(Kind.RESULT, 7, {"s": 0}, MAX_BODY, wire.ASIDE)
    after = wire.encode_signal(Kind.PIECE, 7)
    expected = [
        Frame(Kind.RESULT, 7, wire.ASIDE, {"s": 0}, b"", MAX_BODY),
        Frame(Kind.PIECE, 7, 0, {}, b""),
    ]

    assert expected == Decoder(MAX_BODY).feed(head + after)
    assert expected[:1] == Decoder(MAX_BODY).feed(head)


def test_a_body_aside_has_the_same_limit() -> None:
    """Refused on the prefix, before anybody looks for it."""
    with pytest.raises(WireError, match="body of 10001 bytes, limit 10000"):
        Decoder(10_000).feed(wire.encode(Kind.RESULT, 7, {"s": 0}, 10_001, wire.ASIDE))


def test_bytes_that_happen_to_follow_are_no_body() -> None:
    """Exactly as many bytes as the body has, right behind it, are the next frame all the same."""
    head = wire.encode(Kind.RESULT, 7, {"s": 0}, PREFIX_BYTES, wire.ASIDE)

    first, second = Decoder(MAX_BODY).feed(head + wire.encode_signal(Kind.TOOK, 7))

    assert (b"", PREFIX_BYTES) == (first.body, first.aside)
    assert Kind.TOOK == second.kind
