"""
One case: what a handler does, what is expected, and where that is promised. Data, and no more.

An `Expectation` is a phrase for people beside a question about what was `Seen`. What is seen is a
`Result`, an error of ours, or, where a case is more than one call, facts that its play tells.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fc_runtime.errors import FcRuntimeError
from fc_runtime.outcome import (
    Crashed,
    InitializationFailed,
    Outcome,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Result,
    Returned,
    TimedOut,
    describe,
    name_of,
)
from fc_runtime.torture.promises import Power, powers_of

if TYPE_CHECKING:
    from fc_runtime.torture.stage import Stage

_SHOWN_CHARS: Final = 60  # of a payload
_SIGSYS: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a case. One of the first three says it."""

    result: Result | None = None
    error: FcRuntimeError | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def outcome(self) -> Outcome | None:
        return None if self.result is None else self.result.outcome

    @property
    def words(self) -> str:
        """One line for people."""
        if self.error is not None:
            return f"{type(self.error).__name__}: {_short(str(self.error))}"
        if self.result is None:
            return ", ".join(f"{name}: {value}" for name, value in self.told.items())
        if not self.result.ok:
            kind = name_of(self.result.outcome).replace("_", " ")
            text = describe(self.result.outcome).removeprefix(f"{kind}: ")
            return f"{kind}: {_short(text)}"
        managed = managed_of(self.result)
        if managed:
            return f"managed: {'; '.join(managed)}"
        if managed is not None:
            return "refused"
        return f"returned {_short(self.result.text)!r}"


def managed_of(result: Result) -> list[str] | None:
    """What an attack on the walls says that it managed; None if this was none."""
    try:
        value = result.json()
    except ValueError:
        return None
    managed = value.get("managed") if isinstance(value, dict) else None
    return managed if isinstance(managed, list) else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}…"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A phrase for people, and whether what was seen is that."""

    phrase: str
    holds: Callable[[Seen], bool] = field(repr=False)


def _of_result(phrase: str, holds: Callable[[Result], bool]) -> Expectation:
    return Expectation(phrase, lambda seen: seen.result is not None and holds(seen.result))


def timed_out(where: str = "") -> Expectation:
    """*where*: a function that the stack has to name."""

    def holds(result: Result) -> bool:
        outcome = result.outcome
        return isinstance(outcome, TimedOut) and (not where or f"in {where}" in outcome.stack)

    return _of_result(f"timed out in {where}()" if where else "timed out", holds)


def returned(payload: bytes | None = None, *, leftovers: int = 0) -> Expectation:
    """*leftovers*: so many processes at least were left, and ended."""

    def holds(result: Result) -> bool:
        return (
            result.ok
            and payload in (None, result.payload)
            and result.usage.leftover_processes >= leftovers
        )

    left = f", {leftovers} left and ended" if leftovers else ""
    return _of_result(f"returned{left}", holds)


def returned_json(expected: object) -> Expectation:
    return _of_result(
        f"returned {_short(json.dumps(expected))}",
        lambda result: result.ok and result.json() == expected,
    )


def returned_where(phrase: str, holds: Callable[[Any], bool]) -> Expectation:
    """*holds* is asked about the returned JSON."""
    return _of_result(phrase, lambda result: result.ok and holds(result.json()))


def returned_with_log(phrase: str, holds: Callable[[bytes], bool]) -> Expectation:
    return _of_result(f"returned, {phrase}", lambda result: result.ok and holds(result.log))


def raised(error_type: str) -> Expectation:
    def holds(result: Result) -> bool:
        return isinstance(result.outcome, Raised) and result.outcome.error_type == error_type

    return _of_result(f"raised {error_type}", holds)


def rejected(error_type: str) -> Expectation:
    def holds(result: Result) -> bool:
        outcome = result.outcome
        return isinstance(outcome, ResponseRejected) and outcome.error_type == error_type

    return _of_result(f"response rejected: {error_type}", holds)


