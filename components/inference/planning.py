"""How many units a margin needs, and how many days a ramp takes to meet them.

    users_needed(unit_variance=0.00634, margin=0.02 * 0.04, alpha=0.05, looks=4, family="cubic")      # 126k in each arm
    days_needed(units=126_000, new_units_per_day=50_000, stages=(0.05, 0.2, 0.5), stage_days=1.0, window_days=1.0)

Looking often costs: the inflation over a test with one look comes from the bounds themselves. (Jennison and Turnbull,
"Group Sequential Methods", 2000, section 4.1.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from scipy import optimize, stats

from components.inference.spending import Family, crossing_probability, look_bounds
from pipelines.errors import SpecError

POWER = 0.8
LONGEST_DAYS = 3650


def users_needed(
    *,
    unit_variance: float,
    margin: float,
    alpha: float,
    looks: int,
    family: Family,
    power: float = POWER,
    scale: float = 1.0,
) -> int:
    """In each arm, for a candidate that is as good as the champion. `margin` in units of the KPI; `scale` is what the
    control is multiplied by (1 - relative margin), or 1. For a superiority test `margin` is the lift to be found."""
    if margin <= 0:
        raise SpecError(
            f"a margin of 0 needs infinitely many users. Received: margin={margin:g}",
            fix="declare how much worse a candidate may be: `margin` of the KPI",
        )
    drift = required_drift(alpha=alpha, looks=looks, family=family, power=power)
    return math.ceil((drift / margin) ** 2 * unit_variance * (1 + scale**2))


@lru_cache(maxsize=64)
def required_drift(*, alpha: float, looks: int, family: Family, power: float = POWER) -> float:
    """Mean of z at full information, with which the looks together reject with probability `power`."""
    fractions = [look / looks for look in range(1, looks + 1)]
    bounds = look_bounds(fractions, alpha=alpha, family=family)
    one_look = float(stats.norm.isf(alpha) + stats.norm.ppf(power))

    def missing(drift: float) -> float:
        return crossing_probability(fractions, bounds, drift=drift) - power

    return float(optimize.brentq(missing, one_look * 0.9, one_look * 2, xtol=1e-6))


def least_margin(
    *, unit_variance: float, units: int, alpha: float, looks: int, family: Family, scale: float = 1.0
) -> float:
    """In units of the KPI: what so many users in each arm can show with power 0.8."""
    return required_drift(alpha=alpha, looks=looks, family=family) * math.sqrt(unit_variance * (1 + scale**2) / units)


def days_needed(
    *,
    units: int,
    new_units_per_day: Sequence[float] | float,
    stages: Sequence[float],
    stage_days: float,
    window_days: float,
) -> float:
    """From the first stage until `units` of each arm have had their window; infinite when they never come.

    `new_units_per_day`: of all traffic; a sequence starts at the first day, and its last entry goes on.
    """
    found = 0.0
    daily = [new_units_per_day] if isinstance(new_units_per_day, int | float) else list(new_units_per_day)
    step = 1 / 24
    for hour in range(LONGEST_DAYS * 24):
        day = hour * step
        share = stages[min(int(day / stage_days), len(stages) - 1)]
        found += share * daily[min(int(day), len(daily) - 1)] * step
        if found >= units * (1 - 1e-9):
            return day + step + window_days
        if hour > 24 * len(daily) + 24 * stage_days * len(stages) and daily[-1] <= 0:
            break
    return math.inf


def plan_warnings(*, units_needed: int, users_per_arm: int, days: float, horizon_days: float) -> list[str]:
    """Empty when the plan can reach its information in time."""
    found = []
    if units_needed > users_per_arm * 1.01:
        found.append(
            f"the margin needs {units_needed:,} users in each arm and the plan ends at {users_per_arm:,}: "
            "raise `rollout.users_per_arm` or widen the margin"
        )
    if days > horizon_days:
        takes = f"{days:.1f} days" if math.isfinite(days) else "for ever"
        found.append(
            f"the ramp takes {takes} and the horizon is {horizon_days:.1f}: raise `rollout.horizon_hours` or the last "
            "stage, or widen the margin"
        )
    return found
