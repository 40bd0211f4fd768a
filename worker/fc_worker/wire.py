"""
The frame: how bytes are cut on the two pipes of an instance.

    body size   u32   the event, or the result; at most what the reader allows
    header size u32   a msgpack map; at most `MAX_HEADER_BYTES`
    invocation  u64   who this frame belongs to; random, so nobody answers before he is asked
    kind        u8    one of `Kind`
    version     u8    `VERSION`
    flags       u16   bits, see below
    headers           msgpack map with short str keys (`messages`)
    body              raw bytes, never inside the map: no copy through the packer; from
                      `ASIDE_BYTES` on not here at all, but in memory beside the pipe (`lane`),
                      as `is_aside` tells

No I/O and no clock here. Sizes are refused on the prefix, before anything is held: what comes
from a worker is hostile input. The only error is `WireError`.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

import msgpack

VERSION: Final = 1
PREFIX: Final = struct.Struct("<IIQBBH")
PREFIX_BYTES: Final = PREFIX.size
MAX_HEADER_BYTES: Final = 128 * 1024
MAX_HEADER_KEYS: Final = 64
SMALL_PART_BYTES: Final = 4096

# In a RESULT without headers:
PLAIN: Final = 1  # it returned; the other bits but one are microseconds
PLAIN_ASIDE: Final = 0x8000  # and that one: what it returned stands in the instance's window
_MOST_MICROSECONDS: Final = 0x3FFF
# In an INVOKE:
LIFT_AFFINITY: Final = 1  # the caller borrowed the worker's CPU mask; put it back first
STAY_AWAKE: Final = 2  # the next event is likely to come at once: look for it a moment, then sleep
# Once it is answered take the mask again that was lent last; with `LIFT_AFFINITY`: that of now.
KEEP_APART: Final = 8
# In every frame with headers:
ASIDE: Final = 4  # the body does not follow, it stands in the instance's window

ASIDE_BYTES: Final = 64 * 1024  # from here on bodies do (docs/adr/0015)


class Kind(IntEnum):
    INITIALIZE = 1  # to the worker: load the handler, run the initializer
    READY = 2  # from the worker: it is loaded, or why not
    INVOKE = 3  # to the worker: one event
    RESULT = 4  # from the worker: what became of it
    CHUNK = 5  # kept for streamed results
    HTTP = 6  # to the worker: an HTTP request, for a handler that speaks WSGI
    HOOK = 7  # to the worker: call another function of its, between two invocations
    TOOK = 8  # both ways: a piece of the body in the window has been taken
    PIECE = 9  # both ways: and the next one is there


class WireError(Exception):
    """
    The peer broke the protocol. Nothing it says after this means anything; what it said before, in
    the same bytes, is in ``before``.
    """

    before: "list[Frame]"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.before = []


class Frame(NamedTuple):
    kind: int
    invocation: int
    flags: int
    headers: dict[str, Any]
    body: bytes
    aside: int = 0  # bytes of the body that are in the window


_RESULT: Final = int(Kind.RESULT)
_KINDS: Final = frozenset(int(kind) for kind in Kind)
_unpack: Final = partial(
    msgpack.unpackb,
    raw=False,
    strict_map_key=True,
    max_map_len=MAX_HEADER_KEYS,
    max_array_len=MAX_HEADER_KEYS,
    max_ext_len=0,
    max_bin_len=0,  # as a key msgpack would take one; now the only such key can be b""
)
_pack_map: Final[Callable[[dict[str, Any]], bytes]] = msgpack.Packer(autoreset=True).pack


def encode(
    kind: int, invocation: int, headers: dict[str, Any], body_size: int, flags: int = 0
) -> bytes:
    """Prefix and headers of a frame; the body follows as it is, so it is never copied here."""
    packed = _pack_map(headers)
    return PREFIX.pack(body_size, len(packed), invocation, kind, VERSION, flags) + packed


def encode_plain(invocation: int, body: bytes, microseconds: int) -> bytes:
    """A whole RESULT of the common kind: it returned, soon, and there is nothing else to tell."""
    flags = PLAIN | min(microseconds, _MOST_MICROSECONDS) << 1
    return PREFIX.pack(len(body), 0, invocation, _RESULT, VERSION, flags) + body


def encode_plain_aside(invocation: int, size: int, microseconds: int) -> bytes:
    """The same, for a body of *size* bytes that has been laid into the window."""
    flags = PLAIN_ASIDE | PLAIN | min(microseconds, _MOST_MICROSECONDS) << 1
    return PREFIX.pack(size, 0, invocation, _RESULT, VERSION, flags)


def encode_signal(kind: int, invocation: int) -> bytes:
    """A whole TOOK or PIECE."""
    return PREFIX.pack(0, 0, invocation, kind, VERSION, 0)


def plain_microseconds(kind: int, header_size: int, flags: int) -> int | None:
    """What `encode_plain`, or its like, was told; None for every other frame."""
    if header_size or kind != _RESULT or not flags & PLAIN:
        return None
    return flags >> 1 & _MOST_MICROSECONDS


def is_aside(kind: int, header_size: int, flags: int) -> bool:
    """Does the body of this frame stand in the window, and not behind it?"""
    if header_size:
        return flags & ASIDE > 0
    return flags & PLAIN_ASIDE > 0 and flags & PLAIN > 0 and kind == _RESULT


def around(key: str, text_size: int, others: dict[str, Any]) -> tuple[bytes, bytes]:
    """
    What stands before and after the text in the packed map of *key* → a text of *text_size* UTF-8
    bytes, and *others*: for headers in which nothing but that text changes.
    """
    mark = b"\x01" * text_size
    before, _, after = _pack_map({key: mark.decode(), **others}).partition(mark)
    return before, after


def unpack_headers(packed: bytes | memoryview) -> dict[str, Any]:
    """Raises WireError for whatever is not a small map with text keys."""
    try:
        headers = _unpack(packed)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"headers are not a msgpack map: {type(error).__name__}") from error
    if type(headers) is not dict or b"" in headers:
        raise WireError(f"headers are a {type(headers).__name__}, not a map with text keys")
    return headers


class Decoder:
    """Cuts a stream into frames, however it arrives. One per direction of an instance."""

    __slots__ = ("_max_body", "_need", "_parts", "_size")

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._need = PREFIX_BYTES

    @property
    def wanted(self) -> int:
        """Bytes still missing for the next step; a hint for the size of the next read."""
        return self._need - self._size

    @property
    def holds_part(self) -> bool:
        """Is a frame begun and not ended? Then the stream must not end here."""
        return self._size > 0

    def feed(self, data: bytes) -> list[Frame]:
        """Whole frames completed by *data*. Raises WireError; the decoder is spent after that."""
        if not self._size and len(data) >= PREFIX_BYTES:
            # One whole frame in one read: nearly every warm call.
            body_size, header_size, invocation, kind, version, flags = PREFIX.unpack_from(data)
            body_at = PREFIX_BYTES + header_size
            if (
                len(data) == body_at + body_size
                and version == VERSION
                and kind in _KINDS
                and header_size <= MAX_HEADER_BYTES
                and body_size <= self._max_body
                and not (flags & ASIDE if header_size else flags & PLAIN_ASIDE)
            ):
                headers = unpack_headers(data[PREFIX_BYTES:body_at]) if header_size else {}
                return [Frame(kind, invocation, flags, headers, data[body_at:])]
        if self._size:
            if len(data) < SMALL_PART_BYTES and len(self._parts[-1]) < SMALL_PART_BYTES:
                self._parts[-1] += data  # else a body sent in drops holds an object for each
            else:
                self._parts.append(data)
            self._size += len(data)
            if self._size < self._need:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        frames: list[Frame] = []
        at = 0
        left = len(data)
        try:
            while left >= PREFIX_BYTES:
                body_size, header_size, invocation, kind, version, flags = PREFIX.unpack_from(
                    data, at
                )
                if version != VERSION or kind not in _KINDS:
                    raise WireError(f"frame of kind {kind}, version {version}")
                if header_size > MAX_HEADER_BYTES:
                    raise WireError(f"headers of {header_size} bytes, limit {MAX_HEADER_BYTES}")
                if body_size > self._max_body:
                    raise WireError(f"body of {body_size} bytes, limit {self._max_body}")
                aside = body_size if is_aside(kind, header_size, flags) else 0
                total = PREFIX_BYTES + header_size + body_size - aside
                if left < total:
                    self._need = total
                    break
                body_at = at + PREFIX_BYTES + header_size
                headers = unpack_headers(data[at + PREFIX_BYTES : body_at]) if header_size else {}
                body = data[body_at : at + total]
                frames.append(Frame(kind, invocation, flags, headers, body, aside))
                at += total
                left -= total
            else:
                self._need = PREFIX_BYTES
        except WireError as breach:
            breach.before = frames
            raise
        if left:
            self._parts.append(data[at:] if at else data)
            self._size = left
        return frames
