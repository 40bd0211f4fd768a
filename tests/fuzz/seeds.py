"""
Where the fuzzer starts: every frame a worker may send, and the lies that come to mind, in code.

An input is one byte of how the supervisor stands, one byte for the number of cuts, two for the
place of each, and what the worker says. The identity of the invocation, and the largest body, are
the same in all inputs, so that mutations of a right answer stay near it.
"""

import itertools
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgpack
from fc_worker import messages as m, wire
from fc_worker.wire import MAX_HEADER_BYTES, MAX_HEADER_KEYS, PREFIX, VERSION, Kind

INVOCATION: Final = int.from_bytes(b"whose is", "little")
MAX_BODY: Final = 1000
MOST_CUTS: Final = 7

CONVERSATIONS: Final = ("warm", "cold", "warm-up", "nothing asked")
CONVERSATION_BITS: Final = 0b0011
NOT_SENT: Final = 0b0100  # what is asked has not left yet, so nobody can have answered it
HANGS_UP: Final = 0b1000  # after its last byte the worker closes its pipe
LARGE_EVENT: Final = 0b1_0000  # it goes through the window, in PIECES_OF_EVENT pieces
PIECES_OF_EVENT: Final = 3
PIECE_BYTES: Final = 300  # in place of a mebibyte, so that a small result goes in pieces too

_CUT: Final = struct.Struct("<H")

FULL: Final[dict[str, Any]] = {
    m.STATUS: m.STATUS_RAISED,
    m.ERROR_TYPE: "ValueError",
    m.ERROR_MESSAGE: "ünïcode",
    m.TRACEBACK: 'File "x.py", line 1\n',
    m.UNCLEAN: "cwd",
    m.EXIT_CODE: 3,
    m.RUN_NS: 2**32,
    m.INIT_NS: 2**63 - 1,
    m.USER_US: 1,
    m.SYSTEM_US: 2,
    m.PEAK_RSS: 3,
    m.CHILDREN: 4,
    m.LEFT_BEHIND: 5,
    m.INIT_LOG: 6,
    m.IMPORTED: "json\nos",
    m.THREADED: True,
}


def plan(conversation: str, said: bytes, *, cuts: Sequence[int] = (), bits: int = 0) -> bytes:
    """An input: *conversation* is under way, the worker says *said*, the reads fall at *cuts*."""
    places = b"".join(map(_CUT.pack, cuts))
    return bytes([CONVERSATIONS.index(conversation) | bits, len(cuts)]) + places + said


def one_a_read(conversation: str, frames: Sequence[bytes], bits: int = 0) -> bytes:
    """An input: each of *frames* comes when the supervisor has answered the one before."""
    ends = itertools.accumulate(map(len, frames[:-1]))
    return plan(conversation, b"".join(frames), cuts=list(ends), bits=bits)


def said_in(data: bytes) -> tuple[str, int, list[bytes]]:
    """What any input says: conversation, bits, and the worker's bytes in pieces, none empty."""
    bits, count = (*data[:2], 0, 0)[:2]
    count %= MOST_CUTS + 1
    start = 2 + _CUT.size * count
    said = data[start:]
    places = data[2:start]
    cuts = sorted(
        _CUT.unpack_from(places, at)[0] % (len(said) + 1)
        for at in range(0, len(places) - 1, _CUT.size)
    )
    edges = [0, *cuts, len(said)]
    pieces = [said[begin:end] for begin, end in itertools.pairwise(edges)]
    return CONVERSATIONS[bits & CONVERSATION_BITS], bits, [piece for piece in pieces if piece]


def frame(
    kind: int = Kind.RESULT,
    headers: dict[str, Any] | None = None,
    body: bytes = b"",
    *,
    invocation: int = INVOCATION,
    flags: int = 0,
) -> bytes:
    told = {m.STATUS: m.STATUS_RETURNED} if headers is None else headers
    return wire.encode(kind, invocation, told, len(body), flags) + body


def raw(
    packed: bytes = b"",
    body: bytes = b"",
    *,
    header_size: int | None = None,
    body_size: int | None = None,
    version: int = VERSION,
) -> bytes:
    """A result whose headers are any bytes, and which may lie about its sizes."""
    sizes = (
        len(body) if body_size is None else body_size,
        len(packed) if header_size is None else header_size,
    )
    return PREFIX.pack(*sizes, INVOCATION, Kind.RESULT, version, 0) + packed + body


