"""
What becomes of a task after an attempt: pure, so that every rule of spec 7.B can be read here.

An error of the function (it raised, timed out, outgrew its memory, crashed, could not be loaded)
is tried again, `max_retries` times. What is ours (no room, no such instance, a bug) is tried again
for as long as the task is not too old. A function that is not there is not waited for.
"""

from dataclasses import dataclass
from typing import Any, Final

from fc_runtime.errors import EventTooLargeError, FunctionNotFoundError, InvalidFunctionError
from fc_runtime.outcome import Result, describe
from fc_runtime.tasks.destinations import UndeliverableError
from fc_runtime.tasks.holding import Change, Held
from fc_runtime.tasks.policy import Policy
from fc_runtime.tasks.records import Limits
from fc_runtime.tasks.states import Phase, Status
from fc_runtime.tasks.written import event_line, outcome_text

PENDING: Final = "Pending"
UNHANDLED: Final = "UnhandledInvocationError"
NOT_KEPT: Final = "ResultNotKept"  # it succeeded; with more bytes than are kept
TOO_OLD: Final = "EventAgeExceeded"
# What will not be otherwise the next time.
HOPELESS: Final = (FunctionNotFoundError, InvalidFunctionError, EventTooLargeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    Of one attempt: when it began and ended, what of that has to be written yet (``lines``), and a
    number from 0 to 1 for `Backoff.after`.
    """

    started_ms: int
    now: int
    lines: str
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Makes the `Change` that is to be written. All instants in milliseconds since the epoch."""

    owner: str
    policy: Policy
    limits: Limits

    def ran(self, held: Held, result: Result, course: Course) -> Change:
        """An attempt has come to *result*."""
        now, lines = course.now, course.lines
        told: dict[str, Any] = {
            "started_ms": course.started_ms,
            "instance_id": result.instance_id,
            "outcome": outcome_text(result.outcome),
        }
        if result.ok:
            return self._end(held, Status.SUCCEEDED, now, lines, result=result, **told)
        told["error_type"] = UNHANDLED
        reason = describe(result.outcome)
        if held.retries < held.max_retries:
            due_ms = now + round(1000 * self.policy.retry.after(held.retries + 1, course.chance))
            if due_ms < held.expires_ms:
                return self._again(
                    held, Status.RETRYING, now, lines, reason, due_ms=due_ms,
                    retries=held.retries + 1, setbacks=0, **told,
                )  # fmt: skip
            reason += "; too old for another attempt"
        return self._end(held, Status.FAILED, now, lines, reason, result=result, **told)

    def failed(self, held: Held, error: Exception, course: Course) -> Change:
        """It could not be run, or not to its end, and the function is not to blame."""
        now, lines = course.now, course.lines
        error_type = str(getattr(error, "code", type(error).__name__))
        reason = f"{error_type}: {error}"
        told: dict[str, Any] = {"error_type": error_type, "started_ms": course.started_ms}
        if isinstance(error, HOPELESS):
            return self._end(held, Status.INVALID, now, lines, reason, **told)
        setbacks = held.setbacks + 1
        due_ms = now + round(1000 * self.policy.setback.after(setbacks, course.chance))
        if due_ms >= held.expires_ms:
            return self._end(held, Status.EXPIRED, now, lines, reason, **told)
        return self._again(
            held, Status.RETRYING, now, lines, reason, due_ms=due_ms,
            retries=held.retries, setbacks=setbacks, **told,
        )  # fmt: skip

    def expired(self, held: Held, now: int) -> Change:
        """It has waited too long to be begun."""
        return self._end(
            held, Status.EXPIRED, now, "", error_type=TOO_OLD, deliveries=held.deliveries - 1
        )

    def stopped(self, held: Held, started_ms: int | None, now: int, lines: str) -> Change:
        """It was asked to be, and has been; *started_ms* is None if it had not begun."""
        deliveries = held.deliveries - (started_ms is None)
        return self._end(
            held, Status.STOPPED, now, lines, started_ms=started_ms, deliveries=deliveries
        )

    def delivered(self, held: Held, error: Exception | None, now: int, chance: float) -> Change:
        """Its destination has been told, or not."""
        tries = held.setbacks + 1
        hopeless = isinstance(error, UndeliverableError) or tries >= self.policy.delivery_tries
        if error is not None and not hopeless:
            due_ms = now + round(1000 * self.policy.delivery.after(tries, chance))
            return self._settle(held, Phase.WAITING, PENDING, due_ms=due_ms, setbacks=tries)
        line = "" if error is None else event_line(held.status, now, f"destination: {error}")
        word = "Succeeded" if error is None else "Failed"
        purge_ms = self._purge_ms(now)
        return self._settle(held, Phase.ENDED, word, line, purge_ms=purge_ms, setbacks=tries)

    def given_back(self, held: Held, now: int, lines: str, *, begun: bool) -> Change:
        """Somebody else may have it: we go."""
        if held.has_ended:
            return self._settle(held, Phase.WAITING, PENDING, due_ms=now, setbacks=held.setbacks)
        return self._again(
            held, Status.ENQUEUED, now, lines, "given back: whoever had it goes", due_ms=now,
            retries=held.retries, setbacks=held.setbacks, deliveries=held.deliveries - (not begun),
        )  # fmt: skip

    # -- the parts -----------------------------------------------------------------------------

    def _end(
        self,
        held: Held,
        status: Status,
        now: int,
        lines: str,
        reason: str = "",
        *,
        result: Result | None = None,
        **told: Any,
    ) -> Change:
        payload = b"" if result is None else result.payload
        if len(payload) > self.limits.payload_bytes:
            reason = f"{reason}; its result, {len(payload)} bytes, was not kept".removeprefix("; ")
            told["error_type"] = told.get("error_type", NOT_KEPT)
            payload = b""
        pending = destination_of(held, status) is not None
        return self._change(
            held,
            Phase.HELD if pending else Phase.ENDED,
            status,
            lines + event_line(status, now, reason),
            due_ms=now,
            ended_ms=now,
            purge_ms=None if pending else self._purge_ms(now),
            destination_status=PENDING if pending else None,
            payload=payload or None,
            **told,
        )

    def _again(
        self, held: Held, status: Status, now: int, lines: str, reason: str, **told: Any
    ) -> Change:
        lines += event_line(status, now, reason)
        return self._change(held, Phase.WAITING, status, lines, **told)

    def _settle(
        self, held: Held, phase: Phase, destination_status: str, lines: str = "", **told: Any
    ) -> Change:
        told |= {"destination_status": destination_status, "settles": True}
        return self._change(held, phase, held.status, lines, **told)

    def _change(self, held: Held, phase: Phase, status: Status, lines: str, **told: Any) -> Change:
        made = {"deliveries": held.deliveries, "retries": held.retries, "setbacks": 0} | told
        return Change(owner=self.owner, held=held, phase=phase, status=status, lines=lines, **made)

    def _purge_ms(self, now: int) -> int:
        return now + round(self.limits.keep_s * 1000)


def destination_of(held: Held, status: Status) -> str | None:
    """Who is to be told that it has ended so. Nobody of one that was stopped by hand."""
    if status is Status.STOPPED:
        return None
    return held.on_success if status is Status.SUCCEEDED else held.on_failure