def crashed(
    *, signal: int | None = None, exit_code: int | None = None, reason: str = ""
) -> Expectation:
    """None and "" stand for any."""
    wanted = Crashed(signal=signal, exit_code=exit_code, reason=reason)

    def holds(result: Result) -> bool:
        outcome = result.outcome
        return (
            isinstance(outcome, Crashed)
            and signal in (None, outcome.signal)
            and exit_code in (None, outcome.exit_code)
            and reason in outcome.reason
        )

    any_way = signal is None and exit_code is None
    return _of_result(
        f"crashed: {reason}".removesuffix(": ") if any_way else f"crashed: {wanted.describe()}",
        holds,
    )


def broke_the_protocol() -> Expectation:
    return crashed(reason="broke the protocol")


def out_of_memory() -> Expectation:
    return _of_result("out of memory", lambda result: isinstance(result.outcome, OutOfMemory))


def not_initialized(cause: type) -> Expectation:
    def holds(result: Result) -> bool:
        outcome = result.outcome
        return isinstance(outcome, InitializationFailed) and isinstance(outcome.cause, cause)

    return _of_result(f"initialization failed: {cause.__name__}", holds)


def declined(error: type[FcRuntimeError]) -> Expectation:
    """Refused by us, before any handler code ran."""
    return Expectation(error.__name__, lambda seen: isinstance(seen.error, error))


def refused() -> Expectation:
    """The sandbox refused all of it, or had the kernel end who asked."""

    def holds(result: Result) -> bool:
        outcome = result.outcome
        killed = isinstance(outcome, Crashed) and outcome.signal == _SIGSYS
        return killed or (isinstance(outcome, Returned) and managed_of(result) == [])

    return _of_result("refused", holds)


def told(phrase: str, holds: Callable[[Mapping[str, Any]], bool]) -> Expectation:
    """About the facts that a play told."""
    return Expectation(phrase, lambda seen: bool(seen.told) and holds(seen.told))


def either(*expectations: Expectation) -> Expectation:
    return Expectation(
        " or ".join(one.phrase for one in expectations),
        lambda seen: any(one.holds(seen) for one in expectations),
    )


Play: TypeAlias = "Callable[[Stage], Seen]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    What a handler does to us, and what we answer.

    Args:
        name: for ``--case`` and test ids.
        row: in the list of cases that this project began with; None for what it forgot.
        what: one line, after "the handler …".
        handler: module of ``attacks``.
        deed: what it is to do: a function of that module.
        expect: what is promised, where all of *needs* is there.
        needs: powers of tier and sandbox without which it is not promised.
        otherwise: what is promised elsewhere; None: nothing but to go on and to leave nothing.
        harms: where it is not promised, more may go wrong than the call: the next one may fail,
            processes may be left. They are shown, and ended.
        timeout: seconds of the attacked call.
        options: of the `Function`.
        host: of the `Runtime`.
        play: where it is more than one call of *deed*.
        probe: the event before and after, whose two answers must be the same.
        cold: the attack meets no instance that is up, and *cure* is the environment that the
            function needs to be well afterwards.
        within_s: seconds in which the attacked call has to have ended, beyond *timeout*.
    """

    name: str
    row: int | None = None
    what: str
    handler: str
    deed: str
    expect: Expectation
    needs: frozenset[Power] = frozenset()
    otherwise: Expectation | None = None
    harms: bool = False
    timeout: float = 3.0
    options: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    play: "Play | None" = None
    probe: bytes = b"ping"
    cold: bool = False
    cure: Mapping[str, str] | None = None
    within_s: float = 5.0

    def promised(self, tier: str, sandbox: str) -> bool:
        """Is there anything to hold us to?"""
        return self.expectation(tier, sandbox) is not None

    def expectation(self, tier: str, sandbox: str) -> Expectation | None:
        """What is promised there; None if nothing is but to go on."""
        return self.expect if self.needs <= powers_of(tier, sandbox) else self.otherwise

    def missing(self, tier: str, sandbox: str) -> tuple[Power, ...]:
        """What would have to be there for the promise."""
        return tuple(sorted(self.needs - powers_of(tier, sandbox)))
