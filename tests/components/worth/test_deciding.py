from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from components.decision.report import Verdict
from components.inference.aging import Curve
from components.inference.net_benefit import Estimate
from components.inference.units import Floats
from components.worth.freshness.curve import gain_of_training, measure_curve
from components.worth.freshness.deciding import Action, Situation, decide
from components.worth.freshness.executor import judge
from components.worth.replay import Replay
from pipelines.spec import Freshness, Prices, Worth

FRESHNESS = Freshness(lift_per_unit=2, max_age_days=4, drift_share=0.8)
DAY = datetime.date(2026, 1, 9)
WORTH = Worth(
    prices=Prices(cpu_core_hour_usd=1),
    requests_per_day=1000,
    value_per_request_usd=0.5,
    days_until_next_model=2,
    freshness=FRESHNESS,
)


def situation(**changes: Any) -> Situation:
    """One in which a fresh model brings at most 5 USD and costs 10."""
    return Situation("3", 1, Estimate(3, 1, 5), cost_usd=10.0)._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "action", "code"),
    [
        ({}, Action.SKIP, "skip_cost"),
        ({"gain_usd": Estimate(3, 1, 10.5)}, Action.TRAIN, "worth_it"),
        ({"gain_usd": Estimate(-8, -20, 11)}, Action.TRAIN, "worth_it"),
        ({"gain_usd": Estimate(20, 15, 25)}, Action.TRAIN, "worth_it"),
        ({"gain_usd": None}, Action.TRAIN, "no_history"),
        ({"cost_usd": None}, Action.TRAIN, "no_history"),
        ({"champion": ""}, Action.TRAIN, "no_history"),
        ({"champion_age": 3}, Action.SKIP, "skip_cost"),
        ({"champion_age": 4}, Action.TRAIN, "staleness_cap"),
        ({"drift": 0.79, "drifted": "price"}, Action.SKIP, "skip_cost"),
        ({"drift": 0.8, "drifted": "price"}, Action.TRAIN, "drift"),
    ],
)
def test_the_day_is_skipped_only_when_nothing_speaks_for_training(
    changes: dict[str, Any], action: Action, code: str
) -> None:
    decision = decide(situation(**changes), FRESHNESS)
    assert (decision.action, decision.code) == (action, code)
    assert decision.reason.startswith(action.value)


def test_a_skip_refuses_the_day_and_names_the_way_out() -> None:
    report = judge(decide(situation(), FRESHNESS), situation(), pipeline="shop", day=DAY)
    assert report.verdict is Verdict.REFUSED
    assert report.reason == (
        "SKIP(cost): a fresh model brings 3.00 USD [1.00, 5.00], a retrain costs 10 USD; champion version 3 stays"
    )
    assert report.next_command.startswith("daybreak run shop --day 2026-01-09 --force")
    [check] = report.checks
    assert (check.observed, check.interval, check.bound) == (3, (1, 5), ">= 10 USD")


def test_the_gain_is_what_the_champion_loses_by_being_older() -> None:
    none = np.zeros(2)
    curve = Curve(np.array([1.0, 2.0]), none, none, none, none, slope=0.01, slope_error=0.0)
    gain = gain_of_training(curve, champion_age=3, worth=WORTH, lift_per_unit=2)
    # 0.01 a day * 3 days * 2 = 6 % of 1000 * 0.5 USD on two days.
    assert gain == pytest.approx((60, 60, 60))
    noisy = gain_of_training(curve._replace(slope_error=0.005), champion_age=3, worth=WORTH, lift_per_unit=2)
    assert noisy.high - noisy.value == pytest.approx(60 * 0.5 * 1.959964, rel=1e-5)


def replay(predictions: dict[str, Floats], *, users: int = 50) -> Replay:
    labels = (np.arange(400) % 4 == 0).astype(np.float64)
    return Replay(labels, (np.arange(400) % users).astype(np.uint64), predictions, {})


def test_the_curve_is_by_age_whatever_the_order_of_the_versions() -> None:
    good, poor = np.full(400, 0.25), np.full(400, 0.5)
    curve = measure_curve(replay({"9": poor, "10": good}), {"9": 3, "10": 1}, metric="binary_crossentropy")
    assert curve is not None
    assert curve.ages.tolist() == [1, 3]
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert curve.losses == pytest.approx([entropy, np.log(2)])
    assert curve.slope == pytest.approx((np.log(2) - entropy) / 2)


@pytest.mark.parametrize(
    ("found", "metric"),
    [
        (replay({"1": np.full(400, 0.5)}), "auc"),
        (replay({"1": np.full(400, 0.5), "2": np.full(400, 0.5)}, users=1), "auc"),
        (
            Replay(
                np.ones(400), np.arange(400).astype(np.uint64), {"1": np.full(400, 0.5), "2": np.full(400, 0.4)}, {}
            ),
            "auc",
        ),
    ],
)
def test_no_curve_without_two_models_two_users_and_both_classes(found: Replay, metric: str) -> None:
    assert measure_curve(found, {"1": 1, "2": 2}, metric=metric) is None
