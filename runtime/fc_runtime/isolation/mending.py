"""
The one command, or setting, that would give what a host does not allow.

Pure: chosen by what went wrong and by the facts of the host. The same refusal has different mends:
a container without the capability, a kernel setting, a user who is not root.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fc_runtime.isolation import cgroup1, cgroup2

ADMINISTERS: Final = 1 << 21  # CAP_SYS_ADMIN

# (what is in the way, what would not be), of settings that unprivileged users depend on.
_FOR_USERS: Final = {
    "user.max_user_namespaces": ("0", "10000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),  # Debian 10 and older, Arch's hardened
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu 23.10 and newer
}
_KINDS: Final = {
    f"user.max_{kind}_namespaces": ("0", "10000")
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
}
SETTINGS: Final = {**_KINDS, **_FOR_USERS}

CONTAINER_SIGNS: Final = {
    "/run/.containerenv": "podman",
    "/var/run/secrets/kubernetes.io": "kubernetes",
    "/.dockerenv": "docker",
}

RUN_AS_ROOT: Final = "run as root"
_PRIVILEGED: Final = {
    "kubernetes": "set securityContext.privileged: true for the container",
}
_ANY_PRIVILEGED: Final = "start the container with --privileged"
_CAPABLE: Final = {
    "kubernetes": "add SYS_ADMIN to securityContext.capabilities of the container, and set its "
    "appArmorProfile to Unconfined",
}
_ANY_CAPABLE: Final = (
    "start the container with --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
)
_UNFILTERED: Final = {
    "kubernetes": "set securityContext.seccompProfile of the container to Unconfined",
}
_ANY_UNFILTERED: Final = "start the container with --security-opt seccomp=unconfined"
_OWN_PROC: Final = {
    "podman": "start the container with --security-opt unmask=ALL",
    "kubernetes": "set securityContext.procMount: Unmasked for the container",
}
_ANY_OWN_PROC: Final = "start the container with --security-opt systempaths=unconfined"

# Of a cgroup tier that is there: (why it lacks something, the mend).
WITHOUT: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("cgroup2", "memory_limit"): (
        "the memory controller is not handed down",
        cgroup2.MEND,
    ),
    ("cgroup2", "cpu_limit"): (
        "the cpu controller is not handed down",
        "systemctl edit user@.service, and put there: [Service] Delegate=cpu cpuset io memory pids",
    ),
    ("cgroup1", "cpu_limit"): (
        "cgroup v1's cpu controller is not mounted",
        "mkdir -p /sys/fs/cgroup/cpu && mount -t cgroup -o cpu cgroup /sys/fs/cgroup/cpu",
    ),
    ("cgroup2", "kill_at_once"): ("this kernel has none", "Linux 5.14 or newer"),
}


# By words of the refusal: what no setting and no right would change.
_NO_SETTING: Final = {
    "cannot be tried:": "let this user read and run {executable}, and what it imports",
    "is written for": "another machine",
    "Function not implemented": "Linux 5.12 or newer",
    "system_calls:": "a kernel with CONFIG_SECCOMP_FILTER",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is read of a host, and decides nothing but which mend is told."""

    user: int  # effective user id
    kernel: str = ""
    machine: str = ""
    python: str = ""
    executable: str = ""
    container: str = ""  # what it looks like being in, "" if like none
    administers: bool = False  # has CAP_SYS_ADMIN
    settings: Mapping[str, str] = field(default_factory=dict)  # of `SETTINGS`; "" if unreadable
    controllers_v1: frozenset[str] = frozenset()
    unified: str | None = None  # this program's cgroup of version 2


def of_right(key: str, facts: Facts, refused: str, kinds: Sequence[str]) -> str:
    """For one of `doctor.RIGHTS`."""
    if key == "process_numbers" and "own_process_numbers:" in refused:
        return "Linux 6.14 or newer; or a tier with cgroups, which limits processes by itself"
    if key == "idmapped_mounts" and "owners_shown:" in refused and facts.administers:
        if in_the_way := _settings(facts, kinds, _KINDS):
            return in_the_way
        return (
            "make code readable for all, chmod -R o+rX FOLDER; or keep it on ext4, xfs or btrfs, "
            "on Linux 5.12 or newer"
        )
    return of_namespaces(facts, refused, kinds)


