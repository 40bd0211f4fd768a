"""Cases of functions that go wrong before their first event. The cure is another environment."""

from functools import partial
from typing import Final

from fc_runtime.outcome import Crashed, OutOfMemory, Raised, TimedOut
from fc_runtime.torture.case import Case, Expectation, either, not_initialized, returned
from fc_runtime.torture.promises import Power


def _start(
    name: str,
    what: str,
    fate: str,
    expect: Expectation,
    *,
    needs: frozenset[Power] = frozenset(),
    **options: object,
) -> Case:
    return Case(
        name=name,
        row=28,
        what=f"{what} at import",
        handler="startup",
        deed="well",
        expect=expect,
        needs=needs,
        options={
            "environment": {"TORTURE_IMPORT": fate},
            "initialization_timeout": 5.0,
            **options,
        },
        cold=True,
        cure={},
    )


_crash: Final = partial(not_initialized, Crashed)
CASES: Final = (
    _start("import-raises", "raises", "raise", not_initialized(Raised)),
    _start("import-syntax", "is no Python", "syntax", not_initialized(Raised)),
    _start(
        "import-hangs",
        "hangs",
        "hang",
        not_initialized(TimedOut),
        initialization_timeout=0.5,
    ),
    _start("import-exits", "calls sys.exit", "exit", _crash()),
    _start("import-exits-at-once", "exits with code 0", "exit at once", _crash()),
    _start("import-crashes", "crashes", "crash", _crash()),
    _start("import-closes-everything", "closes every descriptor", "close", _crash()),
    _start(
        "import-hoards",
        "takes four times its memory",
        "hoard",
        not_initialized(OutOfMemory),
        memory_mb=64,
    ),
    _start("import-thread", "starts a thread", "thread", returned(b"well")),
    _start(
        "import-thread-preloaded",
        "starts a thread, and is preloaded,",
        "thread",
        returned(b"well"),
        preload=("startup",),
    ),
    _start("import-fork", "forks, and goes on in both", "fork", returned(b"well")),
    _start("import-daemon", "leaves a daemon", "daemon", returned(b"well")),
    _start(
        "preload-exits",
        "exits in the zygote that imports it, and in every instance,",
        "exit at once",
        either(_crash(), not_initialized(Raised)),
        preload=("startup",),
    ),
)
