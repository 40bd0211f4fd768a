"""
What this host allows, found out by doing it.

The plans that workers will be given are carried out once in processes of their own, started fresh
(nothing of the host program is forked), and what went wrong is kept for the life of the program.
Takes a few hundredths of a second, the first time.
"""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fc_worker
from fc_worker.messages import Step

from fc_runtime.isolation import seccomp
from fc_runtime.isolation.profiles import (
    FIRST_IDENTITY,
    PROFILES,
    SHOWN_USER,
    Cage,
    Rights,
    make_plan,
)

NAMESPACES_MEND: Final = (
    "run as root, or allow user namespaces: sysctl -w user.max_user_namespaces=10000 "
    "(and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0, "
    "on older Debian kernel.unprivileged_userns_clone=1)"
)
WITHIN_S: Final = 20.0
_CANNOT: Final = "cannot be tried"
_PASSING: Final = (
    _CANNOT,
    *map(os.strerror, (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)),
)
_HOME: Final = str(Path(fc_worker.__file__).parent.parent)
_BOOT: Final = (
    f"import sys; sys.path.insert(0, {_HOME!r}); from fc_worker import trial; trial.try_plans()"
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What went wrong with what; None for nothing."""

    mounts: str | None
    pid_namespace: str | None
    inner_user_namespace: str | None

    def rights(self) -> Rights:
        return Rights(
            root=os.geteuid() == 0,
            user=os.geteuid(),
            mounts=self.mounts is None,
            inner_user_namespace=self.inner_user_namespace is None,
        )


class _Once:
    """What was found out, kept unless there was only no room for trying."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tried: Tried | None = None
        self.strict: tuple[str | None] | None = None


_once: Final = _Once()
os.register_at_fork(
    before=_once.lock.acquire,
    after_in_parent=_once.lock.release,
    after_in_child=_once.lock.release,
)


def tried() -> Tried:
    """What every runtime has to know, tried once."""
    with _once.lock:
        if _once.tried is not None:
            return _once.tried
        found = _try_namespaces()
        if not any(map(_is_passing, (found.mounts, found.pid_namespace))):
            _once.tried = found
        return found


def strict_refusal() -> str | None:
    """Why nobody can be strict here, None if one can; tried once, when it is first asked for."""
    inner = tried().rights().inner_user_namespace
    with _once.lock:
        if _once.strict is not None:
            return _once.strict[0]
        refusal = seccomp.why_unavailable() or _try_strict(inner=inner)
        if not _is_passing(refusal):
            _once.strict = (refusal,)
        return refusal


def _is_passing(refusal: str | None) -> bool:
    """Was there no room for trying? Then it is tried again next time."""
    return refusal is not None and any(word in refusal for word in _PASSING)


def _try_namespaces() -> Tried:
    most = _rights(inner=True)
    plans: dict[str, Sequence[Step]] = {
        "mounts": make_plan(_cage("standard"), most, "cgroup", counts_processes=True).steps[1:],
        "pid_namespace": make_plan(_cage("standard"), most, "pidns", counts_processes=False).steps,
        "inner_user_namespace": [
            *([["identity", FIRST_IDENTITY]] if most.root else []),
            ["user_namespace", SHOWN_USER],
        ],
    }
    wrong = try_plans(plans)
    return Tried(
        mounts=wrong["mounts"],
        pid_namespace=wrong["pid_namespace"],
        inner_user_namespace=wrong["inner_user_namespace"],
    )


def _try_strict(*, inner: bool) -> str | None:
    plan = make_plan(_cage("strict"), _rights(inner=inner), "pidns", counts_processes=False)
    return try_plans({"strict": plan.steps})["strict"]


def _rights(*, inner: bool) -> Rights:
    """As if everything that a plan may ask for were allowed, but for the *inner* namespace."""
    user = os.geteuid()
    return Rights(root=user == 0, user=user, mounts=True, inner_user_namespace=inner)


def _cage(profile: str) -> Cage:
    """Of a function with nothing special, whose code everybody may read."""
    return Cage(
        profile=PROFILES[profile],
        code="/usr",
        layers=(),
        memory_mb=512,
        processes=1024,
        scratch="keep",
        scratch_mb=16,
        network=False,
        identity=FIRST_IDENTITY,
    )


def try_plans(
    plans: Mapping[str, Sequence[Step]], join: Sequence[str] = ()
) -> Mapping[str, str | None]:
    """
    Carry out each plan in a process of its own that then ends; what went wrong, by name.

    Args:
        join: cgroup folders, for the step ``join_cgroups``.
    """
    asked = {name: {"plan": _as_json(plan), "join": list(join)} for name, plan in plans.items()}
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-W", "ignore", "-c", _BOOT],
            input=json.dumps(asked).encode(),
            capture_output=True,
            check=False,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            timeout=WITHIN_S,
        )
        answers: dict[str, str | None] = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return dict.fromkeys(plans, f"{_CANNOT}: {error}")
    return answers


def _as_json(plan: Sequence[Step]) -> list[list[Any]]:
    return [[value.hex() if isinstance(value, bytes) else value for value in step] for step in plan]
