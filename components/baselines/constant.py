"""The mean label, whatever the features: what any model has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from components.baselines.features import batch_rows
from components.baselines.lesson import Lesson


class Constant(tf.Module):  # type: ignore[misc]
    def __init__(self, mean: float) -> None:
        super().__init__()
        self._mean = tf.Variable(mean, trainable=False, dtype=tf.float32)

    def __call__(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`[batch, 1]`."""
        return tf.fill((batch_rows(inputs), 1), self._mean.read_value())


def learn_constant(lesson: Lesson) -> Constant:
    return Constant(lesson.mean_label)
