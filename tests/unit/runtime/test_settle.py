"""From an ending to an outcome and the body that FC would answer with."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from fc_runtime.dispatch import settle
from fc_runtime.dispatch.watch import Ending
from fc_runtime.isolation.tiers import Reading
from fc_runtime.outcome import (
    Crashed,
    InitializationCause,
    InitializationFailed,
    OutOfMemory,
    Raised,
    ResponseRejected,
    Returned,
    TimedOut,
    Usage,
)
from fc_worker import messages as m
from fc_worker.wire import Frame, Kind

MiB = 2**20
MS = 1_000_000
EXITED = "Process exited unexpectedly before completing request (duration: 250ms, "


def frame(kind: Kind, status: int, /, **texts: str) -> Frame:
    names = {"kind": m.ERROR_TYPE, "says": m.ERROR_MESSAGE, "trace": m.TRACEBACK}
    headers: dict[str, Any] = {m.STATUS: status}
    headers.update({names[name]: text for name, text in texts.items()})
    return Frame(kind, 1, 0, headers, b"body")


def call_of(
    *,
    ready: Frame | None = None,
    reply: Frame | None = None,
    began_ns: int = 0,
    reading: Reading | None = None,
    watched: bool = True,
) -> Any:
    """What `settle` reads of a call that took 250 ms, 100 of them before READY if that was owed."""
    return SimpleNamespace(
        exchange=SimpleNamespace(ready=ready, reply=reply),
        started_ns=1000 * MS,
        began_ns=began_ns,
        ended_ns=1250 * MS,
        watch=SimpleNamespace(reading=reading) if watched else None,
    )


READY = frame(Kind.READY, m.STATUS_RETURNED)
WHY = {"kind": "KeyError", "says": "'x'", "trace": "Traceback …"}


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (call_of(reply=frame(Kind.RESULT, m.STATUS_RETURNED)), Returned()),
        (call_of(ready=READY, reply=frame(Kind.RESULT, m.STATUS_RETURNED)), Returned()),
        (call_of(ready=READY), Returned()),
        (call_of(reply=frame(Kind.RESULT, m.STATUS_RAISED, **WHY)), Raised(*WHY.values())),
        (call_of(reply=frame(Kind.RESULT, m.STATUS_RAISED)), Raised("", "")),
        (
            call_of(ready=READY, reply=frame(Kind.RESULT, m.STATUS_REJECTED, **WHY)),
            ResponseRejected(*WHY.values()),
        ),
        (
            call_of(ready=frame(Kind.READY, m.STATUS_RAISED, **WHY)),
            InitializationFailed(Raised(*WHY.values())),
        ),
        (
            call_of(ready=frame(Kind.READY, m.STATUS_REJECTED)),
            InitializationFailed(Raised("", "")),
        ),
    ],
)
def test_an_answer_is_believed(call: Any, outcome: object) -> None:
    """Status and frame tell the outcome; the body is passed on as it came; the trace is kept."""
    got, body = settle.answered(call)

    assert (outcome, b"body") == (got, body)
    assert repr(outcome) == repr(got)


def test_answered_without_an_answer() -> None:
    """That would be our own mistake."""
    with pytest.raises(AssertionError):
        settle.answered(call_of())


def settled(
    ending: Ending, call: Any = None, *, initializing: bool = False, **changes: Any
) -> tuple[Any, str]:
    values: dict[str, Any] = {
        "limit_s": 3.0,
        "limit_bytes": 64 * MiB,
        "peak_bytes": 20 * MiB,
        "exit_code": None,
        "reason": "",
        "stack": "",
        "source": "measured by polling",
    }
    outcome, body = settle.failed(
        call if call is not None else call_of(),
        ending,
        initializing=initializing,
        **{**values, **changes},
    )
    told = json.loads(body)
    assert ["errorMessage"] == list(told)
    return outcome, told["errorMessage"]


ENDINGS: list[tuple[Ending, dict[str, Any], InitializationCause, str]] = [
    (
        Ending.TIMED_OUT,
        {"stack": "File …"},
        TimedOut(3.0, "File …"),
        "Function timed out after 3 seconds (maxMemoryUsage: 20.00MB)",
    ),
    (
        Ending.TIMED_OUT,
        {"limit_s": 0.25, "exit_code": -9, "peak_bytes": 0},
        TimedOut(0.25),
        "Function timed out after 0.25 seconds (maxMemoryUsage: 0.00MB)",
    ),
    (
        Ending.OUT_OF_MEMORY,
        {"peak_bytes": 65 * MiB, "exit_code": -9},
        OutOfMemory(64 * MiB, 65 * MiB, "measured by polling", ""),
        f"{EXITED}maxMemoryUsage: 65.00MB)",
    ),
    (Ending.GONE, {"exit_code": 0}, Crashed(0), f"{EXITED}maxMemoryUsage: 20.00MB)"),
    (Ending.GONE, {"exit_code": 3}, Crashed(3), f"{EXITED}maxMemoryUsage: 20.00MB)"),
    (
        Ending.GONE,
        {"exit_code": -11, "reason": "trace"},
        Crashed(None, 11, "trace"),
        f"{EXITED}maxMemoryUsage: 20.00MB)",
    ),
    (
        Ending.GONE,
        {"reason": "closed its channel"},
        Crashed(None, None, "closed its channel"),
        f"{EXITED}maxMemoryUsage: 20.00MB)",
    ),
    (
        Ending.OUT_OF_MEMORY,
        {"peak_bytes": 64 * MiB, "source": "cgroup", "process": "python[7]"},
        OutOfMemory(64 * MiB, 64 * MiB, "cgroup", "python[7]"),
        f"{EXITED}maxMemoryUsage: 64.00MB)",
    ),
    (
        Ending.TOO_MANY_PROCESSES,
        {},
        Crashed(None, None, "started more processes than max_processes allows"),
        f"{EXITED}maxMemoryUsage: 20.00MB)",
    ),
    (
        Ending.BROKEN,
        {"reason": "broke the protocol: …"},
        Crashed(None, None, "broke the protocol: …"),
        f"{EXITED}maxMemoryUsage: 20.00MB)",
    ),
]


@pytest.mark.parametrize(("ending", "known", "outcome", "says"), ENDINGS)
def test_every_other_ending(
    ending: Ending, known: dict[str, Any], outcome: InitializationCause, says: str
) -> None:
    """What was known becomes the outcome; the body is what FC's platform would say (spec 5.B)."""
    got, text = settled(ending, **known)

    assert repr(outcome) == repr(got)
    assert says == text


