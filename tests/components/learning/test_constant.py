from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from components.learning.constant import losses_below_constant


def test_of_classes_the_constant_is_the_share_of_each() -> None:
    random = np.random.default_rng(1)
    learned, actual = (random.choice(3, 500, p=[0.2, 0.3, 0.5]).astype(float) for _ in range(2))
    predictions = random.dirichlet([1, 1, 1], 500)
    name, gains = losses_below_constant(learned, actual, predictions)
    shares = np.bincount(learned.astype(int)) / 500
    expected = log_loss(actual, np.tile(shares, (500, 1))) - log_loss(actual, predictions)
    assert name == "the log loss"
    assert gains.mean() == pytest.approx(expected)
    assert gains.shape == (500,)
    _, of_itself = losses_below_constant(learned, actual, np.tile(shares, (500, 1)))
    assert of_itself == pytest.approx(np.zeros(500))


def test_a_class_that_nobody_saw_and_a_label_that_is_none_are_finite() -> None:
    _, gains = losses_below_constant(np.zeros(3), np.array([1.0, 7.0, np.nan]), np.full((3, 2), 0.5))
    assert np.isfinite(gains).all()
    assert gains[0] > 10


def test_of_one_output_the_labels_say_which_loss() -> None:
    labels = np.array([0.0, 1.0, 1.0, 0.0])
    name, gains = losses_below_constant(labels, labels, np.full(4, 0.5))
    assert (name, gains.tolist()) == ("the log loss", [0, 0, 0, 0])
    name, gains = losses_below_constant(2 * labels, 2 * labels, 2 * labels)
    assert (name, gains.tolist()) == ("the squared error", [1, 1, 1, 1])
