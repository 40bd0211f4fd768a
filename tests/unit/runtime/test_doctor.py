"""What an examination makes of what was found: chosen tier, promises, mends, requirements."""

from dataclasses import replace

import pytest
from fc_runtime.isolation import cgroup2, doctor, profiles, tiers
from fc_runtime.isolation.doctor import BY_KERNEL, BY_WATCHING, NOT, Examination, Found, Opened
from fc_runtime.isolation.mending import Facts, plainly
from fc_runtime.torture import promises

CGROUP = Opened(enforces=frozenset({"memory", "processes", "cpu"}), kills_at_once=True)
TRIED = [right.key for right in doctor.RIGHTS if right.key not in doctor._COUNTED]
ALL = Found(
    rights=dict.fromkeys(TRIED),
    strict=None,
    opened={"cgroup2": CGROUP, "cgroup1": CGROUP, "pidns": Opened(), "portable": Opened()},
)
ROOT = Facts(user=0, administers=True, unified="/sys/fs/cgroup")
USER = Facts(user=1000, unified="/sys/fs/cgroup/me", executable="/usr/bin/python3")
NO_USER_NAMESPACE = "user_namespace: unshare(user): No space left on device"
NOT_PERMITTED = "namespaces: unshare(mount): Operation not permitted"


def without(found: Found, *names: str, refused: str, mend: str = "") -> Found:
    """*found*, but for some rights, tiers, or strict."""
    return replace(
        found,
        rights=found.rights | {name: refused for name in names if name in found.rights},
        strict=refused if "strict" in names else found.strict,
        opened={
            **found.opened,
            **{name: Opened(refused=refused, mend=mend) for name in names if name in found.opened},
        },
    )


NO_NAMESPACES = without(
    without(ALL, *TRIED[:-1], "pidns", "strict", refused=NO_USER_NAMESPACE),
    "cgroup2",
    "cgroup1",
    refused="Permission denied",
    mend=cgroup2.MEND,
)


def tier(examination: Examination, name: str) -> doctor.TierReport:
    return next(tier for tier in examination.tiers if tier.name == name)


def sandbox(examination: Examination, name: str) -> doctor.SandboxReport:
    return next(sandbox for sandbox in examination.sandboxes if sandbox.name == name)


def finding(examination: Examination, key: str) -> doctor.Finding:
    return next(finding for finding in examination.findings if finding.key == key)


def test_host_that_allows_everything() -> None:
    """Nothing has a reason or a mend; auto takes the best tier; every requirement is met."""
    seen = doctor.assemble(ROOT, ALL)

    assert [right.key for right in doctor.RIGHTS] == [one.key for one in seen.findings]
    for part in (*seen.tiers, *seen.sandboxes, *seen.findings):
        assert (True, "", "") == (part.available, part.reason, part.mend)
    assert "cgroup2" == seen.chosen.name
    assert [] == doctor.unmet(seen, doctor.REQUIREMENTS)


@pytest.mark.parametrize("place", range(len(tiers.TIERS)))
def test_auto_takes_the_best_there_is(place: int) -> None:
    """Exactly one tier is chosen: the first that is available, as `tiers.choose` has it."""
    seen = doctor.assemble(ROOT, without(ALL, *tiers.TIERS[:place], refused="no"))

    assert [tiers.TIERS[place]] == [tier.name for tier in seen.tiers if tier.chosen]


def test_names_are_those_of_the_runtime() -> None:
    """Tiers and sandboxes as a function names them, and no two requirements of one name."""
    seen = doctor.assemble(ROOT, ALL)

    assert tiers.TIERS == tuple(tier.name for tier in seen.tiers)
    assert tuple(profiles.PROFILES) == tuple(one.name for one in seen.sandboxes)
    assert len(set(doctor.REQUIREMENTS)) == len(doctor.REQUIREMENTS)


# -- promises ----------------------------------------------------------------------------------


