"""Cases of handlers that miss their deadline."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import Case, returned, timed_out, told
from fc_runtime.torture.plays import again_and_again

_hang: Final = partial(Case, handler="hangs", timeout=0.3)

CASES: Final = (
    _hang(
        name="busy-loop",
        row=1,
        what="never stops computing",
        deed="busy",
        expect=timed_out("busy"),
    ),
    _hang(name="sleep", row=2, what="sleeps", deed="sleeping", expect=timed_out("sleeping")),
    _hang(
        name="on-the-deadline",
        row=1,
        what="ends when its time does, twenty times",
        deed="about_as_long",
        timeout=0.05,
        play=again_and_again(20),
        expect=told(
            "returned or timed out",
            lambda ends: sum(ends.values()) == 20 and set(ends) <= {"returned", "timed_out"},
        ),
        within_s=15.0,
    ),
    _hang(
        name="gil-held",
        row=2,
        what="blocks in C with the GIL held",
        deed="holding_the_gil",
        expect=timed_out("holding_the_gil"),
    ),
    _hang(
        name="regular-expression",
        what="matches a pattern that takes for ever",
        deed="matching",
        expect=timed_out("matching"),
    ),
    _hang(
        name="deaf",
        row=3,
        what="ignores and blocks every signal",
        deed="deaf",
        expect=timed_out(),
    ),
    _hang(
        name="catches-everything",
        row=3,
        what="catches whatever is raised, and goes on",
        deed="catching_everything",
        expect=timed_out("catching_everything"),
    ),
    _hang(
        name="stops-itself",
        row=16,
        what="stops itself with SIGSTOP",
        deed="stopping_itself",
        expect=timed_out(),
    ),
    _hang(
        name="deadlock",
        what="waits for a lock that it holds",
        deed="deadlocked",
        expect=timed_out("deadlocked"),
    ),
    _hang(
        name="uninterruptible",
        row=35,
        what="sleeps in state D, as behind a stuck mount",
        deed="uninterruptible",
        expect=timed_out(),
    ),
    _hang(
        name="mute",
        what="takes the signal that asks for its stack",
        deed="mute",
        expect=timed_out(),
    ),
    _hang(
        name="babbling",
        what="floods the pipe that brings its stack",
        deed="babbling",
        expect=timed_out(),
    ),
    _hang(
        name="alarm-storm",
        what="gets a signal every ten microseconds",
        deed="alarmed",
        expect=timed_out(),
    ),
    _hang(name="coroutine", what="awaits what never comes", deed="awaiting", expect=timed_out()),
    _hang(
        name="coroutine-that-stays",
        what="refuses to be cancelled",
        deed="refusing_to_be_cancelled",
        expect=timed_out(),
    ),
    _hang(
        name="finalizer",
        what="hangs in a finalizer",
        deed="finalizing",
        expect=timed_out("__del__"),
    ),
    _hang(
        name="crowd",
        what="has twenty busy threads, and waits for one",
        deed="crowded",
        expect=timed_out(),
    ),
    _hang(
        name="thread-left-behind",
        what="returns beside a thread that never ends",
        deed="returning_beside_a_thread",
        expect=returned(b"returned"),
    ),
)
