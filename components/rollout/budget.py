"""What promotions of a quarter may lose in all: each "not worse by more than the margin" may cost up to the margin.

    margin_used(store.standings("shop"), now=now)         # 0.1: two promotions with a margin of 5 %
    plan = require_approval(plan, store.standings("shop"), now=now)

A candidate that was shown to be better (`experiment`) costs nothing. Without a limit many small losses add up unseen: "biocreep"
of non-inferiority trials (D'Agostino, Massaro and Sullivan, 2003).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from components.rollout.standing import Plan, Standing, State

_WON = frozenset({State.WATCH, State.PROMOTED})
_ROUNDING = 1e-9


def promotion_cost(plan: Plan) -> float:
    """Largest margin of the KPIs that decide, relative to the champion."""
    if plan.terms.kind == "experiment":
        return 0.0
    return max(kpi.margin for kpi in plan.kpis if not kpi.guardrail)


def margin_used(known: Iterable[Standing], *, now: datetime) -> float:
    """By promotions of the calendar quarter of `now`, UTC."""
    return sum(
        promotion_cost(rollout.plan)
        for rollout in known
        if rollout.state in _WON and _quarter(rollout.entered) == _quarter(now)
    )


def require_approval(plan: Plan, known: Iterable[Standing], *, now: datetime) -> Plan:
    """The plan, with a person's approval where its promotion could exceed `quarterly_margin`."""
    limit = plan.terms.quarterly_margin
    if limit is None or margin_used(known, now=now) + promotion_cost(plan) <= limit + _ROUNDING:
        return plan
    return plan.model_copy(update={"terms": plan.terms.model_copy(update={"approval": True})})


def _quarter(time: datetime) -> tuple[int, int]:
    day = time.astimezone(UTC)
    return day.year, (day.month - 1) // 3