def test_promises_of_each_tier() -> None:
    """What the kernel holds, what is watched, and what nobody limits."""
    seen = doctor.assemble(ROOT, ALL)

    held = {
        tier.name: tuple(tier.promises[power] for power in doctor.POWERS) for tier in seen.tiers
    }
    assert {
        "cgroup2": (BY_KERNEL,) * 4,
        "cgroup1": (BY_KERNEL,) * 4,
        "pidns": (BY_KERNEL, BY_WATCHING, BY_KERNEL, NOT),
        "portable": (BY_WATCHING, BY_WATCHING, BY_WATCHING, NOT),
    } == held


def test_no_more_is_promised_than_torture_holds_us_to() -> None:
    """What the cases count on is held by the kernel wherever they count on it."""
    seen = doctor.assemble(ROOT, ALL)

    for report in seen.tiers:
        for power in promises.TIERS[report.name]:
            assert BY_KERNEL == report.promises[power.name.lower()]


def test_process_limit_of_a_namespace_that_has_none() -> None:
    """Before Linux 6.14: pidns only watches how many there are, and the mend says so."""
    refused = "own_process_numbers: Permission denied"
    seen = doctor.assemble(USER, without(ALL, "process_numbers", refused=refused))

    assert BY_WATCHING == tier(seen, "pidns").promises["processes"]
    assert "Linux 6.14" in finding(seen, "process_numbers").mend


def test_cgroup2_without_cgroup_kill_walks() -> None:
    """Then the end of the tree is not the kernel's doing."""
    walks = replace(CGROUP, kills_at_once=False)
    seen = doctor.assemble(ROOT, replace(ALL, opened={**ALL.opened, "cgroup2": walks}))

    assert BY_WATCHING == tier(seen, "cgroup2").promises["tree"]
    assert not finding(seen, "kill_at_once").available
    assert ["tree"] == [one.name for one in doctor.unmet(seen, ["tree"])]
    assert BY_KERNEL == tier(seen, "cgroup1").promises["tree"]


def test_tier_that_is_not_there_promises_nothing() -> None:
    """Nobody is to read a promise off a tier that is not to be had."""
    seen = doctor.assemble(ROOT, without(ALL, "cgroup2", refused="no"))

    assert {} == tier(seen, "cgroup2").promises


# -- sandboxes ---------------------------------------------------------------------------------


def test_standard_in_part() -> None:
    """Without a mount namespace, only TMPDIR is an instance's own; it can be had all the same."""
    seen = doctor.assemble(USER, without(ALL, "mount_namespace", refused=NOT_PERMITTED))

    standard = sandbox(seen, "standard")
    assert (True, False) == (standard.available, standard.whole)
    assert NOT_PERMITTED in standard.reason
    assert "TMPDIR" in standard.gives
    assert ["standard"] == [one.name for one in doctor.unmet(seen, ["none", "standard"])]


def test_standard_in_the_portable_tier() -> None:
    """It makes no namespaces, even where there are some to be had."""
    refused = "proc: mount proc on /proc: Operation not permitted"
    found = without(ALL, "cgroup2", "cgroup1", "pidns", "pid_namespace", refused=refused)
    standard = sandbox(doctor.assemble(USER, found), "standard")

    assert not standard.whole
    assert refused in standard.reason


def test_idmapped_mounts_matter_to_root_alone() -> None:
    """Of whom nothing was tried, nothing is said."""
    rights = {key: None for key in TRIED if key != "idmapped_mounts"}
    seen = doctor.assemble(USER, replace(ALL, rights=rights))

    assert "idmapped_mounts" not in [one.key for one in seen.findings]


