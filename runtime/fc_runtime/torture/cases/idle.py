"""
Cases of handlers that are well, until nobody asks any more. The next call, which comes when it has
happened, meets another instance, or at least nothing of it.
"""

from functools import partial
from typing import Final

from fc_runtime.torture.case import Case, returned, told
from fc_runtime.torture.plays import and_wait, and_weigh
from fc_runtime.torture.promises import Power

_idle: Final = partial(Case, handler="idle", play=and_wait, expect=returned(b"well so far"))

CASES: Final = (
    _idle(name="idle-exit", what="exits when it is idle", deed="exiting"),
    _idle(name="idle-crash", what="crashes when it is idle", deed="crashing"),
    _idle(name="idle-close", what="closes every descriptor when it is idle", deed="closing"),
    _idle(name="idle-noise", what="writes to every descriptor when it is idle", deed="noise"),
    _idle(
        name="idle-hoard",
        what="takes four times its memory when it is idle",
        deed="hoarding",
        options={"memory_mb": 64},
        play=and_weigh,
        expect=told("it does not keep them", lambda facts: facts["held_mb"] < 3 * 64),
        needs=frozenset({Power.MEMORY}),
        harms=True,  # who watches by looking finds it in the next call, if that takes a moment
    ),
    _idle(name="idle-fork", what="starts a child when it is idle", deed="forking"),
)
