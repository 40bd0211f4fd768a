"""
Trying plans: so the supervisor learns what a host allows by having it done (`isolation.host`), in
a process of its own, exec'd fresh.

Two steps are for trials alone: what a worker does without where it is refused, done so that the
refusal is told.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Never

from fc_worker import kernel, rooms
from fc_worker.rooms import Stage
from fc_worker.sandbox import BIRTHS, SandboxError, enter


def try_plans() -> None:
    """
    ``python -c …``: carry out each plan of a JSON map on stdin in a process of its own, and write
    a map of what went wrong, null for nothing, to stdout.
    """
    asked: dict[str, dict[str, Any]] = json.load(sys.stdin)
    kernel.become_subreaper()
    answers = {name: _try(one["plan"], one["join"]) for name, one in asked.items()}
    sys.stdout.write(json.dumps(answers))


def _try(plan: list[list[Any]], join: list[str]) -> str | None:
    for step in plan:
        if step[0] == "system_calls":
            step[1] = bytes.fromhex(step[1])
    told_out, told_in = os.pipe()
    births_out, births_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try_and_tell(plan, Stage(join, births_fd=births_in), told_in)
    os.close(told_in)
    os.close(births_in)
    with open(told_out, "rb") as told:
        answer = told.read()
    with open(births_out, "rb") as births:
        born = births.read()
    if len(born) == BIRTHS.size:
        os.kill(BIRTHS.unpack(born)[0], signal.SIGKILL)
        # Not process 1 first: it waits for whoever has a parent outside the namespace.
    with suppress(ChildProcessError):
        while True:
            os.wait()
    if answer == b".":
        return None
    return answer.decode() or "the process ended without a word"


def _try_and_tell(plan: list[list[Any]], stage: Stage, told_fd: int) -> Never:
    try:
        for step in plan:
            if step[0] in _TRIALS:
                _carry_out(*step)
            else:
                enter([step], stage)
        os.write(told_fd, b".")
    except SandboxError as error:
        os.write(told_fd, str(error).encode())
    finally:
        os._exit(0)


def _carry_out(name: str, *arguments: Any) -> None:
    try:
        _TRIALS[name](*arguments)
    except OSError as error:
        raise SandboxError(f"{name}: {error.strerror or error}") from error


def _own_process_numbers(most: int) -> None:
    """What ``process_numbers`` does; not for root, whose host's limit it may be."""
    rooms.write("/proc/sys/kernel/pid_max", str(most))


def _owners_shown(folder: str, identity: int) -> None:
    """What ``root`` does with the code of somebody else."""
    tree = kernel.clone_mount(folder)
    owners = rooms.make_owners_namespace(os.stat(folder), identity)
    kernel.map_owners(tree, owners)


_TRIALS: Final[dict[str, Callable[..., None]]] = {
    "own_process_numbers": _own_process_numbers,
    "owners_shown": _owners_shown,
}