# -- mends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "mend"),
    [
        (
            {"settings": {"user.max_user_namespaces": "0"}},
            "sysctl -w user.max_user_namespaces=10000",
        ),
        (
            {"settings": {"kernel.apparmor_restrict_unprivileged_userns": "1"}},
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            {"settings": {"kernel.unprivileged_userns_clone": "0"}},
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (  # not readable for a user, so it may be
            {"settings": {"kernel.apparmor_restrict_unprivileged_userns": ""}},
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (  # one command, though there are two
            {
                "settings": {
                    "user.max_user_namespaces": "0",
                    "kernel.unprivileged_userns_clone": "0",
                }
            },
            "sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1",
        ),
        (
            {"settings": {"user.max_user_namespaces": "96364"}, "container": "docker"},
            "start the container with --security-opt seccomp=unconfined",
        ),
        ({"settings": {"user.max_user_namespaces": "96364"}}, "run as root"),
    ],
)
def test_mend_for_a_user_without_namespaces(facts: dict, mend: str) -> None:
    """The setting that is in the way, and only that; else the container; else root."""
    seen = doctor.assemble(replace(USER, **facts), NO_NAMESPACES)

    assert mend == tier(seen, "pidns").mend
    assert mend == sandbox(seen, "strict").mend
    assert mend == sandbox(seen, "standard").mend
    assert mend == finding(seen, "user_namespace").mend


def test_mend_for_one_kind_of_namespace() -> None:
    """The limit of that kind, for what needs it, and not for what does not."""
    facts = replace(USER, settings={"user.max_net_namespaces": "0"})
    refused = "namespaces: unshare(net): No space left on device"
    seen = doctor.assemble(facts, without(ALL, "network_namespace", "own_root", refused=refused))

    assert "sysctl -w user.max_net_namespaces=10000" == finding(seen, "network_namespace").mend
    assert "sysctl" not in finding(seen, "own_root").mend


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("", "CapabilityBoundingSet="),
        ("docker", "--cap-add SYS_ADMIN"),
        ("kubernetes", "securityContext.capabilities"),
    ],
)
def test_mend_for_root_without_the_capability(container: str, words: str) -> None:
    """Whoever is root already is not told to become it."""
    facts = Facts(user=0, container=container)
    seen = doctor.assemble(facts, without(ALL, "strict", "pidns", refused=NOT_PERMITTED))

    assert words in sandbox(seen, "strict").mend
    assert words in tier(seen, "pidns").mend


def test_mend_for_a_hidden_proc() -> None:
    """Containers cover parts of /proc; then the kernel lets no user mount a full one."""
    facts = replace(USER, container="docker")
    refused = "proc: mount proc on /proc: Operation not permitted"
    seen = doctor.assemble(facts, without(ALL, "pid_namespace", "pidns", refused=refused))

    assert "systempaths=unconfined" in tier(seen, "pidns").mend


@pytest.mark.parametrize(
    ("refused", "mend"),
    [
        (
            "needs pyseccomp; install it with: pip install 'fc-runtime[strict]'",
            "pip install 'fc-runtime[strict]'",
        ),
        ("cannot be tried: [Errno 13] Permission denied", "let this user read and run /usr/bin/"),
        ("root: open_tree /usr: Function not implemented", "Linux 5.12 or newer"),
    ],
)
def test_mend_for_what_no_setting_gives(refused: str, mend: str) -> None:
    """A package, an interpreter nobody may read, an old kernel."""
    seen = doctor.assemble(USER, without(ALL, "strict", refused=refused))

    assert sandbox(seen, "strict").mend.startswith(mend)


V1 = frozenset({"memory", "pids", "cpu"})


@pytest.mark.parametrize(
    ("facts", "refused", "mend"),
    [
        (
            USER,
            "/sys/fs/cgroup/me: Permission denied",
            "systemd-run --user --scope -p Delegate=yes",
        ),
        (
            replace(ROOT, container="docker"),
            "/sys/fs/cgroup: Read-only file system",
            "mount -o remount,bind,rw /sys/fs/cgroup",
        ),
        (
            replace(ROOT, container="docker", administers=False),
            "/sys/fs/cgroup: Read-only file system",
            "start the container with --privileged",
        ),
        (
            replace(ROOT, container="docker"),
            "/sys/fs/cgroup: Device or resource busy",
            "mkdir -p /sys/fs/cgroup/host && xargs -rn1 < /sys/fs/cgroup/cgroup.procs",
        ),
        (replace(ROOT, controllers_v1=V1), "no controller memory, pids", "see cgroup1"),
        (replace(ROOT, unified=None), "cgroup v2 is not mounted", "mount -t cgroup2"),
    ],
)
def test_mend_for_cgroup2(facts: Facts, refused: str, mend: str) -> None:
    """Delegation for a user; a way in, for root in a container; nothing where v1 does it."""
    tier_says = cgroup2.MEND if facts.unified else "mount -t cgroup2 none /sys/fs/cgroup"
    seen = doctor.assemble(facts, without(ALL, "cgroup2", refused=refused, mend=tier_says))

    assert mend in tier(seen, "cgroup2").mend