def of_namespaces(facts: Facts, refused: str, kinds: Sequence[str]) -> str:
    """For namespaces of *kinds*, and what is done in them."""
    if "install it with: " in refused:
        return refused.partition("install it with: ")[2]
    for words, mend in _NO_SETTING.items():
        if words in refused:
            return mend.format(executable=facts.executable)
    if facts.user == 0:
        return _for_root(facts, refused, kinds)
    if in_the_way := _settings(facts, ("user", *kinds), {**_KINDS, **_FOR_USERS}):
        return in_the_way
    if facts.container and refused.startswith("proc:"):
        return _OWN_PROC.get(facts.container, _ANY_OWN_PROC)
    if facts.container:
        return _UNFILTERED.get(facts.container, _ANY_UNFILTERED)
    return RUN_AS_ROOT


def _for_root(facts: Facts, refused: str, kinds: Sequence[str]) -> str:
    if not facts.administers:
        if facts.container:
            return _CAPABLE.get(facts.container, _ANY_CAPABLE)
        return (
            "leave this program CAP_SYS_ADMIN: of a service, take CapabilityBoundingSet= and "
            "RestrictNamespaces= out of its unit"
        )
    everything = {**_KINDS, **_FOR_USERS} if "user_namespace:" in refused else _KINDS
    if in_the_way := _settings(facts, ("user", *kinds), everything):
        return in_the_way
    if facts.container:
        return _PRIVILEGED.get(facts.container, _ANY_PRIVILEGED)
    return f"a kernel that has it: {refused}"


def _settings(
    facts: Facts, kinds: Sequence[str], known: Mapping[str, tuple[str, str]]
) -> str | None:
    """The command for those that are in the way, or may be where they cannot be read."""
    wanted = []
    for name, (closed, opened) in known.items():
        matters = name not in _KINDS or name in {f"user.max_{kind}_namespaces" for kind in kinds}
        if matters and facts.settings.get(name) in {closed, ""}:
            wanted.append(f"{name}={opened}")
    return f"sysctl -w {' '.join(wanted)}" if wanted else None


def of_tier(name: str, facts: Facts, refused: str) -> str:
    """For a tier that was refused; "" if there is nothing better than what the tier says."""
    if name == "pidns":
        return of_namespaces(facts, refused, ("mnt", "pid"))
    if name == "cgroup2":
        return _of_cgroup2(facts, refused)
    if name == "cgroup1":
        return _of_cgroup1(facts, refused)
    return ""


def _of_cgroup2(facts: Facts, refused: str) -> str:
    if "memory" in facts.controllers_v1:
        return (
            "nothing to be done for it: cgroup v1 has the controllers here, see cgroup1; to change "
            "over, boot with systemd.unified_cgroup_hierarchy=1"
        )
    if closed := _closed(facts, refused, "/sys/fs/cgroup"):
        return closed
    if facts.user == 0 and facts.unified and "resource busy" in refused:
        # A cgroup that holds processes hands nothing down, and a container's topmost one does.
        return (
            f"mkdir -p {facts.unified}/host && "
            f"xargs -rn1 < {facts.unified}/cgroup.procs > {facts.unified}/host/cgroup.procs"
        )
    return "" if facts.unified is None else cgroup2.MEND


def _of_cgroup1(facts: Facts, refused: str) -> str:
    if "memory" not in facts.controllers_v1 and facts.unified:
        return "nothing to be done for it: this host has cgroup v2, see cgroup2"
    found = re.search(r"/sys/fs/cgroup/[^/']+", refused)  # each controller is a mount of its own
    if closed := _closed(facts, refused, found[0] if found else "/sys/fs/cgroup"):
        return closed
    return RUN_AS_ROOT if facts.user != 0 and facts.controllers_v1 else cgroup1.MEND


def _closed(facts: Facts, refused: str, folder: str) -> str | None:
    """Where the file system of cgroups may not be written to, as in containers."""
    if "Read-only file system" not in refused:
        return None
    if facts.administers:
        return f"mount -o remount,bind,rw {folder}"
    return _PRIVILEGED.get(facts.container, _ANY_PRIVILEGED)


def plainly(text: str) -> str:
    """An OSError's words, without its number and with the folder in which ours was to be made."""
    return re.sub(r"\[Errno \d+\] |/fc-runtime-[\d-]+(?=')", "", text)
