"""
One invocation's bytes, both ways, without any I/O: what they mean on our side.

A cold start sends INITIALIZE and INVOKE in one go and is owed READY, then RESULT; a warm call
sends INVOKE and is owed RESULT; a warm-up sends INITIALIZE and is owed READY. Anything else that
arrives is a breach of protocol, and everything that arrives was made by a hostile worker. What it
writes before it is asked must not pass for an answer: so nobody can know an invocation's id before
its request brings it (`Ids`).
"""

import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from fc_worker import messages as m, wire
from fc_worker.lane import Receiver, Sender, Window
from fc_worker.wire import Decoder, Frame, Kind, WireError

from fc_runtime.http import HttpResponse, parse_response

_TEXT_FIELDS: Final = frozenset(
    {m.ERROR_TYPE, m.ERROR_MESSAGE, m.TRACEBACK, m.UNCLEAN, m.HTTP_HEADERS, m.IMPORTED}
)
_NUMBER_FIELDS: Final = frozenset(
    {
        m.STATUS,
        m.RUN_NS,
        m.INIT_NS,
        m.INIT_LOG,
        m.EXIT_CODE,
        m.USER_US,
        m.SYSTEM_US,
        m.PEAK_RSS,
        m.CHILDREN,
        m.LEFT_BEHIND,
        m.HTTP_STATUS,
    }
)
_TOO_MUCH: Final = 2**63
_SHOWN: Final = 40  # letters of a name that the worker chose, in a message of ours
_STATUSES: Final = frozenset(
    {
        m.STATUS_RETURNED,
        m.STATUS_RAISED,
        m.STATUS_REJECTED,
        m.STATUS_EXITING,
        m.STATUS_DECLINED,
    }
)
_INITIALIZE: Final = int(Kind.INITIALIZE)
_INVOKE: Final = int(Kind.INVOKE)
_HTTP: Final = int(Kind.HTTP)
_HOOK: Final = int(Kind.HOOK)
_READY: Final = int(Kind.READY)
_RESULT: Final = int(Kind.RESULT)
_TOOK: Final = int(Kind.TOOK)
_PIECE: Final = int(Kind.PIECE)
_SIGNALS: Final = frozenset({_TOOK, _PIECE})
_LOT: Final = struct.Struct("<512Q")


class Ids:
    """
    Of invocations: 64 bits each from the kernel, so that an idle worker cannot answer ahead. In
    lots, since asking costs a system call. Any number of threads may draw.
    """

    __slots__ = ("_lot",)

    def __init__(self) -> None:
        self._lot: list[int] = []

    def draw(self) -> int:
        while True:
            try:
                return self._lot.pop()
            except IndexError:
                self._lot += _LOT.unpack(os.urandom(_LOT.size))