def test_mend_for_cgroup1() -> None:
    """A user has to become root; and where v2 has taken over there is nothing to do."""
    old = replace(USER, controllers_v1=V1)
    refused = without(ALL, "cgroup1", "cgroup2", refused="Permission denied")

    assert "run as root" == tier(doctor.assemble(old, refused), "cgroup1").mend
    assert "see cgroup2" in tier(doctor.assemble(USER, refused), "cgroup1").mend
    assert "run as root" == finding(doctor.assemble(old, refused), "memory_limit").mend
    assert cgroup2.MEND == finding(doctor.assemble(USER, refused), "memory_limit").mend


def test_mend_for_a_controller_that_is_read_only() -> None:
    """In version 1 each has a mount of its own: it is that one that is told."""
    refused = "Read-only file system: '/sys/fs/cgroup/pids/me'"
    seen = doctor.assemble(
        replace(ROOT, controllers_v1=V1), without(ALL, "cgroup1", "cgroup2", refused=refused)
    )

    assert "mount -o remount,bind,rw /sys/fs/cgroup/pids" == tier(seen, "cgroup1").mend
    assert tier(seen, "cgroup1").mend == finding(seen, "process_limit").mend


def test_whatever_is_missing_has_a_reason_and_a_mend() -> None:
    """On the poorest of hosts, of everybody."""
    for facts in (USER, ROOT, Facts(user=0), Facts(user=0, container="docker"), Facts(user=1)):
        seen = doctor.assemble(facts, NO_NAMESPACES)
        for part in (*seen.tiers, *seen.sandboxes, *seen.findings):
            complete = getattr(part, "whole", part.available)
            assert complete or (part.reason and part.mend), part


def test_words_of_an_error() -> None:
    """No number, and no folder that is gone by the time somebody looks for it."""
    error = PermissionError(13, "Permission denied", "/sys/fs/cgroup/me/fc-runtime-12-345-1")

    assert "Permission denied: '/sys/fs/cgroup/me'" == plainly(str(error))


# -- requirements ------------------------------------------------------------------------------


def test_each_requirement_on_a_poor_host() -> None:
    """All that is not met is told, in the order asked for, once each, with its mend."""
    facts = replace(USER, settings={"user.max_user_namespaces": "0"})
    seen = doctor.assemble(facts, NO_NAMESPACES)
    told = doctor.unmet(seen, ["strict", "portable", "memory", "strict", "none", "tree", "cpu"])

    assert ["strict", "memory", "tree", "cpu"] == [one.name for one in told]
    strict, memory, tree, cpu = told
    assert "sysctl -w user.max_user_namespaces=10000" == strict.mend == tree.mend
    assert cgroup2.MEND == memory.mend == cpu.mend
    assert memory.reason.startswith("portable holds it by watching: ")
    assert cpu.reason.startswith("portable cannot limit it: ")


def test_power_is_asked_of_the_chosen_tier() -> None:
    """What a tier that auto does not take would hold is no help."""
    no_cpu = replace(CGROUP, enforces=frozenset({"memory", "processes"}))
    seen = doctor.assemble(ROOT, replace(ALL, opened={**ALL.opened, "cgroup2": no_cpu}))
    (told,) = doctor.unmet(seen, doctor.POWERS)

    assert "cpu" == told.name
    assert "Delegate=cpu" in told.mend
