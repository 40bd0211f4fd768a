"""
Plans as data: which steps, in which order, for which profile on which host. Carrying them out is
the worker's business, and tested in tests/isolation.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from fc_runtime.isolation import profiles, seccomp
from fc_runtime.isolation.profiles import PROFILES, SCRATCH, Cage, Plan, Rights, make_plan
from fc_runtime.isolation.tiers import TIERS
from fc_worker import sandbox
from hypothesis import given, strategies as st

MiB = 2**20
ROOT = Rights(root=True, user=0, mounts=True, inner_user_namespace=True)
USER = Rights(root=False, user=1234, mounts=True, inner_user_namespace=True)
NOTHING = Rights(root=False, user=1234, mounts=False, inner_user_namespace=False)
CODE, LAYER, IDENTITY = "/srv/code", "/srv/layer", 0x7000_1234


@pytest.fixture(autouse=True, scope="module")
def filter_without_libseccomp() -> Any:
    """Which calls it refuses is tested elsewhere; here it is only where it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seccomp, "compile_filter", lambda: b"program")
        yield


def cage(profile: str = "standard", **changes: Any) -> Cage:
    options: dict[str, Any] = {
        "profile": PROFILES[profile],
        "code": CODE,
        "layers": (LAYER,),
        "memory_mb": 256,
        "processes": 64,
        "scratch": "keep",
        "scratch_mb": 16,
        "network": False,
        "identity": IDENTITY,
    }
    return Cage(**{**options, **changes})


def plan_of(
    profile: str = "standard",
    rights: Rights = ROOT,
    tier: str = "portable",
    *,
    counts: bool | None = None,
    **changes: Any,
) -> Plan:
    counts_processes = tier.startswith("cgroup") if counts is None else counts
    return make_plan(cage(profile, **changes), rights, tier, counts_processes=counts_processes)


def names(plan: Plan) -> list[str]:
    return [step[0] for step in plan.steps]


def argument(plan: Plan, name: str) -> Any:
    """The first argument of the only step *name*."""
    (step,) = (step for step in plan.steps if step[0] == name)
    return step[1]


plans = st.builds(
    plan_of,
    st.sampled_from(sorted(PROFILES)),
    st.builds(
        Rights,
        root=st.booleans(),
        user=st.integers(0, 2000),
        mounts=st.booleans(),
        inner_user_namespace=st.booleans(),
    ),
    st.sampled_from(TIERS),
    counts=st.booleans(),
    scratch=st.sampled_from(["keep", "empty", "host"]),
    network=st.booleans(),
)


# -- of every plan -----------------------------------------------------------------------------


@given(plans)
def test_every_step_is_known_to_the_worker(plan: Plan) -> None:
    """One that is not would be the end of every instance."""
    assert set(names(plan)) <= sandbox._STEPS.keys()


BEFORE = (
    ("namespaces", "private_mounts"),  # or the host's mounts would be changed
    ("private_mounts", "scratch"),
    ("private_mounts", "root"),
    ("hostname", "identity"),  # what needs rights, before they are given up
    ("root", "pid_namespace"),
    ("pid_namespace", "proc"),  # /proc is of the namespace that its mounter is in
    ("proc", "process_numbers"),
    ("proc", "forget_host"),  # /proc may only be mounted while another is in sight
    ("forget_host", "identity"),
    ("forget_host", "no_capabilities"),
    ("identity", "limits"),  # root's own would count against the limit of processes
    ("identity", "no_capabilities"),
    ("no_capabilities", "no_new_privileges"),
    ("no_new_privileges", "system_calls"),  # no filter without it, for who is not root
    ("limits", "system_calls"),
)


@given(plans)
def test_order_of_steps(plan: Plan) -> None:
    """Each before whatever would make it impossible; no step twice."""
    order = names(plan)

    assert len(set(order)) == len(order)
    for earlier, later in BEFORE:
        if {earlier, later} <= set(order):
            assert order.index(earlier) < order.index(later), f"{earlier}, {later}"
    if "join_cgroups" in order:  # while their files are in sight
        assert "join_cgroups" == order[0]
    if "system_calls" in order:  # nothing is left that it refuses
        assert ["system_calls", "work_in"] == order[-2:]