@pytest.mark.parametrize(("ending", "known", "outcome", "says"), ENDINGS)
def test_every_ending_of_an_initialization(
    ending: Ending, known: dict[str, Any], outcome: InitializationCause, says: str
) -> None:
    """The same, as the cause: the handler never saw the event."""
    got, text = settled(ending, initializing=True, **known)

    assert repr(InitializationFailed(outcome)) == repr(got)
    assert says == text


def test_every_ending_is_tried() -> None:
    """Besides ANSWERED, which is not a failure."""
    assert set(Ending) - {Ending.ANSWERED} == {ending for ending, *_ in ENDINGS}


def test_the_largest_process_is_named() -> None:
    """Who was the largest, when that was seen; a call nobody had looked at cannot tell."""
    seen = call_of(reading=Reading(65 * MiB, "convert[77]"))
    outcome, _ = settled(Ending.OUT_OF_MEMORY, seen)

    assert "convert[77]" == outcome.process
    assert "" == settled(Ending.OUT_OF_MEMORY, call_of(watched=False))[0].process


def test_the_duration_is_the_handlers() -> None:
    """Counted from READY on a cold start; from the start if READY never came."""
    _, late = settled(Ending.GONE, call_of(began_ns=1100 * MS))
    _, never = settled(Ending.GONE, call_of())

    assert "(duration: 150ms," in late
    assert "(duration: 250ms," in never


