"""Estimators against numbers worked out by hand and by brute force, and their invariants on simulated logs."""

from __future__ import annotations

import numpy as np
import pytest

from components.inference.choices import list_probabilities
from components.inference.off_policy import (
    Logged,
    Total,
    calibrated,
    delta,
    direct,
    doubly_robust,
    estimate,
    gradient,
    ips,
    logged_value,
    reference_snips,
    relative_delta,
    row_values,
    snips,
    switch_doubly_robust,
)
from components.inference.resampling import bootstrap, resampled_totals
from components.inference.units import UnitSums, merge_units, sum_by_unit

ALL = [logged_value, ips, snips, reference_snips, direct, doubly_robust, switch_doubly_robust, delta, relative_delta]


def logged(seed: int = 1, *, rows: int = 600, **changes: np.ndarray) -> Logged:
    random = np.random.default_rng(seed)
    propensity, probability, reference = (random.uniform(0.05, 1, rows) for _ in range(3))
    values = {
        "reward": random.exponential(size=rows),
        "base": random.uniform(0.5, 2, rows),
        "propensity": propensity,
        "probability": probability,
        "reference": reference,
        "guess": random.uniform(0.1, 1, rows),
        "mean_guess": random.uniform(0.1, 1, rows),
    }
    return Logged(**(values | changes))


def sums_of(found: Logged, *, users: int = 50) -> UnitSums:
    units = np.arange(len(found.reward), dtype=np.uint64) % np.uint64(users)
    return sum_by_unit(units, row_values(found))


def test_estimators_are_their_formulas() -> None:
    one = logged(base=np.ones(600))
    w, v, r = one.probability / one.propensity, one.reference / one.propensity, one.reward
    expected = {
        ips: np.mean(w * r),
        snips: np.sum(w * r) / np.sum(w),
        direct: np.mean(one.mean_guess),
        doubly_robust: np.mean(one.mean_guess + w * (r - one.guess)),
        switch_doubly_robust: np.mean(one.mean_guess + (w <= 10) * w * (r - one.guess)),
        delta: np.mean((w - v) * (r - r.mean())),
    }
    assert (w > 10).any() and (w <= 10).any()
    for estimator, value in expected.items():
        assert estimate(sums_of(one), estimator).value == pytest.approx(value, rel=1e-12), estimator


def test_no_propensity_is_clipped() -> None:
    """Rare choices weigh what they weigh: clipping moves the estimate, and hides from the rules that the log is too thin."""
    rare = logged(propensity=np.full(600, 1e-6), probability=np.full(600, 0.5), reference=np.full(600, 1e-6))
    values = row_values(rare)
    np.testing.assert_allclose(values[:, Total.W], 5e5)
    np.testing.assert_allclose(values[:, Total.WW], 2.5e11)
    np.testing.assert_allclose(values[:, Total.V], 1.0)
    np.testing.assert_allclose(values[:, Total.W_REWARD], 5e5 * rare.reward)


def test_of_the_policy_that_wrote_the_log_the_difference_is_the_plain_one() -> None:
    one = logged(base=np.ones(600))
    one = logged(base=np.ones(600), reference=one.propensity)
    w, r = one.probability / one.propensity, one.reward
    assert estimate(sums_of(one), delta).value == pytest.approx(np.mean((w - 1) * (r - r.mean())), rel=1e-12)


def test_ips_of_the_logging_policy_is_the_mean_reward_exactly() -> None:
    one = logged(base=np.ones(600))
    same = logged(base=np.ones(600), probability=one.propensity, reference=one.propensity)
    found = sums_of(same)
    assert estimate(found, ips).value == estimate(found, logged_value).value
    assert tuple(estimate(found, delta)[:2]) == (0.0, 0.0)


def test_a_difference_with_a_denominator_is_the_first_order_change_of_the_ratio() -> None:
    one = logged()
    w, v = one.probability / one.propensity, one.reference / one.propensity
    ratio = one.reward.sum() / one.base.sum()
    expected = np.sum((w - v) * (one.reward - ratio * one.base)) / one.base.sum()
    assert estimate(sums_of(one), delta).value == pytest.approx(expected, rel=1e-12)


def test_parts_merge_to_the_whole() -> None:
    one = logged()
    values, units = row_values(one), np.arange(600, dtype=np.uint64) % np.uint64(50)
    merged = merge_units([sum_by_unit(units[part], values[part]) for part in (slice(0, 77), slice(77, 600))])
    for estimator in ALL:
        np.testing.assert_allclose(estimate(merged, estimator)[:2], estimate(sums_of(one), estimator)[:2], rtol=1e-9)