@given(plans)
def test_every_argument_travels(plan: Plan) -> None:
    """One message holds it: nothing but plain values."""
    import msgpack

    assert [list(step) for step in plan.steps] == msgpack.unpackb(msgpack.packb(plan.steps))


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("tier", TIERS)
def test_cgroups_are_joined_where_the_tier_has_them(profile: str, tier: str) -> None:
    """Cgroups are joined where the tier has them."""
    assert tier.startswith("cgroup") is ("join_cgroups" in names(plan_of(profile, tier=tier)))


@pytest.mark.parametrize("rights", [ROOT, USER, NOTHING], ids=["root", "user", "nothing"])
def test_pid_namespace_is_the_tiers_or_stricts(rights: Rights) -> None:
    """``none`` adds nothing to what the tier needs."""
    for profile in ("none", "standard"):
        for tier in TIERS:
            has = "pid_namespace" in names(plan_of(profile, rights, tier))
            assert has is (tier == "pidns")
    assert all("pid_namespace" in names(plan_of("strict", rights, tier)) for tier in TIERS)


# -- none, standard ----------------------------------------------------------------------------


def test_none_is_the_tiers_hold_alone() -> None:
    """No limit, no folder of its own."""
    assert [] == names(plan_of("none", tier="portable"))
    assert ["join_cgroups"] == names(plan_of("none", tier="cgroup2"))
    assert [
        "namespaces",
        "private_mounts",
        "pid_namespace",
        "proc",
        "process_numbers",
    ] == names(plan_of("none", tier="pidns"))


@pytest.mark.parametrize("rights", [ROOT, USER, NOTHING], ids=["root", "user", "nothing"])
def test_portable_has_no_namespaces(rights: Rights) -> None:
    """Whatever the host allows: it promises to need nothing. Scratch is a folder, and said so."""
    plan = plan_of("standard", rights, "portable")

    assert ["scratch_folder", "limits", "no_new_privileges"] == names(plan)
    assert plan.scratch_folder
    assert not plan.sealed


@pytest.mark.parametrize("tier", ["cgroup2", "cgroup1", "pidns"])
def test_standard_has_a_tmp_in_memory(tier: str) -> None:
    """Of the size asked for, with code and layers shown in it; and works in the code folder."""
    plan = plan_of(tier=tier)

    assert [["scratch", SCRATCH, 16, [CODE, LAYER]]] == [
        step for step in plan.steps if step[0] == "scratch"
    ]
    assert ["work_in", CODE] == plan.steps[-1]
    assert not plan.scratch_folder


def test_without_the_right_to_mount_scratch_is_a_folder() -> None:
    """Without the right to mount scratch is a folder."""
    plan = plan_of(rights=NOTHING, tier="cgroup2")

    assert ["join_cgroups", "scratch_folder", "limits", "no_new_privileges"] == names(plan)
    assert plan.scratch_folder


def test_user_goes_through_a_user_namespace_as_himself() -> None:
    """First, for the rights to do the rest; dropped again once it is done."""
    order = names(plan_of(rights=USER, tier="pidns"))

    assert "user_namespace" == order[0]
    assert 1234 == argument(plan_of(rights=USER, tier="pidns"), "user_namespace")
    assert order.index("process_numbers") < order.index("no_capabilities")
    assert not {"user_namespace", "no_capabilities"} & set(
        names(plan_of(rights=ROOT, tier="pidns"))
    )


@pytest.mark.parametrize("tier", TIERS)
def test_scratch_host_leaves_tmp_alone(tier: str) -> None:
    """And files may be as large as the host likes."""
    plan = plan_of(tier=tier, scratch="host")

    assert not {"scratch", "scratch_folder", "work_in"} & set(names(plan))
    assert not plan.scratch_folder
    assert "RLIMIT_FSIZE" not in argument(plan, "limits")