@pytest.mark.parametrize("text", ["", 'say "hi"', "grüß dich", "a\nb"])
def test_the_platforms_body_is_compact_json(text: str) -> None:
    """One key, no spaces, ASCII."""
    body = settle.platform_body(text)

    assert {"errorMessage": text} == json.loads(body)
    assert body.startswith(b'{"errorMessage":"')
    assert body.isascii()


def test_usage() -> None:
    """Microseconds become seconds, the larger peak counts, what was not told is zero."""
    told = {
        m.USER_US: 1_500_000,
        m.SYSTEM_US: 250,
        m.PEAK_RSS: 30,
        m.CHILDREN: 2,
        m.LEFT_BEHIND: 1,
    }

    assert Usage(1.5, 0.00025, 30, 2, 1) == settle.usage_of(told, 20)
    assert Usage(1.5, 0.00025, 40, 2, 1) == settle.usage_of(told, 40)
    assert Usage(0.0, 0.0, 7, 0, 0) == settle.usage_of({}, 7)


DUMP = """\
Thread 0x00007f0000000001 (most recent call first):
  File "/code/index.py", line 3 in helper
  File "/code/index.py", line 9 in handler
  File "/venv/site-packages/fc_worker/serve.py", line 180 in _invoke
  File "/venv/site-packages/fc_worker/serve.py", line 90 in run
  File "/venv/site-packages/fc_worker/zygote.py", line 40 in main
  File "<frozen runpy>", line 88 in _run_code

Current thread 0x00007f0000000002 (most recent call first):
  File "/code/fc_worker.py", line 5 in not_ours
  File "/code/index.py", line 7 in in_a_thread
"""


def test_a_stack_ends_where_the_runtime_begins() -> None:
    """The handler's frames of every thread; ours, and what called us, are cut off."""
    assert """\
Thread 0x00007f0000000001 (most recent call first):
  File "/code/index.py", line 3 in helper
  File "/code/index.py", line 9 in handler
Current thread 0x00007f0000000002 (most recent call first):
  File "/code/fc_worker.py", line 5 in not_ours
  File "/code/index.py", line 7 in in_a_thread""" == settle.readable_stack(DUMP)


PRINTING = """\
Current thread 0x00007f0000000001 (most recent call first):
  File "/venv/site-packages/fc_worker/capture.py", line 39 in write
  File "/venv/site-packages/fc_worker/capture.py", line 80 in write
  File "/code/index.py", line 3 in printing
  File "<string>", line 1 in <lambda>
  File "/code/index.py", line 9 in handler
"""
OURS = """\
  File "/venv/site-packages/fc_worker/serve.py", line 180 in _invoke
  File "/venv/site-packages/fc_worker/zygote.py", line 40 in main
  File "<string>", line 1 in <module>
"""


def test_a_stack_shows_what_the_handler_called() -> None:
    """Even if that is ours: it hangs in a print, of which the newest frames are the runtime's."""
    assert PRINTING.strip() == settle.readable_stack(PRINTING + OURS)
    assert PRINTING.strip() == settle.readable_stack(PRINTING + OURS + "\n")


def test_a_stack_that_was_cut_is_shown_as_far_as_it_goes() -> None:
    """The oldest frames did not arrive: then those that did are not the runtime's callers."""
    cut = PRINTING + "  ..."

    assert cut.strip() == settle.readable_stack(cut)


@pytest.mark.parametrize("dump", ["", "\n", "garbage", "Thread 0x1 (most", "\ud800"])
def test_a_stack_may_be_anything(dump: str) -> None:
    """It is what a worker wrote: shown as it is, without failing."""
    assert dump.strip() == settle.readable_stack(dump)