class Exchange:
    """
    What is still to be sent, and what has come back.

    Drivers read ``unsent`` and call `sent` and `received`; they never look inside a frame.

    Args:
        window: of the instance; without one, all that is large goes through the pipe.
    """

    __slots__ = (
        "_begun",
        "_decoder",
        "_invocation",
        "_kind",
        "_owed",
        "_receiver",
        "_sender",
        "_window",
        "http",
        "ready",
        "reply",
        "sent_bytes",
        "unsent",
    )

    def __init__(self, decoder: Decoder, invocation: int, window: Window | None = None) -> None:
        self._decoder = decoder
        self._invocation = invocation
        self._window = window
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._begun: Frame | None = None  # the answer whose body is being received
        self._owed: list[int] = []
        self.unsent: list[bytes | memoryview] = []
        self.sent_bytes = 0
        self.ready: Frame | None = None
        self.reply: Frame | None = None
        self.http: HttpResponse | None = None  # if that was asked for, and given
        self._kind = _INVOKE

    def ask_to_initialize(self, headers: dict[str, Any]) -> None:
        self.unsent.append(wire.encode(_INITIALIZE, self._invocation, headers, 0))
        self._owed.append(_READY)

    def ask_to_invoke(self, headers: dict[str, Any], event: bytes, flags: int = 0) -> None:
        if m.HTTP in headers:
            self._kind = _HTTP
        elif m.HOOK in headers:
            self._kind = _HOOK
        aside = self._window is not None and len(event) >= wire.ASIDE_BYTES
        if aside:
            flags |= wire.ASIDE
        self.unsent.append(wire.encode(self._kind, self._invocation, headers, len(event), flags))
        if self._window is not None and aside:
            self._sender = self._window.send_event(event)
        elif event:
            self.unsent.append(event)
        self._owed.append(_RESULT)

    @property
    def cold_now(self) -> bool:
        """Has the instance not said yet that it is ready?"""
        return bool(self._owed) and self._owed[0] == _READY

    @property
    def wanted(self) -> int:
        """Bytes still missing, as far as known."""
        return self._decoder.wanted

    def sent(self, count: int) -> None:
        """*count* bytes of ``unsent`` are on their way."""
        self.sent_bytes += count
        parts = self.unsent
        while parts and count >= len(parts[0]):
            count -= len(parts[0])
            del parts[0]
        if count:
            parts[0] = memoryview(parts[0])[count:]

    def received(self, data: bytes) -> bool:
        """Take *data* in; is everything here that is owed? Raises WireError."""
        try:
            frames = self._decoder.feed(data)
        except WireError as breach:
            for frame in breach.before:  # READY counts, whatever comes in the same read after it
                self._take(frame)
            raise
        for frame in frames:
            self._take(frame)
        if self._owed:
            return False
        if self._decoder.holds_part:
            raise WireError("more bytes than one answer")
        return True

    def _take(self, frame: Frame) -> None:
        if not self._is_owed(frame.kind):
            raise WireError(f"a frame of kind {frame.kind} that nobody asked for")
        if frame.invocation != self._invocation:
            raise WireError(f"an answer to invocation {frame.invocation}, not {self._invocation}")
        if frame.kind not in _SIGNALS:
            self._take_answer(frame)
        elif frame.headers or frame.body:
            raise WireError(f"a frame of kind {frame.kind} that is not empty")
        elif frame.kind == _TOOK:
            self._lay_next()
        else:
            self._take_next()

    def _is_owed(self, kind: int) -> bool:
        """Whoever is in the middle of a body has nothing to say but that it goes on."""
        if not self._owed:
            return False
        if self._begun is not None:
            return kind == _PIECE
        if kind == _TOOK:
            return self._owed[0] == _RESULT and self._sender is not None and self._sender.left > 0
        return kind == self._owed[0]

    def _take_answer(self, frame: Frame) -> None:
        microseconds = wire.plain_microseconds(frame.kind, len(frame.headers), frame.flags)
        if microseconds is not None:
            frame.headers.update({m.STATUS: m.STATUS_RETURNED, m.USER_US: microseconds})
        check_fields(frame.headers)
        if frame.kind == _READY:
            if frame.aside:
                raise WireError("a body in the window before there was an event")
            del self._owed[0]
            self.ready = frame
            if frame.headers[m.STATUS] != m.STATUS_RETURNED:
                self._owed.clear()  # it will not serve: nothing more comes
            return
        if self._sender is not None and self._sender.left:
            raise WireError("an answer before the event was read")
        self._take_http(frame.headers)
        if frame.aside:
            self._begin_to_receive(frame)
        else:
            self._finish(frame)

    def _finish(self, reply: Frame) -> None:
        del self._owed[0]
        self.reply = reply

    # -- bodies in the window ------------------------------------------------------------------

    def _lay_next(self) -> None:
        if self._sender is None:
            raise AssertionError("nothing is being sent")
        self._sender.lay()
        self.unsent.append(wire.encode_signal(_PIECE, self._invocation))

    def _begin_to_receive(self, frame: Frame) -> None:
        if self._window is None:
            raise WireError("a body in the window, and there is none")
        self._begun = frame
        self._receiver = self._window.receive_result(frame.aside)
        self._go_on_receiving(self._receiver)

    def _take_next(self) -> None:
        if self._receiver is None:
            raise AssertionError("nothing is being received")
        self._receiver.take()
        self._go_on_receiving(self._receiver)

    def _go_on_receiving(self, receiver: Receiver) -> None:
        if receiver.left:
            self.unsent.append(wire.encode_signal(_TOOK, self._invocation))
        elif self._begun is not None:
            begun, self._begun = self._begun, None
            self._finish(begun._replace(body=receiver.body(), aside=0))

    def _take_http(self, headers: Mapping[str, Any]) -> None:
        """What belongs to an HTTP response is there if one is owed, and only then."""
        if self._kind == _HTTP and headers[m.STATUS] == m.STATUS_RETURNED:
            try:
                self.http = parse_response(headers.get(m.HTTP_STATUS), headers.get(m.HTTP_HEADERS))
            except ValueError as error:
                raise WireError(str(error)) from error
        elif m.HTTP_STATUS in headers or m.HTTP_HEADERS in headers:
            raise WireError("an HTTP response that nobody asked for")


def check_fields(headers: Mapping[str, Any]) -> None:
    """Every field is one we know, has its type, and numbers are sane. Raises WireError."""
    status = headers.get(m.STATUS)
    if type(status) is not int or status not in _STATUSES:  # a list cannot even be looked up
        raise WireError("an answer without a status")
    for name, value in headers.items():
        if type(value) is int:
            if not 0 <= value < _TOO_MUCH or name not in _NUMBER_FIELDS:
                raise WireError(f"header {name[:_SHOWN]!r} is not a size")
        elif type(value) is str:
            if name not in _TEXT_FIELDS:
                raise WireError(f"header {name[:_SHOWN]!r} is not a text")
        elif name != m.THREADED or value is not True:
            raise WireError(f"header {name[:_SHOWN]!r} is a {type(value).__name__}")
