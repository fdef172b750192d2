"""When a log may be asked: each rule fails alone, on a log made for it."""

from __future__ import annotations

import numpy as np
import pytest

from components.inference.evaluability import REFERENCE, effective_rows, judge_evaluability
from components.inference.off_policy import Logged, estimate, ips, row_values
from components.inference.units import UnitSums, sum_by_unit


def sums(weights: np.ndarray, *, unsupported: float = 0.0, users: int | None = None) -> UnitSums:
    rows = len(weights)
    half = np.full(rows, 0.1)
    one = Logged(np.ones(rows), half, weights * half, half, unsupported=np.full(rows, unsupported))
    return sum_by_unit(np.arange(rows, dtype=np.uint64) % np.uint64(users or rows), row_values(one))


def failed(found: UnitSums) -> list[str]:
    return [rule.name for rule in judge_evaluability(found) if not rule.held]


def balanced(rows: int, low: float, high: float, share: float) -> np.ndarray:
    """Weights that average to 1: `share` of them high."""
    weights = np.full(rows, low)
    weights[: round(rows * share)] = high
    return np.random.default_rng(1).permutation(weights / weights.mean())


def test_a_log_that_explores_may_be_asked() -> None:
    assert failed(sums(balanced(20_000, 0.5, 1.5, 0.5))) == []


@pytest.mark.parametrize(
    ("found", "rules"),
    [
        (sums(np.ones(20_000), unsupported=0.011), ["unsupported mass"]),
        (sums(balanced(2_000, 0.5, 1.5, 0.5)), ["error of the mean weight"]),
        (sums(1.05 * balanced(20_000, 0.5, 1.5, 0.5)), ["mean weight"]),
        (sums(balanced(200_000, 0.1, 12.0, 0.08)), ["effective share"]),
        (sums(np.ones(900)), ["effective rows"]),
    ],
)
def test_each_rule_fails_alone(found: UnitSums, rules: list[str]) -> None:
    assert failed(found) == rules


def test_users_that_are_alike_make_the_mean_weight_less_known() -> None:
    weights = np.repeat(balanced(200, 0.5, 1.5, 0.5), 100)
    users = np.repeat(np.arange(200, dtype=np.uint64), 100)
    half = np.full(20_000, 0.1)
    found = sum_by_unit(users, row_values(Logged(np.ones(20_000), half, weights * half, half)))
    assert failed(found) == ["error of the mean weight"]


def test_the_policy_compared_with_is_asked_about_too() -> None:
    rows = np.full(20_000, 0.1)
    one = Logged(np.ones(20_000), rows, rows, 2 * rows)
    found = sum_by_unit(np.arange(20_000, dtype=np.uint64), row_values(one))
    assert failed(found) == []
    assert [rule.name for rule in judge_evaluability(found, REFERENCE) if not rule.held] == ["mean weight"]


def test_nothing_may_not_be_asked() -> None:
    nobody = UnitSums(np.zeros(0, np.uint64), np.zeros((0, 18)))
    assert "effective rows" in failed(nobody)
    assert effective_rows(nobody) == 0


def test_a_deterministic_log_covers_the_truth_rarely_and_may_not_be_asked() -> None:
    """It always shows the first of five items; what it would have earned otherwise nobody knows."""
    random = np.random.default_rng(5)
    covered = asked = 0
    for _ in range(200):
        tastes = random.uniform(0, 0.08, (4000, 5))
        new = random.dirichlet(np.ones(5), 4000)
        reward = (random.random(4000) < tastes[:, 0]).astype(float)
        one = Logged(reward, np.ones(4000), new[:, 0], np.ones(4000), unsupported=1 - new[:, 0])
        found = sum_by_unit(np.arange(4000, dtype=np.uint64), row_values(one))
        low, high = estimate(found, ips).interval
        covered += low <= (new * tastes).sum(axis=1).mean() <= high
        asked += not failed(found)
    assert covered < 0.2 * 200
    assert asked == 0
