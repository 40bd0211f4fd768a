"""Cases of functions that go wrong before their first event. The cure is another environment."""

from functools import partial
from typing import Final

from fc_runtime.outcome import Crashed, OutOfMemory, Raised, TimedOut
from fc_runtime.torture.case import Case, Expectation, not_initialized, returned


def _start(
    name: str,
    what: str,
    fate: str,
    expect: Expectation,
    *,
    phase: str = "import",
    **options: object,
) -> Case:
    return Case(
        name=f"{phase}-{name}",
        row=28,
        what=what,
        handler="startup",
        deed="well",
        expect=expect,
        options={
            "environment": {f"TORTURE_{phase.upper()}": fate},
            "initializer": "startup.initialize" if phase == "initializer" else None,
            "initialization_timeout": 5.0,
            **options,
        },
        cold=True,
        cure={},
    )


_well: Final = returned(b"well")
_crashed: Final = not_initialized(Crashed)
_raised: Final = not_initialized(Raised)
_hung: Final = not_initialized(TimedOut)
_outgrew: Final = not_initialized(OutOfMemory)
_preloaded: Final = ("startup",)
_late: Final = partial(_start, phase="initializer")

CASES: Final = (
    _start("raises", "raises at import", "raise", _raised),
    _start("syntax", "is no Python", "syntax", _raised),
    _start("hangs", "hangs at import", "hang", _hung, initialization_timeout=0.5),
    _start("exits", "calls sys.exit at import", "exit", _crashed),
    _start("exits-at-once", "exits with code 0 at import", "exit at once", _crashed),
    _start("crashes", "crashes at import", "crash", _crashed),
    _start("closes-everything", "closes every descriptor at import", "close", _crashed),
    _start("noise", "writes to every descriptor at import", "noise", _crashed),
    _start("hoards", "takes four times its memory at import", "hoard", _outgrew, memory_mb=64),
    _start("thread", "starts a thread at import", "thread", _well),
    _start(
        "thread-preloaded", "starts a thread in the zygote", "thread", _well, preload=_preloaded
    ),
    _start("fork", "forks at import, and goes on in both", "fork", _well),
    _start("daemon", "leaves a daemon at import", "daemon", _well),
    _start(
        "exits-preloaded",
        "exits in the zygote, and in every instance",
        "exit at once",
        _crashed,
        preload=_preloaded,
    ),
    _late("raises", "raises in its initializer", "raise", _raised),
    _late("hangs", "hangs in its initializer", "hang", _hung, initialization_timeout=0.5),
    _late("exits", "calls sys.exit in its initializer", "exit", _crashed),
    _late("crashes", "crashes in its initializer", "crash", _crashed),
    _late("noise", "writes to every descriptor in its initializer", "noise", _crashed),
    _late(
        "hoards", "takes four times its memory in its initializer", "hoard", _outgrew, memory_mb=64
    ),
    _late("fork", "forks in its initializer, and goes on in both", "fork", _well),
    _late("daemon", "leaves a daemon in its initializer", "daemon", _well),
)