def test_limits_follow_the_function() -> None:
    """No core dumps; address space and files a little beyond what is promised."""
    assert {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": (256 + 1024) * MiB,
        "RLIMIT_NOFILE": 100_000,
        "RLIMIT_FSIZE": 17 * MiB,
    } == argument(plan_of(), "limits")


# -- strict ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rights", [ROOT, USER], ids=["root", "user"])
@pytest.mark.parametrize("tier", TIERS)
def test_strict_seals_in_every_tier(rights: Rights, tier: str) -> None:
    """Own root, no capability, nothing to gain, system calls filtered; never a host's folder."""
    plan = plan_of("strict", rights, tier)

    needed = {"root", "forget_host", "no_capabilities", "no_new_privileges", "system_calls"}
    assert needed <= set(names(plan))
    assert plan.sealed
    assert not plan.scratch_folder
    assert b"program" == argument(plan, "system_calls")


def test_strict_root_becomes_nobody_first() -> None:
    """The identity nobody else has; then, where it may, user 1000 of a namespace of its own."""
    inner = plan_of("strict", ROOT)
    outer = plan_of("strict", Rights(root=True, user=0, mounts=True, inner_user_namespace=False))

    order = names(inner)
    assert order.index("identity") + 1 == order.index("user_namespace")
    assert [IDENTITY, 1000] == [argument(inner, "identity"), argument(inner, "user_namespace")]
    assert IDENTITY == inner.identity == outer.identity
    assert IDENTITY == argument(inner, "pid_namespace")  # process 1 as well
    assert "user_namespace" not in names(outer)


def test_strict_user_has_no_other_identity() -> None:
    """He is user 1000 of a user namespace, made before everything that it gives the right to."""
    plan = plan_of("strict", USER)

    assert ["user_namespace", 1000] == plan.steps[0]
    assert plan.identity is None
    assert "identity" not in names(plan)
    assert argument(plan, "pid_namespace") is None


@pytest.mark.parametrize("network", [False, True])
def test_network_is_the_hosts_if_asked_for(network: bool) -> None:
    """Else one of its own, with lo up."""
    plan = plan_of("strict", network=network)

    assert network is ("net" not in argument(plan, "namespaces"))
    assert network is ("loopback" not in names(plan))
    assert {"mount", "ipc", "uts", "cgroup"} <= set(argument(plan, "namespaces"))


@pytest.mark.parametrize(
    ("rights", "counts", "limited"),
    [
        (ROOT, False, True),
        (ROOT, True, False),  # the tier does it
        (USER, False, True),
        (Rights(root=True, user=0, mounts=True, inner_user_namespace=False), False, False),
    ],
)
def test_processes_are_limited_by_one_of_three(rights: Rights, counts: bool, limited: bool) -> None:
    """By the tier; else by RLIMIT_NPROC where it counts for this instance alone."""
    limits = argument(plan_of("strict", rights, counts=counts), "limits")

    assert limited is ("RLIMIT_NPROC" in limits)
    assert limits.get("RLIMIT_NPROC", 64) == 64


def test_root_shows_code_and_nothing_of_the_host() -> None:
    """The code, its layers, the distribution; no home, no password, no socket of a daemon."""
    root = argument(plan_of("strict"), "root")

    assert [CODE, LAYER] == root["own"]
    assert [SCRATCH, "/dev/shm"] == root["writable"]
    hidden = re.compile(r"/(home|root|run|var|mnt|media|srv|proc)(/|$)|shadow|machine-id")
    assert [] == [path for path in root["show"] if hidden.match(path) or hidden.search(path)]
    assert "/sys" not in root["show"]
    assert {"/dev/null", "/dev/urandom"} <= set(root["devices"])
    assert all(Path(device).exists() for device in root["devices"])
    assert "fc:x:1000:1000" in root["files"]["/etc/passwd"]


def test_identities_are_nobodys() -> None:
    """Above whatever systemd gives away, and below what the kernel takes for an error."""
    last = profiles.FIRST_IDENTITY + profiles.IDENTITIES

    assert profiles.FIRST_IDENTITY > 0x6FFF_FFFF
    assert last < 2**31
