"""What the pool decides by: pure functions with properties."""

import dataclasses
import math

import pytest
from fc_runtime.pool.policy import STANDBY, RecyclePolicy, RestartPolicy, ScalingPolicy
from hypothesis import given, strategies as st

counts = st.integers(0, 50)
instants = st.integers(0, 10**12)
restarts = st.builds(
    RestartPolicy,
    first_s=st.floats(0.001, 5.0),
    factor=st.floats(1.0, 10.0),
    most_s=st.floats(0.001, 60.0),
)
scalings = st.builds(ScalingPolicy, min_instances=counts, idle_ns=st.integers(1, 10**12))


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [(-1, 0.0), (0, 0.0), (1, 0.1), (2, 0.2), (3, 0.4), (7, 6.4), (8, 10.0), (10**9, 10.0)],
)
def test_restart_delays_double_up_to_ten_seconds(failures: int, delay_s: float) -> None:
    """None before the first failure; then 0.1 s, doubling, 10 s at most."""
    assert delay_s == pytest.approx(RestartPolicy().delay_s(failures))


@given(restarts, st.integers(-3, 10**18))
def test_a_restart_delay_grows_and_is_capped(policy: RestartPolicy, failures: int) -> None:
    """One more failure never shortens the wait; no number of failures lifts it over the cap."""
    delay_s = policy.delay_s(failures)

    assert 0.0 <= delay_s <= policy.most_s
    assert delay_s <= policy.delay_s(failures + 1)
    assert math.isfinite(delay_s)
    assert (failures > 0) is (delay_s > 0)


@pytest.mark.parametrize("invocations", [0, 1, 2, 10**9])
def test_without_a_limit_an_instance_is_kept(invocations: int) -> None:
    """``max_invocations=None`` keeps it for good."""
    assert RecyclePolicy(None).reason(invocations) is None


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_worn_out_instance_is_replaced(limit: int, invocations: int) -> None:
    """At the limit, not before it, and with a word for the log."""
    expected = "worn_out" if invocations >= limit else None

    assert expected == RecyclePolicy(limit).reason(invocations)


@given(scalings, counts, st.booleans())
def test_wanted_idle(policy: ScalingPolicy, serving: int, warm: bool) -> None:
    """Serving and ready ones together make the minimum; in use, one is ready beyond demand."""
    wanted = policy.wanted_idle(serving, warm=warm)

    assert wanted >= 0
    assert serving + wanted >= policy.min_instances
    assert not warm or wanted >= STANDBY
    assert max(policy.min_instances - serving, STANDBY * warm) == wanted


@given(scalings, st.lists(instants, max_size=30), counts, instants, st.booleans())
def test_surplus_leaves_what_is_wanted(
    policy: ScalingPolicy, since: list[int], serving: int, now: int, warm: bool
) -> None:
    """
    Only who has been idle for the whole time goes, and never so many that fewer than the wanted
    ones are left.
    """
    since.sort()
    surplus = policy.surplus(since, serving, now, warm=warm)
    wanted = policy.wanted_idle(serving, warm=warm)

    assert 0 <= surplus <= len(since)
    assert len(since) - surplus >= min(len(since), wanted)
    assert all(at + policy.idle_ns <= now for at in since[:surplus])
    if surplus < len(since) - wanted:
        assert since[surplus] + policy.idle_ns > now, "it could have gone too"


def test_surplus_by_example() -> None:
    """Three idle, two of them for ten seconds; what is kept depends on use and on the minimum."""
    since = [0, 0, 9]

    assert 2 == ScalingPolicy(0, 10).surplus(since, 0, 10, warm=False)
    assert 2 == ScalingPolicy(0, 10).surplus(since, 0, 10, warm=True)
    assert 1 == ScalingPolicy(2, 10).surplus(since, 0, 10, warm=True)
    assert 2 == ScalingPolicy(2, 10).surplus(since, 1, 10, warm=True)
    assert 0 == ScalingPolicy(3, 10).surplus(since, 0, 10, warm=True)
    assert 3 == ScalingPolicy(0, 10).surplus(since, 0, 19, warm=False)
    assert 2 == ScalingPolicy(0, 10).surplus(since, 0, 19, warm=True)
    assert 0 == ScalingPolicy(0, 10).surplus([], 5, 19, warm=False)


@pytest.mark.parametrize("policy", [RestartPolicy(), RecyclePolicy(1), ScalingPolicy(0, 1)])
def test_policies_are_frozen(policy: object) -> None:
    """A policy is data: two of the same fields are equal, none can be changed."""
    field = dataclasses.fields(policy)[0].name  # type: ignore[arg-type]

    assert dataclasses.replace(policy) == policy  # type: ignore[type-var]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(policy, field, 3)
