"""Whether a plan can reach its information: users, days, and what is missing.

found = forecast_plan(terms, kpi, champion_sums, new_units_per_day=60_000)
found.users_per_arm, found.days, found.warnings
"""

from __future__ import annotations

from components.inference.planning import days_needed, least_margin, plan_warnings, users_needed
from components.inference.ratios import compare
from components.rollout.snapshot import Sums
from pipelines.errors import DataError
from pipelines.spec import Frozen, Kpi
from pipelines.spec.rollout import Rollout as Terms


class Forecast(Frozen):
    users_per_arm: int
    """That the margin needs, to promote a candidate as good as the champion four times in five."""
    days: float
    """Until `terms.users_per_arm` had their window; infinite when they never come."""
    least_margin: float
    """That `terms.users_per_arm` can show, relative to the KPI."""
    warnings: tuple[str, ...]
    """Empty: the plan can work."""


def forecast_plan(terms: Terms, kpi: Kpi, champion: Sums, *, new_units_per_day: float) -> Forecast:
    """`champion`: sums of past users, one window each. Raises `DataError` when they say nothing, `SpecError` without a margin."""
    found = compare(champion, champion)
    if not found.unit_variance > 0 or not found.control:
        raise DataError(
            f"the sums of {kpi.name!r} must be of two users or more that differ. Received: n={champion.n}",
            fix="plan from a day that has outcomes",
        )
    level, relative = abs(found.control), kpi.margin_unit == "relative"
    unit, alpha, looks, family = found.unit_variance, terms.alpha, terms.looks, terms.spending
    users = users_needed(
        unit_variance=unit, margin=kpi.margin * (level if relative else 1), alpha=alpha, looks=looks, family=family
    )
    days = days_needed(
        units=terms.users_per_arm,
        new_units_per_day=new_units_per_day,
        stages=terms.stages,
        stage_days=terms.stage_hours / 24,
        window_days=(terms.cohort_hours + terms.maturity_hours) / 24,
    )
    short = plan_warnings(
        units_needed=users, users_per_arm=terms.users_per_arm, days=days, horizon_days=terms.horizon_hours / 24
    )
    least = least_margin(unit_variance=unit, units=terms.users_per_arm, alpha=alpha, looks=looks, family=family) / level
    return Forecast(users_per_arm=users, days=days, least_margin=least, warnings=tuple(short))
