"""Influences add up to nothing, and their errors are those of the bootstrap over users."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.influence import Influence
from components.evaluation.metrics import METRICS, OVERALL, read_table
from components.evaluation.sums import SliceSums, Sums
from components.inference.units import standard_errors, sum_by_unit
from tests.components.evaluation.test_sums import MODELS, batch


def day(seed: int, *, users: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, labels and predictions `[2, rows]`; the rows of a user are alike."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, 9, users)
    units = np.repeat(np.arange(users, dtype=np.uint64), rows)
    taste = np.repeat(random.normal(size=users), rows)
    odds = taste - 1 + random.normal(size=(2, rows.sum()))
    labels = (random.random(rows.sum()) < 1 / (1 + np.exp(-taste + 1))).astype("f8")
    return units, labels, (1 / (1 + np.exp(-odds))).astype("f4").astype("f8")


def sums_of(labels: np.ndarray, predictions: np.ndarray) -> Sums:
    [found] = SliceSums(MODELS, [()]).partial(batch(labels=labels, candidate=predictions[0], champion=predictions[1]))
    return found


def metrics_of(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """`[metrics, models]`."""
    table = read_table([sums_of(labels, predictions)], slicings=[()], models=MODELS)[OVERALL]
    return np.array([[table.candidate[name], table.champion[name]] for name in METRICS])


def test_influences_add_up_to_nothing() -> None:
    _, labels, predictions = day(1)
    found = Influence(sums_of(labels, predictions), metrics=METRICS)(labels, predictions)
    assert found.shape == (len(labels), len(METRICS), 2)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)


def test_a_row_moves_its_metric_by_its_influence() -> None:
    _, labels, predictions = day(2)
    found = Influence(sums_of(labels, predictions), metrics=METRICS)(labels, predictions)
    twice = np.r_[np.arange(len(labels)), 5]
    moved = metrics_of(labels[twice], predictions[:, twice]) - metrics_of(labels, predictions)
    np.testing.assert_allclose(found[5], moved, rtol=0.02, atol=1e-7)


def test_errors_are_those_of_a_bootstrap_over_users() -> None:
    units, labels, predictions = day(3)
    found = Influence(sums_of(labels, predictions), metrics=METRICS)(labels, predictions)
    change = found[:, :, 0] - found[:, :, 1]
    errors = standard_errors(sum_by_unit(units, change))
    by_user = np.split(np.arange(len(units)), np.flatnonzero(np.diff(units)) + 1)
    random = np.random.default_rng(4)
    changes = []
    for _ in range(300):
        drawn = np.concatenate([by_user[one] for one in random.integers(0, len(by_user), len(by_user))])
        metrics = metrics_of(labels[drawn], predictions[:, drawn])
        changes.append(metrics[:, 0] - metrics[:, 1])
    expected = np.std(changes, axis=0)
    assert errors == pytest.approx(expected, rel=0.15, abs=1e-9)


def test_one_class_has_no_auc() -> None:
    _, labels, predictions = day(5)
    found = Influence(sums_of(labels * 0, predictions), metrics=["auc", "calibration", "mean_label"])(
        labels * 0, predictions
    )
    assert np.isnan(found[:, :2]).all()
    assert (found[:, 2] == 0).all()
