"""
Asking this host what it allows, for `doctor`.

Every right is found by using it, in processes of their own that then end, and never by a version
number. Nothing on the host is changed.
"""

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fc_worker.messages import Step

from fc_runtime.isolation import cgroups, host, mending, seccomp
from fc_runtime.isolation.doctor import Examination, Found, Opened, assemble
from fc_runtime.isolation.mending import Facts, plainly
from fc_runtime.isolation.profiles import FIRST_IDENTITY, SCRATCH, SHOWN_FOLDERS, SHOWN_USER
from fc_runtime.isolation.tiers import TIERS, Limits, UnavailableError, open_tier


def examine(folder: str) -> Examination:
    """
    This host, as this user, now. Takes a few tenths of a second.

    Args:
        folder: an absolute path on the file system that code will be on; where it can be shown as
            somebody else's (idmapped mounts) depends on that.
    """
    tried = host.tried()
    rights = dict(host.try_plans(plans(os.geteuid(), folder)))
    rights["mount_namespace"] = tried.mounts
    rights["pid_namespace"] = tried.pid_namespace
    if unavailable := seccomp.why_unavailable():
        rights["seccomp_filter"] = unavailable
    found = Found(
        rights=rights, strict=host.strict_refusal(), opened={name: _open(name) for name in TIERS}
    )
    return assemble(read_facts(), found)


def plans(user: int, folder: str) -> dict[str, Sequence[Step]]:
    """For each right that is not tried elsewhere, the least that shows it, as *user*."""
    inner: list[Step] = [["user_namespace", SHOWN_USER]]
    nobody: list[Step] = [["identity", FIRST_IDENTITY], *inner] if user == 0 else inner
    start: list[Step] = [] if user == 0 else inner
    own_mounts: list[Step] = [["namespaces", ["mount"]], ["private_mounts"]]
    asked: dict[str, Sequence[Step]] = {
        "user_namespace": nobody,
        # Not as root: where pid_max is the whole host's, before Linux 6.14, root could change it.
        "process_numbers": [
            *nobody,
            *own_mounts,
            ["pid_namespace", None],
            ["proc"],
            ["own_process_numbers", 1024],
        ],
        "network_namespace": [*start, ["namespaces", ["net"]], ["loopback"]],
        "host_namespaces": [*start, ["namespaces", ["ipc", "uts", "cgroup"]], ["hostname", "fc"]],
        "own_root": [*start, *own_mounts, ["root", _A_ROOT], ["forget_host"]],
    }
    if user == 0:  # anybody else's code is read as that very user
        asked["idmapped_mounts"] = [*own_mounts, ["owners_shown", folder, FIRST_IDENTITY]]
    if seccomp.why_unavailable() is None:
        asked["seccomp_filter"] = [
            ["no_new_privileges"],
            ["system_calls", seccomp.compile_filter()],
        ]
    return asked


_A_ROOT: Final = {
    "show": SHOWN_FOLDERS,
    "own": ["/usr"],
    "writable": [SCRATCH],
    "scratch_mb": 1,
    "devices": ["/dev/null"],
    "links": {},
    "files": {},
}


def _open(name: str) -> Opened:
    try:
        tier = open_tier(name)
    except UnavailableError as error:
        return Opened(refused=plainly(str(error)), mend=error.mend)
    try:
        limits = Limits(memory_bytes=2**30, processes=64)
        cell = tier.cell(0, limits)
        # By v1's pids controller, which it does not go without; by v2's own file.
        kills = name == "cgroup1" or any(
            os.path.exists(f"{folder}/cgroup.kill") for folder in cell.folders
        )
        cell.close()
        enforces = tier.enforces
        if "cpu" in enforces:
            try:
                tier.cell(1, Limits(memory_bytes=2**30, processes=64, cpu=1.0)).close()
            except OSError:
                enforces -= {"cpu"}
        return Opened(enforces=enforces, kills_at_once=kills)
    except OSError as error:
        return Opened(refused=plainly(str(error)))
    finally:
        tier.close()


def read_facts() -> Facts:
    """What is read and not tried."""
    settings = {}
    for name in mending.SETTINGS:
        path = Path("/proc/sys", *name.split("."))
        if path.exists():
            settings[name] = ""
            with suppress(OSError):
                settings[name] = path.read_text().strip()
    found = cgroups.find_hierarchies()
    return Facts(
        user=os.geteuid(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        executable=sys.executable,
        container=_container(),
        administers=bool(_effective_capabilities() & mending.ADMINISTERS),
        settings=settings,
        controllers_v1=frozenset(name for name in found.own if "=" not in name),
        unified=None if found.unified is None else str(found.unified),
    )


def _container() -> str:
    for sign, name in mending.CONTAINER_SIGNS.items():
        if os.path.exists(sign):
            return name
    return os.environ.get("container", "")  # noqa: SIM112 (systemd's way to tell)


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
