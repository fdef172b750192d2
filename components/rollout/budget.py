"""What promotions of a quarter may lose in all: each "not worse by more than the margin" may cost up to the margin.

    cost = promotion_cost(plan, control={"clicks": 0.04})
    margin_left(ledger, limit=terms.quarterly_margin, now=now) >= cost      # else somebody must approve it

A candidate that was shown to be better (`experiment`) costs nothing. Without a limit many small losses add up unseen: "biocreep"
of non-inferiority trials (D'Agostino, Massaro and Sullivan, 2003).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pydantic import AwareDatetime

from components.rollout.standing import Plan
from pipelines.spec import Frozen


class Promotion(Frozen):
    """Of the ledger."""

    time: AwareDatetime
    margin: float
    """`promotion_cost` of it."""


def promotion_cost(plan: Plan, *, control: Mapping[str, float]) -> float:
    """Largest relative margin of the KPIs that decide; `control` has the champion's value by KPI, for margins in its units.
    Infinite when that value is not there, or 0."""
    if plan.terms.kind == "experiment":
        return 0.0
    return max(_relative(kpi.margin, kpi.margin_unit, control.get(kpi.name)) for kpi in plan.kpis if not kpi.guardrail)


def margin_left(promotions: Iterable[Promotion], *, limit: float, now: datetime) -> float:
    """Of the calendar quarter of `now`, UTC; may be negative."""
    return limit - sum(each.margin for each in promotions if _quarter(each.time) == _quarter(now) and each.time <= now)


def _relative(margin: float, unit: str, value: float | None) -> float:
    if unit == "relative" or margin == 0:
        return margin
    return margin / abs(value) if value else math.inf


def _quarter(time: datetime) -> tuple[int, int]:
    day = time.astimezone(UTC)
    return day.year, (day.month - 1) // 3
