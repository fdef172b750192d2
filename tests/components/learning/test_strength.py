from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.inference.ranking import auc
from components.learning.strength import Strength, explained


def halves(values: np.ndarray, labels: np.ndarray) -> float:
    half = len(values) // 2
    return Strength.of(values[:half], labels[:half])(values[half:], labels[half:])


def test_auc_is_that_of_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(1)
    labels = (random.random(2000) < 0.1).astype(float)
    scores = random.integers(0, 20, 2000) + labels
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auc(np.ones(2000), scores) is None


def test_a_feature_that_is_the_label_in_any_disguise_is_perfect() -> None:
    random = np.random.default_rng(2)
    labels = (random.random(4000) < 0.3).astype(float)
    assert halves((7 - 3 * labels).astype(np.int64), labels) == 1
    assert halves((labels * 10 + random.random(4000)).astype(np.float32), labels) > 0.99
    prices = random.normal(0, 1, 40_000)
    assert halves(np.exp(prices), prices) > 0.98


def test_an_id_of_every_row_tells_nothing_about_others() -> None:
    labels = (np.random.default_rng(3).random(4000) < 0.3).astype(float)
    assert halves(np.arange(4000), labels) == 0.5
    assert abs(halves(np.random.default_rng(4).random(4000), labels) - 0.5) < 0.05


def test_labels_that_do_not_differ_have_no_strength() -> None:
    assert np.isnan(halves(np.arange(100.0), np.zeros(100)))
    assert np.isnan(explained(np.zeros(3), np.ones(3)))


def test_of_classes_a_feature_that_tells_one_of_them_is_no_leak_yet_the_label_is() -> None:
    labels = np.random.default_rng(5).integers(0, 5, 4000)
    outcomes = np.eye(5)[labels]
    assert halves((labels == 2).astype(np.int64), outcomes) == pytest.approx(0.25, abs=0.05)
    assert halves(10 - labels, outcomes) > 0.99
    assert halves(np.arange(4000), outcomes) == pytest.approx(0, abs=0.01)
    assert np.isnan(halves(labels, np.zeros((4000, 5))))
