from __future__ import annotations

from datetime import UTC, datetime

import pytest

from components.rollout.budget import margin_used, promotion_cost, require_approval
from components.rollout.standing import Plan, Standing, State
from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout as Terms

NOW = datetime(2026, 5, 20, tzinfo=UTC)
CLICKS = Kpi(name="clicks", numerator="clicked", margin=0.02)
REVENUE = Kpi(name="revenue", numerator="usd", margin=0.03)
LATENESS = Kpi(name="lateness", numerator="late", margin=0.5, guardrail=True)


def plan(*kpis: Kpi, **terms: object) -> Plan:
    return Plan(terms=Terms.model_validate({"unit": "user_id"} | terms), kpis=kpis or (CLICKS,))


def ended(state: State, entered: datetime, **terms: object) -> Standing:
    return Standing(
        id="shop-1", model="shop", plan=plan(**terms), champion="1", challenger="2", state=state, entered=entered
    )


def test_the_largest_margin_of_the_kpis_that_decide_is_spent() -> None:
    assert promotion_cost(plan(CLICKS, REVENUE, LATENESS)) == 0.03


def test_better_costs_nothing() -> None:
    assert promotion_cost(plan(kind="experiment", challenger="other")) == 0


def test_only_promotions_of_this_quarter_count() -> None:
    times = [datetime(2026, 3, 31, 23), datetime(2026, 4, 1), datetime(2026, 5, 19)]
    known = [ended(State.PROMOTED, time.replace(tzinfo=UTC)) for time in times]
    known += [ended(State.ROLLED_BACK, NOW), ended(State.WATCH, NOW)]
    assert margin_used(known, now=NOW) == pytest.approx(0.06)


@pytest.mark.parametrize(("promotions", "needed"), [(1, False), (2, True)])
def test_a_person_agrees_to_what_could_exceed_the_margin_of_the_quarter(promotions: int, needed: bool) -> None:
    known = [ended(State.PROMOTED, NOW)] * promotions
    assert require_approval(plan(quarterly_margin=0.04), known, now=NOW).terms.approval is needed


def test_without_a_limit_nobody_is_asked() -> None:
    assert not require_approval(plan(), [ended(State.PROMOTED, NOW)] * 90, now=NOW).terms.approval
