"""
One invocation on one instance, as the drivers see it: bytes, a next look, an ending.

Joins the three that know something: `Exchange` what bytes mean, `Watch` what must not last,
`Channel` where to move them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from fc_worker import messages as m
from fc_worker.wire import WireError

from fc_runtime.dispatch.channel import Channel
from fc_runtime.dispatch.crowd import let_go
from fc_runtime.dispatch.exchange import Exchange
from fc_runtime.dispatch.placement import Placement
from fc_runtime.dispatch.watch import PERIOD_MS, Ending, Guarded, Watch

ROOMY_NS: Final = 2_000_000


class Call:
    """
    Made by the caller who holds the instance; used up by one `drive`.

    Args:
        timeout_ns: of the handler, counted from READY if that is still owed.
        deadline_ns: until then READY, or the result, has to come.
        ahead: what to do shortly before a deadline, each once: how many ns before, the earliest
            first, and what.
        in_time: called when READY has come all the same, and another deadline begins.
    """

    __slots__ = (
        "_ahead",
        "_all_ahead",
        "_early",
        "_guarded",
        "_in_time",
        "_look_at_ns",
        "_placement",
        "_timeout_ns",
        "began_ns",
        "breach",
        "channel",
        "deadline_ns",
        "ended_ns",
        "exchange",
        "started_ns",
        "watch",
    )

    def __init__(
        self,
        channel: Channel,
        exchange: Exchange,
        guarded: Guarded,
        *,
        started_ns: int,
        deadline_ns: int,
        timeout_ns: int,
        placement: Placement | None = None,
        ahead: Sequence[tuple[int, Callable[[], None]]] = (),
        in_time: Callable[[], None] | None = None,
    ) -> None:
        self.channel = channel
        self.exchange = exchange
        self.breach = ""
        self.started_ns = started_ns
        self.deadline_ns = deadline_ns
        self.began_ns = 0 if exchange.cold_now else started_ns  # when the handler could begin
        self.ended_ns = 0
        self.watch: Watch | None = None  # most warm calls end before anybody has to look
        self._early: bytes | None = None
        self._guarded = guarded
        self._look_at_ns = started_ns + PERIOD_MS * 1_000_000
        self._timeout_ns = timeout_ns
        self._placement = placement
        self._ahead = self._all_ahead = ahead
        self._in_time = in_time

    def resume(
        self, started_ns: int, placement: Placement | None, sent: int, data: bytes | None
    ) -> None:
        """Go on where another has begun: *sent* bytes are out, *data* has come in."""
        self.deadline_ns -= self.started_ns - started_ns
        self.started_ns = self.began_ns = started_ns
        self._placement = placement
        self._early = data or None
        self.exchange.sent(sent)

    @property
    def has_early(self) -> bool:
        """Has something come in before the driver's first wait?"""
        return self._early is not None

    @property
    def roomy(self) -> bool:
        """May it be over in a moment, and is the deadline so far off that nobody need ask?"""
        return self._timeout_ns > ROOMY_NS and not self.exchange.cold_now

    @property
    def latest_ns(self) -> int:
        """When its last deadline will be over: another begins with READY, if that is owed."""
        return self.deadline_ns if self.began_ns else self.deadline_ns + self._timeout_ns

    def wait_ms(self) -> float:
        """How long to wait before the next look."""
        until_ns = self.deadline_ns - self._ahead[0][0] if self._ahead else self.deadline_ns
        left = (until_ns - time.monotonic_ns()) / 1e6
        most = PERIOD_MS if self.watch is None else self.watch.period_ms
        return max(0.0, min(left, most))

    def read(self) -> Ending | None:
        """Take in what has come; the ending, if that was all that is owed."""
        channel = self.channel
        exchange = self.exchange
        data = self._early or channel.read(exchange.wanted)
        self._early = None
        if data is None:
            if not channel.process_ended():
                return self._look_if_due(time.monotonic_ns())
            data = channel.read(0)  # again: what it wrote before it ended is in the pipe by now
        if not data:
            return Ending.GONE
        try:
            done = exchange.received(data)
        except WireError as breach:
            self.breach = str(breach)
            return Ending.BROKEN
        now = time.monotonic_ns()
        if not self.began_ns and exchange.ready is not None:
            self.began_ns = now
            self.deadline_ns = now + self._timeout_ns
            if self._in_time is not None and len(self._ahead) < len(self._all_ahead):
                self._ahead = self._all_ahead
                self._in_time()
        if not done:
            return self._look_if_due(now)
        self.ended_ns = now
        if exchange.unsent:
            self.breach = "an answer before the event was read"
            return Ending.BROKEN
        return Ending.ANSWERED

    def look(self) -> Ending | None:
        """Nothing came for a while: why to end it, or None."""
        channel = self.channel
        if self._placement is not None or (channel.apart is not None and self.watch is None):
            if channel.unread():  # else the worker has widened its mask, or is about to
                if self._placement is not None:
                    self._placement.let_go()
                let_go(channel)
            self._placement = None
        now = time.monotonic_ns()
        if self._ahead and now >= self.deadline_ns - self._ahead[0][0]:
            (_, act), *self._ahead = self._ahead
            act()
            return None  # a moment is left
        if now >= self.deadline_ns:
            self.ended_ns = now
            return Ending.TIMED_OUT
        if self.watch is None:
            self.watch = Watch(*self._guarded)
        ending = self.watch.look(self.channel.pid)
        self._look_at_ns = now + self.watch.period_ms * 1_000_000
        if ending is not None:
            self.ended_ns = time.monotonic_ns()
        return ending

    def _look_if_due(self, now: int) -> Ending | None:
        """Else a worker whose bytes never stop trickling would never be looked at."""
        return self.look() if now >= min(self._look_at_ns, self.deadline_ns) else None

    @property
    def peak_bytes(self) -> int:
        return 0 if self.watch is None else self.watch.peak_bytes

    @property
    def log_was_cut(self) -> bool:
        return self.watch is not None and self.watch.cut

    def let_go(self) -> None:
        """No more looks."""
        if self.watch is not None:
            self.watch.close()

    def headers(self) -> dict[str, Any]:
        """Of the reply, if there was one."""
        reply = self.exchange.reply or self.exchange.ready
        return reply.headers if reply is not None else {}

    def init_ns(self) -> int | None:
        """What import and initializer took, by the worker's clock; None if none was owed."""
        ready = self.exchange.ready
        return None if ready is None else int(ready.headers.get(m.INIT_NS, 0))
