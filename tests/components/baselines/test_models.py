from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

from components.baselines.constant import learn_constant
from components.baselines.lesson import Lesson
from components.baselines.linear import learn_linear
from components.baselines.trees import columns_of, learn_trees, to_graph, train_trees
from tests.components.baselines.conftest import lesson_of, predict, signal

Learn = Callable[[Lesson], Any]
LEARN: dict[str, Learn] = {
    "linear": lambda lesson: learn_linear(lesson, seed=1, budget_secs=30),
    "trees": lambda lesson: learn_trees(lesson, seed=1, budget_secs=30),
}
each = pytest.mark.parametrize("learn", LEARN.values(), ids=LEARN)


def log_loss(labels: Any, found: Any) -> float:
    return float(-np.mean(special.xlogy(labels, found) + special.xlog1py(1 - labels, -found)))


def test_a_constant_is_the_weighted_mean_label() -> None:
    lesson = lesson_of({"x": np.zeros((3, 1), "f4")}, [0, 0, 1], weights=[1, 1, 2])
    assert predict(learn_constant(lesson), dict(lesson.arrays)) == pytest.approx([0.5] * 3)


@each
def test_numbers_ids_and_sets_are_learned(learn: Learn) -> None:
    arrays, logits = signal()
    labels = np.random.default_rng(8).random(len(logits)) < special.expit(logits)
    unseen, their_logits = signal(seed=4)
    found, truth = predict(learn(lesson_of(arrays, labels)), unseen), special.expit(their_logits)
    noise, constant = log_loss(truth, truth), log_loss(truth, truth.mean())
    assert log_loss(truth, found) < noise + 0.25 * (constant - noise)


@each
def test_a_regression_label_is_learned(learn: Learn) -> None:
    arrays, logits = signal()
    found = predict(learn(lesson_of(arrays, 100 + 10 * logits)), arrays)
    assert np.mean((found - 100 - 10 * logits) ** 2) < 0.2 * np.var(10 * logits)


@each
def test_rows_of_no_weight_teach_nothing(learn: Learn) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(3000, 1)).astype("f4")
    counts = random.random(3000) < 0.5
    labels = np.where(counts, x[:, 0] > 0, x[:, 0] < 0)
    found = predict(learn(lesson_of({"x": x}, labels, weights=counts)), {"x": x})
    assert np.mean((found > 0.5) == (x[:, 0] > 0)) > 0.95


@each
def test_equal_lessons_make_equal_models(learn: Learn) -> None:
    arrays, logits = signal(1500)
    lesson = lesson_of(arrays, logits > 0)
    first, second = (predict(learn(lesson), arrays) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("is_binary", [True, False])
def test_the_graph_of_trees_equals_ydf(is_binary: bool) -> None:
    arrays, logits = signal()
    lesson = lesson_of(arrays, logits > 0 if is_binary else logits)
    model = train_trees(lesson, seed=1, budget_secs=30)
    assert model.num_trees() > 5
    np.testing.assert_allclose(
        predict(to_graph(model, lesson), arrays), model.predict(columns_of(lesson)), atol=1e-6, rtol=1e-6
    )


@each
def test_ids_never_seen_and_features_without_ids_are_taken(learn: Learn) -> None:
    arrays, logits = signal(1500)
    arrays["unique"] = np.arange(1500)[:, None]
    model = learn(lesson_of(arrays, logits > 0))
    arrays |= {"item": arrays["item"] + 2**50, "seen": np.zeros_like(arrays["seen"])}
    assert np.isfinite(predict(model, arrays)).all()