@pytest.mark.parametrize("estimator", [*ALL, calibrated(doubly_robust)])
def test_the_gradient_is_that_of_finite_differences(estimator: object) -> None:
    totals = sums_of(logged()).values.sum(axis=0)
    steps = totals[:, None] + np.diag(1e-6 * np.maximum(np.abs(totals), 1))
    minus = totals[:, None] - np.diag(1e-6 * np.maximum(np.abs(totals), 1))
    expected = (estimator(steps) - estimator(minus)) / (2e-6 * np.maximum(np.abs(totals), 1))
    np.testing.assert_allclose(gradient(estimator, totals), expected, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("estimator", [snips, delta, relative_delta, calibrated(doubly_robust)])
def test_the_bootstrap_over_users_agrees_with_the_delta_method(estimator: object) -> None:
    """Rewards of a user are alike, and a user has one to nineteen rows."""
    random = np.random.default_rng(4)
    users = np.repeat(np.arange(800, dtype=np.uint64), random.integers(1, 20, 800))
    rows = len(users)
    one = logged(5, rows=rows, reward=random.exponential(size=800)[users.astype(int)] + random.exponential(size=rows))
    sums = sum_by_unit(users, row_values(one))
    found, resampled = estimate(sums, estimator), bootstrap(sums, estimator, seed=1)
    assert resampled.error == pytest.approx(found.error, rel=0.1)
    np.testing.assert_allclose(resampled.interval, found.interval, atol=0.4 * found.error)
    alone = estimate(sum_by_unit(np.arange(rows, dtype=np.uint64), row_values(one)), snips)
    if estimator is snips:
        assert alone.error < 0.8 * found.error


def test_resamples_are_poisson_and_follow_the_seed() -> None:
    counts = resampled_totals(np.eye(300), seed=3, resamples=2000)
    assert counts.mean() == pytest.approx(1, abs=0.005)
    assert counts.var() == pytest.approx(1, abs=0.01)
    assert [(counts == k).mean() for k in range(3)] == pytest.approx([0.36788, 0.36788, 0.18394], abs=0.003)
    assert abs(np.corrcoef(counts[:, 0], counts[:, 1])[0, 1]) < 0.1
    assert (resampled_totals(np.eye(300), seed=3, resamples=2000) == counts).all()
    assert (resampled_totals(np.eye(300), seed=4, resamples=2000) != counts).any()


def test_one_user_has_no_interval() -> None:
    sums = sums_of(logged(), users=1)
    assert np.isnan(estimate(sums, delta).error)
    assert np.isnan(bootstrap(sums, delta, seed=1).error)


def test_the_difference_is_far_narrower_than_two_estimates() -> None:
    """At an effective share of 0.9."""
    random = np.random.default_rng(2)
    propensity = np.full(200_000, 0.1)
    weights = random.choice([2 / 3, 4 / 3], 200_000)
    reward = (random.random(200_000) < 0.04).astype(float)
    one = Logged(reward, propensity, weights * propensity, propensity)
    sums = sum_by_unit(np.arange(200_000, dtype=np.uint64), row_values(one))
    totals = sums.values.sum(axis=0)
    assert totals[Total.W] ** 2 / totals[Total.WW] / 200_000 == pytest.approx(0.9, abs=0.001)
    apart = np.hypot(estimate(sums, ips).error, estimate(sums, logged_value).error)
    assert apart / estimate(sums, delta).error == pytest.approx(4.2, rel=0.06)


@pytest.mark.parametrize(("temperature", "epsilon"), [(0.7, 0.0), (1.5, 0.3), (3.0, 1.0)])
def test_weights_average_to_one(temperature: float, epsilon: float) -> None:
    """Three policies, on a log of another one."""
    random = np.random.default_rng(6)
    scores, own = random.normal(size=(60_000, 6)), random.normal(size=(60_000, 6))
    chances = list_probabilities(own, temperature=2.0, epsilon=0.2)
    # Every place in turn, behind a prefix that does not matter: any order of candidates will do.
    shown = _drawn(own, random, temperature=2.0, epsilon=0.2)
    own, scores = (np.take_along_axis(array, shown, axis=1) for array in (own, scores))
    chances = list_probabilities(own, temperature=2.0, epsilon=0.2)
    new = list_probabilities(scores, temperature=temperature, epsilon=epsilon)
    weights = new.chosen / chances.chosen
    errors = weights.std(axis=0) / np.sqrt(len(weights))
    assert (np.abs(weights.mean(axis=0) - 1) <= 4 * errors + 1e-12).all()
    assert errors[0] > 0.001


def _drawn(scores: np.ndarray, random: np.random.Generator, *, temperature: float, epsilon: float) -> np.ndarray:
    """Orders, drawn place by place without the code under test."""
    order = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    rows = np.arange(len(scores))
    for place in range(scores.shape[1]):
        weights = np.exp(np.take_along_axis(scores, order, axis=1)[:, place:] / temperature)
        chances = (1 - epsilon) * weights / weights.sum(axis=1, keepdims=True) + epsilon / weights.shape[1]
        drawn = place + (chances.cumsum(axis=1)[:, :-1] < random.random((len(scores), 1))).sum(axis=1)
        order[rows, place], order[rows, drawn] = order[rows, drawn], order[rows, place].copy()
    return order
