from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from components.inference.aging import Curve, auc_losses, fit_curve, log_losses
from components.inference.units import Floats, UnitSums, interval, sum_by_unit

Units = npt.NDArray[np.uint64]
AGES = np.array([1.0, 2.0, 3.0, 4.0])


def simulate(seed: int, *, per_day: float, users: int = 150, rows_per_user: int = 20) -> tuple[Floats, Units, Floats]:
    """Labels, users, and predictions of models that do not know the taste of a user and drift away from it."""
    draw = np.random.default_rng(seed)
    units = np.repeat(np.arange(users), rows_per_user).astype(np.uint64)
    log_odds = np.repeat(draw.normal(-1, 1, users), rows_per_user)
    labels = (draw.random(len(units)) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)
    # The loss grows with the square of what the log-odds are off by: about linear in age.
    off = np.repeat(draw.choice([-1.0, 1.0], users), rows_per_user)
    scores = -1 + off[:, None] * np.sqrt(per_day * AGES)
    return labels, units, 1 / (1 + np.exp(-scores))


def curve_of(seed: int, *, per_day: float, clustered: bool = True) -> Curve:
    labels, units, predictions = simulate(seed, per_day=per_day)
    losses, influences = log_losses(labels, predictions)
    units = units if clustered else np.arange(len(units)).astype(np.uint64)
    return fit_curve(AGES, losses, sum_by_unit(units, influences))


def true_slope(per_day: float) -> float:
    slopes = [curve_of(seed, per_day=per_day).slope for seed in range(1000, 1400)]
    return float(np.mean(slopes))


def test_the_interval_of_the_slope_covers_the_truth() -> None:
    truth = true_slope(0.02)
    curves = [curve_of(seed, per_day=0.02) for seed in range(300)]
    covered = np.mean([low <= truth <= high for low, high in (interval(c.slope, c.slope_error) for c in curves)])
    assert truth > 0.001
    assert 0.92 <= covered <= 0.98


def test_rows_of_one_user_count_together() -> None:
    truth = true_slope(0.02)
    curves = [curve_of(seed, per_day=0.02, clustered=False) for seed in range(300)]
    covered = np.mean([low <= truth <= high for low, high in (interval(c.slope, c.slope_error) for c in curves)])
    assert covered < 0.92


def test_models_that_do_not_age_have_no_slope() -> None:
    curve = curve_of(3, per_day=0.0)
    assert curve.slope == pytest.approx(0, abs=1e-12)
    assert curve.slope_error == pytest.approx(0, abs=1e-12)


def test_the_slope_is_that_of_least_squares_and_changes_are_against_the_youngest() -> None:
    losses = np.array([0.30, 0.31, 0.335, 0.34])
    curve = fit_curve(AGES, losses, UnitSums(np.arange(5, dtype=np.uint64), np.zeros((5, 4))))
    line = stats.linregress(AGES, losses)
    assert curve.slope == pytest.approx(line.slope)
    assert curve.slope_error == pytest.approx(line.stderr)  # users agree: the scatter of the models is left
    assert curve.changes == pytest.approx([0, 0.01, 0.035, 0.04])


def test_the_error_of_a_change_is_that_of_the_difference() -> None:
    labels, units, predictions = simulate(5, per_day=0.05)
    losses, influences = log_losses(labels, predictions)
    curve = fit_curve(AGES, losses, sum_by_unit(units, influences))
    assert curve.change_errors[0] == 0
    assert 0 < curve.change_errors[3] < curve.errors[3]


def test_the_auc_is_the_share_of_pairs_with_ties_half() -> None:
    labels = np.array([0.0, 0.0, 1.0, 1.0])
    losses, influences = auc_losses(labels, np.array([[0.1], [0.5], [0.5], [0.9]]))
    assert losses[0] == pytest.approx(1 - 3.5 / 4)
    assert influences.sum() == pytest.approx(0)


def test_the_error_of_the_auc_is_that_of_resampled_users() -> None:
    labels, units, predictions = simulate(6, per_day=0.1)
    losses, influences = auc_losses(labels, predictions)
    curve = fit_curve(AGES, losses, sum_by_unit(units, influences))
    draw = np.random.default_rng(1)
    users, size = int(units[-1]) + 1, len(units) // (int(units[-1]) + 1)
    resampled = []
    for _ in range(200):
        rows = (draw.integers(0, users, users)[:, None] * size + np.arange(size)).ravel()
        resampled.append(auc_losses(labels[rows], predictions[rows][:, :1])[0][0])
    assert curve.errors[0] == pytest.approx(np.std(resampled), rel=0.15)


def test_the_auc_of_one_class_is_not_defined() -> None:
    assert np.isnan(auc_losses(np.ones(3), np.full((3, 1), 0.5))[0]).all()