def aside(size: int, kind: int = Kind.RESULT) -> bytes:
    """It returned *size* bytes, which stand in the window."""
    return wire.encode(kind, INVOCATION, {m.STATUS: m.STATUS_RETURNED}, size, wire.ASIDE)


def seeds() -> dict[str, bytes]:
    """All of them, by name."""
    ready = frame(Kind.READY)
    took = wire.encode_signal(Kind.TOOK, INVOCATION)
    piece = wire.encode_signal(Kind.PIECE, INVOCATION)
    result = frame(body=b"value")
    plain = wire.encode_plain(INVOCATION, b"value", 1234)
    nested = b"\x81\xa1s" + b"\x91" * 2000 + b"\xc0"
    warm = {
        "nothing": b"",
        "a result": result,
        "a plain result": plain,
        "a plain result of the largest size": wire.encode_plain(INVOCATION, bytes(MAX_BODY), 0),
        "a body over the limit": frame(body=bytes(MAX_BODY + 1)),
        "two results": result * 2,
        "two plain results": plain * 2,
        "one byte too many": result + b"\x00",
        "half a result": result[: len(result) // 2],
        "half a prefix": result[:9],
        "an answer to another": frame(invocation=INVOCATION + 1),
        "a plain answer to another": wire.encode_plain(INVOCATION ^ 1, b"", 0),
        "an answer to none": frame(invocation=0),
        "READY to a warm call": ready,
        "a request": frame(Kind.INVOKE),
        "INITIALIZE": frame(Kind.INITIALIZE),
        "a chunk": frame(Kind.CHUNK),
        "another version": raw(b"\x81\xa1s\x00", version=VERSION + 1),
        "4 GiB of body": raw(b"\x81\xa1s\x00", b"0123456789", body_size=2**32 - 1),
        "4 GiB of headers": raw(b"\x81\xa1s\x00", header_size=2**32 - 1),
        "headers over the limit": raw(b"\x81", header_size=MAX_HEADER_BYTES + 1),
        "no headers, and not plain": raw(),
        "plain, but with headers": frame(headers={m.USER_US: 1}, flags=wire.PLAIN),
        "nested lists": raw(nested),
        "nested maps": raw(b"\x81\xa1s" * 700 + b"\xc0"),
        "maps as keys": raw(b"\x81" * 2000),
        "a map of 4 G": raw(b"\xdf\xff\xff\xff\xff"),
        "a list of 4 G": raw(b"\x81\xa1s\xdd\xff\xff\xff\xff"),
        "a text of 4 GiB": raw(b"\x81\xa1s\xdb\xff\xff\xff\xff"),
        "a binary": raw(msgpack.packb({"s": 0, "em": b"x"})),
        "an extension": raw(msgpack.packb({"s": 0, "em": msgpack.ExtType(5, b"x")})),
        "a timestamp": raw(b"\x81\xa1s\xd6\xff\x00\x00\x00\x00"),
        "bytes as key": raw(b"\x82\xa1s\x00\xc4\x00\x00"),
        "a text that is no UTF-8": raw(b"\x82\xa1s\x00\xa2em\xa1\xff"),
        "too many keys": frame(headers={str(n): n for n in range(MAX_HEADER_KEYS + 1)}),
        "no map": raw(b"\xc0"),
        "two maps": raw(b"\x81\xa1s\x00\x80"),
        "a number below zero": frame(headers={m.STATUS: 0, m.PEAK_RSS: -1}),
        "a number too large": frame(headers={m.STATUS: 0, m.PEAK_RSS: 2**64 - 1}),
        "a fraction": frame(headers={m.STATUS: 0, m.USER_US: 0.5}),
        "not a number": frame(headers={m.STATUS: 0, m.USER_US: float("nan")}),
        "an unknown field of a long name": frame(headers={m.STATUS: 0, "z" * 1500: 1}),
        "an unknown field": frame(headers={m.STATUS: 0, "zz": 1}),
        "a status that only equals one": frame(headers={m.STATUS: True}),
        "a status that cannot be looked up": frame(headers={m.STATUS: [0]}),
        "a result in the window": aside(PIECE_BYTES),
        "a plain result in the window": wire.encode_plain_aside(INVOCATION, PIECE_BYTES, 1234),
        "an empty plain result in the window": wire.encode_plain_aside(INVOCATION, 0, 1234),
        "a body over the limit in the window": aside(MAX_BODY + 1),
        "a plain one over the limit in the window": wire.encode_plain_aside(
            INVOCATION, MAX_BODY + 1, 0
        ),
        "4 GiB in the window": aside(2**32 - 1),
        "a plain 4 GiB in the window": wire.encode_plain_aside(INVOCATION, 2**32 - 1, 0),
        "a plain result in the window and behind the frame": (
            wire.encode_plain_aside(INVOCATION, 5, 0) + b"value"
        ),
        "the first piece of two": aside(PIECE_BYTES + 1),
        "the first piece of two, plain": wire.encode_plain_aside(INVOCATION, PIECE_BYTES + 1, 0),
        "two pieces at once": aside(PIECE_BYTES + 1) + piece,
        "another result between two pieces": aside(PIECE_BYTES + 1) + result,
        "a piece of nothing": piece,
        "a small event taken": took + result,
        "text on the pipe": b"Traceback (most recent call last):\n",
        "noise": bytes(range(256)),
    }
    warm |= {
        f"every field, status {status}": frame(headers=FULL | {m.STATUS: status}, body=b"why")
        for status in range(6)
    }
    cold = {
        "READY and a result": ready + result,
        "READY and a plain result": ready + plain,
        "READY alone": ready,
        "two READYs": ready * 2,
        "READY for another": frame(Kind.READY, invocation=INVOCATION + 1) + result,
        "a result before READY": result + ready,
        "READY that says no": frame(Kind.READY, FULL, b"why"),
        "READY that exits": frame(Kind.READY, FULL | {m.STATUS: m.STATUS_EXITING}),
        "a result after READY that says no": frame(Kind.READY, FULL) + result,
        "READY, then noise": ready + bytes(range(256)),
        "READY in the window": aside(5, Kind.READY) + result,
    }
    pieces = {
        "all of a large result": (aside(MAX_BODY), piece, piece, piece),
        "all of a plain one": (
            wire.encode_plain_aside(INVOCATION, MAX_BODY, 9),
            piece,
            piece,
            piece,
        ),
        "all of one over the limit": (aside(MAX_BODY + 1), piece, piece, piece),
        "one piece too many": (aside(PIECE_BYTES + 1), piece, piece),
        "a piece that is not empty": (aside(PIECE_BYTES + 1), piece[:-1] + b"\0", piece),
        "a piece for another": (
            aside(PIECE_BYTES + 1),
            wire.encode_signal(Kind.PIECE, INVOCATION + 1),
        ),
    }
    large = {
        "taken, and a result": (took, took, result),
        "taken, and a large result": (took, took, aside(PIECE_BYTES + 1), piece),
        "taken by halves, and a result": (took, result),
        "not taken, and a result": (result,),
        "taken once too often": (took, took, took, result),
        "taken by another": (wire.encode_signal(Kind.TOOK, INVOCATION + 1), took, result),
        "taken with headers": (frame(Kind.TOOK), took, result),
    }
    found = {
        **{f"warm: {name}": plan("warm", said) for name, said in warm.items()},
        **{f"cold: {name}": plan("cold", said) for name, said in cold.items()},
        **{f"warm-up: {name}": plan("warm-up", said) for name, said in cold.items()},
        "nothing asked: a result": plan("nothing asked", result),
        "warm: an answer before the event was read": plan("warm", result, bits=NOT_SENT),
        "cold: an answer before the event was read": plan("cold", ready + result, bits=NOT_SENT),
        "warm: half a result and the end": plan("warm", result[:-2], bits=HANGS_UP),
        "cold: READY and the end": plan("cold", ready, bits=HANGS_UP),
        "an empty input": b"",
        "cuts that are not there": b"\x00\x07\x01",
    }
    many = [1, 8, 17, 19, 20, 24, 27]
    cut = {f"{name}, in pieces": plan("warm", said, cuts=many) for name, said in warm.items()}
    cut |= {f"{name}, in pieces": plan("cold", said, cuts=many) for name, said in cold.items()}
    cut |= {f"warm: {name}, a read each": one_a_read("warm", said) for name, said in pieces.items()}
    cut |= {
        f"warm: a large event {name}, a read each": one_a_read("warm", said, LARGE_EVENT)
        for name, said in large.items()
    }
    cut |= {
        f"cold: a large event {name}, a read each": one_a_read("cold", (ready, *said), LARGE_EVENT)
        for name, said in large.items()
    }
    cut["warm: a large event taken at once, and a result"] = plan(
        "warm", took + took + result, bits=LARGE_EVENT
    )
    return found | cut
