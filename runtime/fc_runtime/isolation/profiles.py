"""
The sandbox profiles, as data, and the plan that comes of one on a given host.

A plan is what `fc_worker.sandbox` carries out in a fresh process, step by step, before any code of
the function's is loaded. Nothing here makes a system call: what the host allows comes in as an
argument, and has been tried (`host`).

    none       the tier's own hold on the processes, and nothing else
    standard   also: no privileges to gain, limits, a /tmp of its own. For code you would run anyway
    strict     also: sees nothing but itself, its code and the interpreter, is nobody, reaches no
               network, and may not make the system calls it has no business with
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fc_worker.messages import Step

from fc_runtime.isolation import seccomp

MiB: Final = 1024 * 1024
DATA_SLACK_BYTES: Final = 1024 * MiB  # RLIMIT_DATA counts address space: a back-stop, not the limit
OPEN_FILES: Final = 100_000  # FC's own, spec 12
SCRATCH: Final = "/tmp"  # noqa: S108 (FC's writable folder, spec 9.B)
SHOWN_USER: Final = 1000  # who a strict handler is to itself
FIRST_IDENTITY: Final = 0x7000_0000  # of users that nobody is: above all that systemd gives away
IDENTITIES: Final = 2**24

# What a program of the distribution needs to run, and nothing that is about this host.
SHOWN_FOLDERS: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/sys/devices/system/cpu",
)
SHOWN_FILES: Final = tuple(
    f"/etc/{name}"
    for name in (
        "alternatives ca-certificates ca-certificates.conf crypto-policies debian_version fonts "
        "gai.conf host.conf hosts ld.so.cache ld.so.conf ld.so.conf.d ld-musl-x86_64.path "
        "localtime mime.types nsswitch.conf os-release pki protocols resolv.conf services ssl "
        "timezone"
    ).split()
)
DEVICES: Final = tuple(f"/dev/{name}" for name in "null zero full random urandom".split())
LINKS: Final = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/var/tmp": SCRATCH,  # noqa: S108
}
FILES: Final = {
    "/etc/passwd": (
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"fc:x:{SHOWN_USER}:{SHOWN_USER}:function:{SCRATCH}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "/etc/group": f"root:x:0:\nfc:x:{SHOWN_USER}:\nnogroup:x:65534:\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProfile:
    """What a profile asks for; what of it a host cannot give is in the plan's `missing`."""

    name: str
    limits: bool  # resource limits, no core dumps, nothing to gain through set-uid programs
    own_scratch: bool
    sealed: bool  # own root, namespaces, identity, and system calls filtered


PROFILES: Final = {
    profile.name: profile
    for profile in (
        SandboxProfile(name="none", limits=False, own_scratch=False, sealed=False),
        SandboxProfile(name="standard", limits=True, own_scratch=True, sealed=False),
        SandboxProfile(name="strict", limits=True, own_scratch=True, sealed=True),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What of the host a plan may count on."""

    root: bool
    user: int  # effective user id
    mounts: bool  # a mount namespace with a folder in memory in it
    inner_user_namespace: bool  # one for a user that is not root


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """Of a function, what decides its plan."""

    profile: SandboxProfile
    code: str
    layers: Sequence[str]
    memory_mb: int
    processes: int
    scratch: str  # "keep", "empty" or "host"
    scratch_mb: int
    network: bool
    identity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, and what the zygote has to know of them."""

    steps: Sequence[Step]
    sealed: bool = False  # no file of the function's is used before the steps are done
    scratch_folder: bool = False  # scratch is a folder of the host's, named by TMPDIR
    identity: int | None = None  # whose the code has to look like


def make_plan(cage: Cage, rights: Rights, tier: str, *, counts_processes: bool) -> Plan:
    """
    The plan for one function's instances.

    Args:
        tier: the name of the isolation tier.
        counts_processes: does the tier limit them?
    """
    join: list[Step] = [["join_cgroups"]] if tier.startswith("cgroup") else []
    if cage.profile.sealed:
        return _sealed(cage, rights, join, counts_processes=counts_processes)
    own_scratch = cage.profile.own_scratch and cage.scratch != "host"
    in_memory = own_scratch and rights.mounts and tier != "portable"
    steps = join
    if in_memory or tier == "pidns":
        if not rights.root:
            steps.append(["user_namespace", rights.user])
        steps += [["namespaces", ["mount"]], ["private_mounts"]]
        if in_memory:
            steps.append(["scratch", SCRATCH, cage.scratch_mb, [cage.code, *cage.layers]])
        if tier == "pidns":
            steps += [
                ["pid_namespace", None],
                ["proc"],
                ["process_numbers", cage.processes],
            ]
        if not rights.root:
            steps.append(["no_capabilities"])
    if own_scratch and not in_memory:
        steps.append(["scratch_folder"])
    if cage.profile.limits:
        steps += [["limits", _limits(cage)], ["no_new_privileges"]]
    if in_memory:
        steps.append(["work_in", cage.code])
    return Plan(steps=steps, scratch_folder=own_scratch and not in_memory)


def _sealed(cage: Cage, rights: Rights, join: list[Step], *, counts_processes: bool) -> Plan:
    names = ["mount", "ipc", "uts", "cgroup"]
    if not cage.network:
        names.append("net")
    limits = _limits(cage)
    if not counts_processes and (rights.inner_user_namespace or not rights.root):
        limits["RLIMIT_NPROC"] = cage.processes  # counted for each user namespace (Linux 5.14)
    identity = cage.identity if rights.root else None
    steps: list[Step] = [
        *join,
        *([] if rights.root else [["user_namespace", SHOWN_USER]]),
        ["namespaces", names],
        ["private_mounts"],
        ["hostname", "fc"],
        ["root", _root(cage)],
        *([] if cage.network else [["loopback"]]),
        ["pid_namespace", identity],
        ["proc"],
        ["process_numbers", cage.processes],
        ["forget_host"],
        *([] if identity is None else [["identity", identity]]),
        *(
            [["user_namespace", SHOWN_USER]]
            if identity is not None and rights.inner_user_namespace
            else []
        ),
        ["limits", limits],
        ["no_capabilities"],
        ["no_new_privileges"],
        ["system_calls", seccomp.compile_filter()],
        ["work_in", cage.code],
    ]
    return Plan(steps=steps, sealed=True, identity=identity)


def _limits(cage: Cage) -> dict[str, int]:
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": cage.memory_mb * MiB + DATA_SLACK_BYTES,
        "RLIMIT_NOFILE": OPEN_FILES,
    }
    if cage.scratch != "host":
        # One more than fits, so that it is the full scratch that says no, where there is one.
        limits["RLIMIT_FSIZE"] = (cage.scratch_mb + 1) * MiB
    return limits


def _root(cage: Cage) -> dict[str, Any]:
    return {
        "show": [*SHOWN_FOLDERS, *SHOWN_FILES],
        "own": [cage.code, *cage.layers],
        "writable": [SCRATCH, "/dev/shm"],  # noqa: S108
        "scratch_mb": cage.scratch_mb,
        "devices": [device for device in DEVICES if os.path.exists(device)],
        "links": LINKS,
        "files": FILES,
    }
