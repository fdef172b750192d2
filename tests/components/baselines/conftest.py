"""Lessons with a known signal, and the day that the training tests transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from components.baselines.features import Features
from components.baselines.lesson import Lesson
from tests.components.training.conftest import transformed

__all__ = ["transformed"]


def lesson_of(arrays: dict[str, Any], labels: Any, *, weights: Any = None) -> Lesson:
    arrays = {name: np.asarray(values).reshape(len(labels), -1) for name, values in arrays.items()}
    labels = np.asarray(labels, np.float64)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    return Lesson(arrays, Features.of(arrays), labels, weights / weights.mean())


def predict(model: Any, arrays: dict[str, Any]) -> np.ndarray:
    return np.asarray(model({name: tf.constant(values) for name, values in arrays.items()})).ravel()


def signal(rows: int = 4000, *, seed: int = 3) -> tuple[dict[str, Any], np.ndarray]:
    """Arrays and log-odds: a number, an id and a set of ids count, a constant and a missing column do not."""
    random = np.random.default_rng(seed)
    number = random.normal(size=(rows, 1)).astype("f4")
    item = random.integers(0, 6, (rows, 1))
    seen = random.integers(0, 9, (rows, 4))
    arrays = {
        "constant": np.full((rows, 1), 7, "f4"),
        "item": item,
        "missing": np.full((rows, 1), np.nan, "f4"),
        "number": number,
        "seen": seen,
    }
    has_five = (seen == 5).any(axis=1)
    return arrays, number[:, 0] + 1.5 * np.isin(item[:, 0], (1, 4)) + 2.0 * has_five - 2
