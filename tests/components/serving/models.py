"""Models that are exported for the tests, quick and slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.training.export import export_model
from tests.components.training.conftest import LABEL, Transformed


class Burn(keras.layers.Layer):  # type: ignore[misc]
    """Takes time, and changes nothing."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def call(self, inputs: Any) -> Any:
        start = tf.fill([256, 256], tf.reduce_mean(inputs))
        _, last = tf.while_loop(
            lambda step, _: step < self._steps,
            lambda step, value: (step + 1, tf.tanh(tf.matmul(value, start) / 256)),
            (0, start),
        )
        return inputs + 1e-30 * tf.reduce_sum(last)


def export(transformed: Transformed, path: Path, *, steps: int = 0) -> Path:
    inputs = {name: keras.Input((1,), name=name) for name in ("price", "item_id", "brand_id")}
    inputs["views"] = keras.Input((9,), name="views")
    numbers = [keras.ops.cast(value, "float32") for value in inputs.values()]
    hidden = keras.layers.Concatenate()(numbers)
    hidden = Burn(steps)(hidden) if steps else hidden
    layer = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Model(inputs, layer(hidden))
    weights = np.random.default_rng(3).normal(size=(12, 1)) * 0.05
    layer.set_weights([weights.astype("f4"), np.zeros(1, "f4")])
    export_model(model, transform=transformed.transform, schema=transformed.schema, label=LABEL, path=path)
    return path
