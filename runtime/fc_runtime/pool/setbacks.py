"""
What has gone wrong with a function's instances lately, and so how soon to start another.

Three memories, each forgotten in its own way: how many setbacks came in a row (until somebody is
served), the failure that callers are answered with meanwhile (until it is time to try again, or
one comes up), and the last trouble of a start in nobody's time (for who waits to be warm).

No I/O, no clock and no lock of its own: it is told the time, and asked under its roster's lock.
"""

from fc_runtime.outcome import Crashed, InitializationFailed, Result
from fc_runtime.pool.policy import RestartPolicy


class Setbacks:
    __slots__ = (
        "_failure",
        "_policy",
        "_retry_at_ns",
        "_trouble",
        "in_a_row",
        "last_ns",
        "troubles",
    )

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failure: Result | None = None
        self._retry_at_ns = 0
        self._trouble: Result | Exception | None = None
        # The pool's `release` sets it back when an instance younger than `last_ns` has served: on
        # the warm path, so not by a call. An older one says nothing of how starts go now.
        self.in_a_row = 0
        self.last_ns = 0
        self.troubles = 0  # since the function was registered

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start in nobody's time."""
        return self._policy.delay_s(self.in_a_row)

    def known_failure(self, now_ns: int) -> Result | None:
        """Why an instance would not start, as long as it is too early to try again."""
        if self._failure is not None and now_ns < self._retry_at_ns:
            return self._failure
        return None

    def trouble_since(self, troubles: int) -> Result | Exception | None:
        """The last trouble, if there has been one since there were so many `troubles`."""
        return self._trouble if self.troubles > troubles else None

    # -- what happened -------------------------------------------------------------------------

    def note_death(self, now_ns: int) -> None:
        """An idle instance ended, and nobody had asked it to."""
        self.in_a_row += 1
        self.last_ns = now_ns

    def note_failure(self, failure: Result, now_ns: int) -> None:
        """A start came to this. What did not fail to initialize says nothing of the next start."""
        if not isinstance(failure.outcome, InitializationFailed):
            return
        burst = now_ns < self._retry_at_ns  # begun together with one that failed: counts once
        self.in_a_row += not burst
        self.last_ns = now_ns
        cause = failure.outcome.cause
        if isinstance(cause, Crashed) and cause.signal is not None and self.in_a_row == 1:
            return  # killed from outside, it may be: no reason to refuse other callers
        self._failure = failure
        if not burst:
            self._retry_at_ns = now_ns + int(self.delay_s * 1e9)

    def note_trouble(self, trouble: Result | Exception, now_ns: int) -> None:
        """A start in nobody's time failed, or (an exception) could not even be tried."""
        if isinstance(trouble, Exception):
            self.in_a_row += 1
            self.last_ns = now_ns
        else:
            self.note_failure(trouble, now_ns)
        self._trouble = trouble
        self.troubles += 1

    def note_standby(self) -> None:
        """One came up in nobody's time: it is a success only once it has served."""
        self._failure = None

    def note_start(self) -> None:
        """One came up for the caller who started it."""
        self.in_a_row = 0
        self._failure = None
