"""
What this host allows, what is missing, and the one thing that would give it.

Pure: `assemble` makes an `Examination` of what was found (`examine` asks the host), so that hosts
of every kind can be examined in tests. What is read and not tried (`Facts`) decides nothing; it
only chooses among the mends (`mending`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fc_runtime.isolation import mending
from fc_runtime.isolation.mending import Facts
from fc_runtime.isolation.profiles import PROFILES, SCRATCH
from fc_runtime.isolation.tiers import TIERS

BY_KERNEL: Final = "by the kernel"
BY_WATCHING: Final = "by watching"
NOT: Final = "not"
POWERS: Final = ("tree", "memory", "processes", "cpu")
REQUIREMENTS: Final = (*TIERS, *PROFILES, *POWERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Something that a host may allow: what it is called, and what comes of it."""

    key: str  # stable, for scripts
    what: str
    gives: str
    needs: tuple[str, ...] = ()  # kinds of namespaces, of which a host may allow none


RIGHTS: Final = (
    Right(
        key="user_namespace",
        what="user namespace for an unprivileged user",
        gives="namespaces without root; as root, limits of its own for each strict instance",
        needs=("user",),
    ),
    Right(
        key="mount_namespace",
        what="mount namespace, with a folder in memory",
        gives="each instance has a /tmp of its own, gone with it",
        needs=("mnt",),
    ),
    Right(
        key="pid_namespace",
        what="pid namespace, with its own /proc",
        gives="the kernel ends all that an instance has started; nobody gets away or is seen",
        needs=("mnt", "pid"),
    ),
    Right(
        key="process_numbers",
        what="process limit inside a pid namespace (pid_max)",
        gives="a fork bomb stops at max_processes, also without cgroups",
        needs=("user", "mnt", "pid"),
    ),
    Right(
        key="network_namespace",
        what="network namespace",
        gives="strict: an instance reaches nobody but itself",
        needs=("net",),
    ),
    Right(
        key="host_namespaces",
        what="ipc, uts and cgroup namespaces",
        gives="strict: sees no shared memory, name or cgroup of the host",
        needs=("ipc", "uts", "cgroup"),
    ),
    Right(
        key="own_root",
        what="own root (pivot_root), read-only",
        gives="strict: sees no file but its code, the interpreter and the distribution's programs",
        needs=("mnt",),
    ),
    Right(
        key="idmapped_mounts",
        what="idmapped mounts",
        gives="strict, as root: code may be unreadable for everybody else",
        needs=("user", "mnt"),
    ),
    Right(
        key="seccomp_filter",
        what="seccomp filter",
        gives="strict: system calls that no function has a use for are refused",
    ),
    Right(
        key="memory_limit",
        what="memory limit for a tree (cgroup)",
        gives="memory_mb holds for all processes together, however fast they allocate",
    ),
    Right(
        key="process_limit",
        what="process limit for a tree (cgroup)",
        gives="a fork bomb stops at max_processes",
    ),
    Right(
        key="cpu_limit",
        what="cpu limit for a tree (cgroup)",
        gives="functions may be registered with cpu=",
    ),
    Right(
        key="kill_at_once",
        what="end of a tree (cgroup)",
        gives="nobody escapes by forking: v2 has cgroup.kill for it, v1 its limit of processes",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One right: is it there, and if not, why not and what would give it."""

    key: str
    what: str
    available: bool
    reason: str
    mend: str
    gives: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TierReport:
    """One tier; ``promises`` says how each of `POWERS` is held, nothing if it is not available."""

    name: str
    available: bool
    chosen: bool  # the one that `auto` takes
    reason: str
    mend: str
    promises: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """One sandbox profile. ``whole`` is False if it is to be had, but gives less than it should."""

    name: str
    available: bool
    whole: bool
    reason: str
    mend: str
    gives: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    facts: Facts
    tiers: Sequence[TierReport]
    sandboxes: Sequence[SandboxReport]
    findings: Sequence[Finding]

    @property
    def chosen(self) -> TierReport:
        """What ``isolation="auto"`` takes."""
        return next(tier for tier in self.tiers if tier.chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A requirement that this host does not meet."""

    name: str
    reason: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What came of opening a tier and making a cell in it."""

    refused: str | None = None
    mend: str = ""
    enforces: frozenset[str] = frozenset()
    kills_at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was tried. Of a right: why it was refused, None if it was not."""

    rights: Mapping[str, str | None]
    strict: str | None
    opened: Mapping[str, Opened] = field(default_factory=dict)


# -- what it comes to ------------------------------------------------------------------------------


def assemble(facts: Facts, found: Found) -> Examination:
    """Pure: the same findings make the same examination."""
    best = next(name for name in TIERS if found.opened[name].refused is None)
    return Examination(
        facts=facts,
        tiers=[_tier(name, facts, found, chosen=name == best) for name in TIERS],
        sandboxes=[
            SandboxReport(
                name="none",
                available=True,
                whole=True,
                reason="",
                mend="",
                gives="what the tier holds, and nothing else",
            ),
            _standard(facts, found, best),
            _strict(facts, found),
        ],
        findings=[
            _finding(right, facts, found)
            for right in RIGHTS
            if right.key in _COUNTED or right.key in found.rights
        ],
    )


def _tier(name: str, facts: Facts, found: Found, *, chosen: bool) -> TierReport:
    opened = found.opened[name]
    return TierReport(
        name=name,
        available=opened.refused is None,
        chosen=chosen,
        reason=opened.refused or "",
        mend=""
        if opened.refused is None
        else mending.of_tier(name, facts, opened.refused) or opened.mend,
        promises={} if opened.refused is not None else _promises(name, found),
    )


def _promises(name: str, found: Found) -> dict[str, str]:
    opened = found.opened[name]
    in_namespace = name == "pidns"
    # v2 without cgroup.kill is walked, as in portable.
    tree = in_namespace or opened.kills_at_once
    numbers = in_namespace and found.rights["process_numbers"] is None
    return {
        "tree": BY_KERNEL if tree else BY_WATCHING,
        "memory": BY_KERNEL if "memory" in opened.enforces else BY_WATCHING,
        "processes": BY_KERNEL if numbers or "processes" in opened.enforces else BY_WATCHING,
        "cpu": BY_KERNEL if "cpu" in opened.enforces else NOT,
    }


def _standard(facts: Facts, found: Found, best: str) -> SandboxReport:
    refused = found.rights["mount_namespace"]
    if refused is None and best == "portable":
        refused = found.rights["pid_namespace"] or "the portable tier makes no namespaces"
    limits = "nothing to gain through set-uid programs, resource limits"
    return SandboxReport(
        name="standard",
        available=True,
        whole=refused is None,
        reason="" if refused is None else f"only a folder that TMPDIR names: {refused}",
        mend="" if refused is None else mending.of_namespaces(facts, refused, ("mnt", "pid")),
        gives=f"{limits}, a {SCRATCH if refused is None else 'TMPDIR'} of its own",
    )


def _strict(facts: Facts, found: Found) -> SandboxReport:
    refused = found.strict
    kinds = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
    return SandboxReport(
        name="strict",
        available=refused is None,
        whole=refused is None,
        reason=refused or "",
        mend="" if refused is None else mending.of_namespaces(facts, refused, kinds),
        gives="sees only itself, its code and the interpreter; no network; few system calls",
    )


_COUNTED: Final = {
    "memory_limit": "memory",
    "process_limit": "processes",
    "cpu_limit": "cpu",
    "kill_at_once": "",
}


def _finding(right: Right, facts: Facts, found: Found) -> Finding:
    if right.key in _COUNTED:
        refused, mend = _counted(right.key, facts, found)
    else:
        refused, mend = found.rights[right.key], ""
        if refused is not None:
            mend = mending.of_right(right.key, facts, refused, right.needs)
    return Finding(
        key=right.key,
        what=right.what,
        available=refused is None,
        reason=refused or "",
        mend=mend,
        gives=right.gives,
    )


def _counted(key: str, facts: Facts, found: Found) -> tuple[str | None, str]:
    """Of what only cgroups give: why it is refused, and the mend."""
    tier = next((name for name in _CGROUPS if found.opened[name].refused is None), None)
    if tier is None:
        nearest = _nearest(facts)
        refused = found.opened[nearest].refused or ""
        return refused, mending.of_tier(nearest, facts, refused) or found.opened[nearest].mend
    opened = found.opened[tier]
    if opened.kills_at_once if key == "kill_at_once" else _COUNTED[key] in opened.enforces:
        return None, ""
    return mending.WITHOUT[tier, key]


_CGROUPS: Final = ("cgroup2", "cgroup1")


def _nearest(facts: Facts) -> str:
    """Of the cgroup tiers, where neither works, the one that this host is made for."""
    return "cgroup1" if "memory" in facts.controllers_v1 else "cgroup2"


# -- requirements ----------------------------------------------------------------------------------


def unmet(examination: Examination, required: Sequence[str]) -> Sequence[Unmet]:
    """
    Those of *required*, each one of `REQUIREMENTS`, that this host does not meet. A tier has to be
    available, a sandbox whole, a power held by the kernel in the tier that ``auto`` takes.
    """
    missing = (_unmet(examination, name) for name in dict.fromkeys(required))
    return [one for one in missing if one is not None]


def _unmet(examination: Examination, name: str) -> Unmet | None:
    for tier in examination.tiers:
        if tier.name == name and not tier.available:
            return Unmet(name=name, reason=tier.reason, mend=tier.mend)
    for sandbox in examination.sandboxes:
        if sandbox.name == name and not sandbox.whole:
            return Unmet(name=name, reason=sandbox.reason, mend=sandbox.mend)
    chosen = examination.chosen
    if name in POWERS and chosen.promises[name] != BY_KERNEL:
        finding = _giver(examination, name)
        return Unmet(
            name=name,
            reason=f"{chosen.name} holds it {chosen.promises[name]}: {finding.reason}"
            if chosen.promises[name] != NOT
            else f"{chosen.name} cannot limit it: {finding.reason}",
            mend=finding.mend,
        )
    return None


def _giver(examination: Examination, power: str) -> Finding:
    """The right that would put *power* into the kernel's hands."""
    chosen_is_cgroup = examination.chosen.name in _CGROUPS
    tree = "kill_at_once" if chosen_is_cgroup else "pid_namespace"
    key = {"memory": "memory_limit", "processes": "process_limit", "cpu": "cpu_limit"}.get(
        power, tree
    )
    return next(finding for finding in examination.findings if finding.key == key)
