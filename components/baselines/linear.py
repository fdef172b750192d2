"""Logistic regression for labels 0 and 1, ridge regression for others: a weight for each number and each known id.

Numbers are scaled to unit variance. Half the squared weights, times a penalty that a held-out tenth of the rows chooses,
count against the summed loss (L2); the loss is convex, and L-BFGS minimises it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import optimize, sparse, special

from components.baselines.features import Features, Ids
from components.baselines.lesson import Floats, Lesson

MAX_ITERATIONS = 200
PENALTIES = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""The strongest first: one that does not help ends the search."""
HELD_OUT = 0.1
PRECISION = 1e-6
"""Relative, of the loss: eight times as fast as to the last digit, with the same held-out loss to four."""


class Linear(tf.Module):  # type: ignore[misc]
    def __init__(self, features: Features, weights: npt.NDArray[np.float32], *, is_binary: bool) -> None:
        """`weights`: of the intercept, of the numbers, then of the codes of each id, 0 first."""
        super().__init__()
        self._features, self._is_binary = features, is_binary
        numbers = sum(len(means) for means in features.numbers.values())
        sizes = [len(ids.known) + 1 for ids in features.ids.values()]
        intercept, of_numbers, *of_ids = np.split(weights, np.cumsum([1, numbers, *sizes])[:-1])
        self._intercept = tf.Variable(intercept, trainable=False)
        self._numbers = tf.Variable(of_numbers[:, None], trainable=False)
        self._ids = [tf.Variable(each, trainable=False) for each in of_ids]
        self._known = [tf.Variable(ids.known, trainable=False) for ids in features.ids.values()]

    def __call__(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`[batch, 1]`."""
        found = self._features.numbers_in_graph(inputs) @ self._numbers + self._intercept
        for (name, ids), weights, known in zip(self._features.ids.items(), self._ids, self._known, strict=True):
            values = tf.reshape(inputs[name], (tf.shape(found)[0], -1))
            found += tf.reduce_sum(tf.gather(weights, ids.codes_in_graph(values, known)), axis=1, keepdims=True)
        return tf.sigmoid(found) if self._is_binary else found


def learn_linear(lesson: Lesson, *, seed: int, budget_secs: float) -> Linear:
    numbers = lesson.features.numbers_of(lesson.arrays).astype(np.float64)
    means, scales = numbers.mean(axis=0), numbers.std(axis=0)
    scales = np.where(scales > 0, scales, np.inf)  # what never changes has no weight
    matrix = sparse.hstack([sparse.csr_matrix((numbers - means) / scales), *_one_hot(lesson)], format="csr")
    intercept, *weights = _fit(matrix, lesson, seed=seed, end=time.monotonic() + budget_secs / 2)
    of_numbers = np.array(weights[: len(means)]) / scales
    found = np.concatenate([[intercept - of_numbers @ means], of_numbers, weights[len(means) :]])
    return Linear(lesson.features, found.astype(np.float32), is_binary=lesson.is_binary)


def _one_hot(lesson: Lesson) -> list[Any]:
    return [_counts(ids, ids.codes(lesson.arrays[name])) for name, ids in lesson.features.ids.items()]


def _counts(ids: Ids, codes: npt.NDArray[np.int64]) -> Any:
    """`[rows, codes]`: how often a row has each; never 0, which has no weight."""
    rows = np.repeat(np.arange(len(codes)), codes.shape[1])
    there = codes.ravel() > 0
    ones = np.ones(int(there.sum()))
    return sparse.csr_matrix((ones, (rows[there], codes.ravel()[there])), shape=(len(codes), len(ids.known) + 1))


def _fit(matrix: Any, lesson: Lesson, *, seed: int, end: float) -> Floats:
    """The intercept, which has no penalty, and the weights."""
    held_out = np.random.default_rng(seed).random(len(lesson.labels)) < HELD_OUT
    loss, best, weights = np.inf, PENALTIES[0], _start(matrix, lesson)
    for penalty in PENALTIES:
        weights = _minimise(matrix, lesson, ~held_out, penalty=penalty, start=weights)
        logits = matrix[held_out] @ weights[1:] + weights[0]
        losses = _losses(logits, lesson.labels[held_out], is_binary=lesson.is_binary)
        if (found := float(losses @ lesson.weights[held_out])) >= loss or time.monotonic() > end:
            break
        loss, best = found, penalty
    return _minimise(matrix, lesson, np.full(len(held_out), True), penalty=best, start=weights)


def _start(matrix: Any, lesson: Lesson) -> Floats:
    mean = lesson.mean_label
    return np.concatenate([[special.logit(mean) if lesson.is_binary else mean], np.zeros(matrix.shape[1])])


def _minimise(matrix: Any, lesson: Lesson, rows: npt.NDArray[np.bool_], *, penalty: float, start: Floats) -> Floats:
    matrix, labels, of_row = matrix[rows], lesson.labels[rows], lesson.weights[rows]
    transposed, link = matrix.T.tocsr(), special.expit if lesson.is_binary else np.asarray

    def loss_and_gradient(weights: Floats) -> tuple[float, Floats]:
        found = matrix @ weights[1:] + weights[0]
        error = (link(found) - labels) * of_row
        gradient = np.concatenate([[error.sum()], transposed @ error + penalty * weights[1:]])
        losses = _losses(found, labels, is_binary=lesson.is_binary)
        # Sums of products, not `@`: at these lengths its threads wait busily, for ten times the CPU seconds.
        return float((losses * of_row).sum() + penalty / 2 * np.square(weights[1:]).sum()), gradient

    options = {"maxiter": MAX_ITERATIONS, "ftol": PRECISION}
    found = optimize.minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x, np.float64)


def _losses(found: Floats, labels: Floats, *, is_binary: bool) -> Floats:
    losses = np.logaddexp(0, found) - labels * found if is_binary else (found - labels) ** 2 / 2
    return np.asarray(losses, np.float64)
