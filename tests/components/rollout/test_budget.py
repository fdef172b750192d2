from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from components.rollout.budget import Promotion, margin_left, promotion_cost
from components.rollout.standing import Plan
from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout as Terms

NOW = datetime(2026, 5, 20, tzinfo=UTC)
CLICKS = Kpi(name="clicks", numerator="clicked", margin=0.02)
REVENUE = Kpi(name="revenue", numerator="usd", margin=0.3, margin_unit="absolute")
LATENESS = Kpi(name="lateness", numerator="late", margin=0.5, guardrail=True)


def plan(*kpis: Kpi, **terms: str) -> Plan:
    return Plan(terms=Terms.model_validate({"unit": "user_id"} | terms), kpis=kpis)


def test_the_worst_margin_of_the_kpis_that_decide_is_spent() -> None:
    assert promotion_cost(plan(CLICKS, LATENESS), control={}) == 0.02
    assert promotion_cost(plan(CLICKS, REVENUE), control={"revenue": -6.0}) == pytest.approx(0.05)
    assert promotion_cost(plan(REVENUE), control={}) == math.inf


def test_better_costs_nothing() -> None:
    assert promotion_cost(plan(CLICKS, kind="experiment", challenger="other"), control={}) == 0


def test_only_promotions_of_this_quarter_count() -> None:
    times = [datetime(2026, 3, 31, 23), datetime(2026, 4, 1), datetime(2026, 5, 19), datetime(2026, 5, 21)]
    promotions = [Promotion(time=time.replace(tzinfo=UTC), margin=0.02) for time in times]
    assert margin_left(promotions, limit=0.1, now=NOW) == pytest.approx(0.06)
    assert margin_left([], limit=0.1, now=NOW) == 0.1
