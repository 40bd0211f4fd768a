"""What a fork of the zygote is spared, and a fork of the worker is not. In processes of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fc_worker import fork_hooks

WORKER = str(Path(fork_hooks.__file__).parents[1])
# `threading` makes this lock anew in each child of a process in which its hooks are registered;
# `logging` takes its own before a fork, and gives it back afterwards on both sides.
PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from fc_worker import fork_hooks

own = []
if sys.argv[2] == "imported before":
    import logging, threading
fork_hooks.hold_back()
os.register_at_fork(after_in_child=lambda: own.append("ran"))
import logging, threading

def hooks_ran():
    lock = threading._active_limbo_lock
    told, tell = os.pipe()
    if not os.fork():
        ran = threading._active_limbo_lock is not lock
        free = logging._lock.acquire(blocking=False)
        os.write(tell, json.dumps([ran, free, own]).encode())
        os._exit(0)
    os.close(tell)
    with open(told) as answer:
        return json.loads(answer.read())

seen = [hooks_ran()]
fork_hooks.restore()
fork_hooks.restore()
seen.append(hooks_ran())
print(json.dumps(seen))
"""


def asked(when: str = "") -> Any:
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, WORKER, when]
    return json.loads(subprocess.check_output(command))


def test_hooks_of_threads_and_logging_are_held_back_until_restored() -> None:
    """No lock is left taken either way, and whatever else was registered runs all the same."""
    assert [[False, True, ["ran"]], [True, True, ["ran"]]] == asked()


def test_whoever_was_imported_before_keeps_his_hooks() -> None:
    """A `.pth` file of the installation may have been first."""
    assert [[True, True, ["ran"]], [True, True, ["ran"]]] == asked("imported before")
