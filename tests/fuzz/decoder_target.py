"""
What a worker says, fuzzed: any bytes, cut anywhere, into all of the supervisor that reads them.

`one_input` plays a worker to `Call`, `Exchange`, `Decoder` and `settle`, and to the warm path, and
holds them to what is promised of the boundary: the only error is `WireError`; what is held is
bounded; an answer that is taken answers this very invocation, and every field of it can be used
without another look; the warm path takes nothing that the general way would not.

As a program it is a target for atheris, coverage-guided:

    python tests/fuzz/decoder_target.py CORPUS [-runs=N] [-max_total_time=SECONDS] …

CORPUS is a folder: the seeds are written to it, finds are added. ``make fuzz`` does that. An input
that breaks a promise is written to a file ``crash-…``; given instead of CORPUS it is run alone.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

if __name__ == "__main__":
    import atheris

    sys.path.insert(0, str(Path(__file__).parents[1]))
    watched = atheris.instrument_imports(include=["fc_worker", "fc_runtime"])
else:
    watched = contextlib.nullcontext()

with watched:
    from fc_runtime import (
        Crashed,
        InitializationFailed,
        Raised,
        ResponseRejected,
        Result,
        Returned,
        Usage,
    )
    from fc_runtime.dispatch import settle
    from fc_runtime.dispatch.call import Call
    from fc_runtime.dispatch.exchange import Exchange
    from fc_runtime.dispatch.watch import Ending
    from fc_runtime.pool import warm
    from fc_worker import lane, messages as m, wire
    from fc_worker.lane import Window, make_window_file
    from fc_worker.wire import MAX_HEADER_BYTES, PREFIX_BYTES, Decoder, Frame, Kind, WireError
    from fuzz.seeds import (
        FULL,
        HANGS_UP,
        INVOCATION,
        LARGE_EVENT,
        MAX_BODY,
        NOT_SENT,
        PIECE_BYTES,
        PIECES_OF_EVENT,
        said_in,
        seeds,
    )

MOST_HELD = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_BODY
FAR_OFF_NS = 10**18
TYPES = {name: type(value) for name, value in FULL.items()}
PROMISED = {
    m.STATUS_RETURNED: Returned,
    m.STATUS_RAISED: Raised,
    m.STATUS_REJECTED: ResponseRejected,
}


LARGE = bytes(PIECE_BYTES * (PIECES_OF_EVENT - 1) + 1)
SMALL = b"event"


@contextlib.contextmanager
def small_pieces() -> Iterator[None]:
    """What goes through a window by mebibytes goes by `PIECE_BYTES`."""
    with (
        mock.patch.object(lane, "PIECE_BYTES", PIECE_BYTES),
        mock.patch.object(warm, "PIECE_BYTES", PIECE_BYTES),
        mock.patch.object(wire, "ASIDE_BYTES", len(LARGE)),
    ):
        yield


def window_of_a_worker() -> Window:
    """In which no two bytes beside each other are the same."""
    fd = make_window_file()
    try:
        window = Window(fd)
    finally:
        os.close(fd)
    with small_pieces():
        window.send_result((bytes(range(256)) * 2)[:PIECE_BYTES])
    return window


WINDOW = window_of_a_worker()


class Pipe:
    """The channel of a worker that has said all it will ever say, in *pieces*."""

    pid = None

    def __init__(self, pieces: list[bytes], *, hangs_up: bool) -> None:
        self._pieces = list(pieces)
        self._after = b"" if hangs_up else None

    def __len__(self) -> int:
        return len(self._pieces)

    def read(self, wanted: int) -> bytes | None:
        return self._pieces.pop(0) if self._pieces else self._after

    def process_ended(self) -> bool:
        return False

    def write_small(self, frame: bytes) -> int:
        return len(frame)

    def read_some(self, most: int) -> bytes | None:
        return self.read(most)

    def wait_readable(self, timeout_ms: int) -> bool:
        return False


def one_input(data: bytes) -> None:
    """Raises AssertionError, or whatever escapes the product, if a promise is broken."""
    with small_pieces():
        hold_to_the_promises(data)


def hold_to_the_promises(data: bytes) -> None:
    conversation, bits, pieces = said_in(data)
    exchange = asked(conversation, LARGE if bits & LARGE_EVENT else SMALL)
    pipe = Pipe(pieces, hangs_up=bool(bits & HANGS_UP))
    call, ending = carried(exchange, pipe, writable=not bits & NOT_SENT)
    for frame, kind in ((exchange.ready, Kind.READY), (exchange.reply, Kind.RESULT)):
        if frame is not None:
            check_frame(frame, kind)
    if ending is Ending.ANSWERED:
        check_answer(call, conversation)
    elif ending is Ending.BROKEN:
        check_breach(call)
    if conversation == "warm" and pieces:
        check_warm_path(pieces)


def asked(conversation: str, event: bytes) -> Exchange:
    exchange = Exchange(Decoder(MAX_BODY), INVOCATION, WINDOW)
    if conversation in ("cold", "warm-up"):
        exchange.ask_to_initialize({m.REQUEST_ID: "r"})
    if conversation in ("cold", "warm"):
        exchange.ask_to_invoke({m.REQUEST_ID: "r"}, event)
    return exchange


def carried(exchange: Exchange, pipe: Pipe, *, writable: bool) -> tuple[Call, Ending | None]:
    """As a driver carries it: until an ending, or until the worker has no more to say."""
    never_ns = time.monotonic_ns() + FAR_OFF_NS
    call = Call(
        pipe,  # type: ignore[arg-type]
        exchange,
        None,  # type: ignore[arg-type]  # nobody looks: that would be at a deadline
        started_ns=never_ns,
        deadline_ns=never_ns,
        timeout_ns=FAR_OFF_NS,
    )
    ending = None
    while ending is None and len(pipe):
        if writable:
            exchange.sent(sum(map(len, exchange.unsent)))
        ending = call.read()
        decoder = exchange._decoder
        held = sum(map(len, decoder._parts))
        assert held == decoder._size
        if ending is not Ending.BROKEN:  # then the decoder is spent, and so is the worker
            assert 0 < decoder.wanted
            assert held + decoder.wanted <= MOST_HELD
    if ending is None:
        ending = call.read()  # nothing, or the end
        assert ending in (None, Ending.GONE)
    return call, ending


def check_frame(frame: Frame, kind: Kind) -> None:
    assert kind == frame.kind
    assert INVOCATION == frame.invocation
    assert type(frame.body) is bytes
    assert len(frame.body) <= MAX_BODY
    assert m.STATUS in frame.headers
    for name, value in frame.headers.items():
        assert TYPES[name] is type(value)
        assert value is True or type(value) is str or 0 <= value < 2**63
    assert frame.headers[m.STATUS] <= m.STATUS_DECLINED


def check_answer(call: Call, conversation: str) -> None:
    exchange = call.exchange
    assert not exchange.unsent
    assert not exchange._decoder._size  # nothing is kept that the next answer would begin with
    assert not exchange.cold_now
    answer = exchange.reply or exchange.ready
    assert answer is not None
    assert (conversation != "warm") is (exchange.ready is not None)
    status = answer.headers[m.STATUS]
    if exchange.reply is None:
        assert status != m.STATUS_RETURNED or conversation == "warm-up"
    check_usage(settle.usage_of(answer.headers, 0))
    if status in PROMISED:
        outcome, payload = settle.answered(call)
        if exchange.reply is None and status != m.STATUS_RETURNED:
            assert type(outcome) is InitializationFailed
        else:
            assert type(outcome) is PROMISED[status]
        assert answer.body == payload


def check_usage(usage: Usage) -> None:
    assert 0 <= usage.user_s < 2**63
    assert 0 <= usage.system_s < 2**63
    for count in (usage.peak_memory_bytes, usage.child_processes, usage.leftover_processes):
        assert type(count) is int
        assert 0 <= count < 2**63


def check_breach(call: Call) -> None:
    assert call.breach
    assert len(call.breach) < 1000  # it goes into a message: a worker does not choose its size
    outcome, body = settle.failed(
        call,
        Ending.BROKEN,
        initializing=call.exchange.cold_now,
        limit_s=1.0,
        limit_bytes=1,
        peak_bytes=1,
        exit_code=None,
        reason=call.breach,
        stack="",
        source="",
    )
    cause = outcome.cause if isinstance(outcome, InitializationFailed) else outcome
    assert Crashed(reason=call.breach) == cause
    assert body.startswith(b'{"errorMessage":')


def check_warm_path(pieces: list[bytes]) -> None:
    """What it takes, the general way takes too, and reads the same; all else it hands over."""
    handed: list[bytes | None] = []
    instance = SimpleNamespace(
        channel=Pipe(pieces, hangs_up=False),
        window=WINDOW,
        name="c-1",
        errand=None,
        invocations=0,
        peak_bytes=0,
        take_log=lambda **_: b"",
        last_log=lambda **_: b"",
    )
    core = SimpleNamespace(
        placer=SimpleNamespace(enabled=False, in_trial=False),
        next_invocation=lambda: INVOCATION,
        new_request_id=lambda: "r",
        max_response_bytes=MAX_BODY,
    )
    pool = SimpleNamespace(
        name="f",
        abandon=lambda _: None,
        lease_idle=lambda: instance,
        release=lambda _: None,
        packed_headers=(b"", b""),
        fixed_headers={},
        timeout_ns=FAR_OFF_NS,
        function=SimpleNamespace(name="f"),
        counts=SimpleNamespace(add=lambda *_, **__: None),
    )
    serving = SimpleNamespace(resume=lambda _began, _placement, _sent, data: handed.append(data))
    with mock.patch.multiple(warm, Serving=lambda *_, **__: serving, Request=lambda *_: None):
        result: Any = warm.try_warm(core, pool, SMALL, lambda _pool, _errand: None)  # type: ignore[arg-type]
    if type(result) is not Result:
        assert result is serving
        assert handed == pieces[:1]
        return
    general = asked("warm", SMALL)
    try:
        done = general.received(pieces[0])
    except WireError as breach:
        raise AssertionError(f"taken by the warm path alone: {breach}") from breach
    assert done
    assert general.reply is not None
    assert m.STATUS_RETURNED == general.reply.headers[m.STATUS]
    assert general.reply.body == result.payload
    assert settle.usage_of(general.reply.headers, 0) == result.usage


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-") and not Path(arguments[0]).is_file():
        corpus = Path(arguments[0])
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds().values()):
            (corpus / f"seed-{number:03}").write_bytes(seed)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
