"""
How a case comes in: the event is the name of what to do, and maybe a space and JSON facts.

Every process that comes of it carries the run's mark, so that it is found wherever it hides: in
its environment, which an exec inherits, and in its name, which a fork inherits.
"""

import ctypes
import json
import os

MARK = os.environ["LD_TORTURE_MARK"]
libc = ctypes.CDLL(None, use_errno=True)


def show_mark():
    libc.prctl(15, MARK.encode()[:15], 0, 0, 0)  # PR_SET_NAME


def door(functions):
    """The handler of a module: ``name`` or ``name {json}`` calls that function of it."""

    def dispatch(event, context):
        show_mark()
        name, _, facts = event.decode().partition(" ")
        if name == "ping":
            return "pong"
        return functions[name](*([json.loads(facts)] if facts else []))

    return dispatch


def forever():
    """A process that nothing but SIGKILL moves."""
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        signal.pause()
