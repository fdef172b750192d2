from __future__ import annotations

import math

import pytest

from components.inference.planning import days_needed, plan_warnings, required_drift, users_needed
from pipelines.errors import SpecError

UNIT_VARIANCE = 0.04 * 0.96 / 10 * 1.65
"""Click-through of 4 %, ten impressions a user, design effect 1.65."""


@pytest.mark.parametrize(("margin", "users"), [(0.02, 126_000), (0.01, 503_000), (0.05, 20_000)])
def test_users_for_a_margin(margin: float, users: int) -> None:
    found = users_needed(unit_variance=UNIT_VARIANCE, margin=margin * 0.04, alpha=0.05, looks=4, family="cubic")
    assert found == pytest.approx(users, rel=0.01)


def test_one_look_needs_what_the_library_says() -> None:
    from tea_tasting.aggr import Aggregates
    from tea_tasting.metrics import Mean

    data = Aggregates(count_=1000, mean_={"y": 0.04}, var_={"y": UNIT_VARIANCE})
    metric = Mean("y", alternative="greater", rel_effect_size=0.02, alpha=0.05, power=0.8, use_t=False)
    both = metric.solve_power_from_aggregates(data, "n_obs")[0].n_obs
    found = users_needed(unit_variance=UNIT_VARIANCE, margin=0.0008, alpha=0.05, looks=1, family="cubic")
    assert found == pytest.approx(both / 2, rel=1e-3)


def test_more_looks_cost_more_users() -> None:
    drifts = [required_drift(alpha=0.05, looks=looks, family="cubic") for looks in (1, 2, 4, 8)]
    assert drifts == sorted(drifts)
    assert drifts[0] == pytest.approx(1.6449 + 0.8416, abs=1e-3)


def test_no_margin_is_refused() -> None:
    with pytest.raises(SpecError, match=r"infinitely many users. Received: margin=0\b"):
        users_needed(unit_variance=1, margin=0, alpha=0.05, looks=4, family="cubic")


def test_days_of_a_ramp() -> None:
    """60k new users a day: 3k and 12k on the first two days, then 30k a day, and a day for the last window."""
    days = days_needed(units=45_000, new_units_per_day=60_000, stages=(0.05, 0.2, 0.5), stage_days=1, window_days=1)
    assert days == pytest.approx(4, abs=0.05)


def test_users_that_stop_coming_never_suffice() -> None:
    arriving = [60_000.0, 60_000.0, 0.0]
    days = days_needed(units=45_000, new_units_per_day=arriving, stages=(0.05, 0.2, 0.5), stage_days=1, window_days=1)
    assert days == math.inf


def test_a_plan_that_falls_short_is_warned_of() -> None:
    assert not plan_warnings(units_needed=126_000, users_per_arm=130_000, days=8, horizon_days=14)
    few, late = plan_warnings(units_needed=503_000, users_per_arm=130_000, days=math.inf, horizon_days=14)
    assert "503,000" in few and "`rollout.users_per_arm`" in few
    assert "for ever" in late and "`rollout.horizon_hours`" in late
