"""Handwritten digits of scikit-learn as a pipeline of ten classes, as a user writes one."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from components.training.model_inputs import ModelInputs

CLASSES = 10
LABEL = "digit"
COLUMNS = {"pixels": "floats", "darkness": "string", "writer": "int", LABEL: "int"}
SCHEMA = """
    feature { name: "pixels" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 64 } } }
    feature { name: "darkness" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "writer" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "digit" type: INT presence { min_fraction: 1 } shape {} }
"""


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"pixels": inputs["pixels"] / 16, LABEL: tf.cast(inputs[LABEL], tf.int64)}


def build_model(features: ModelInputs) -> keras.Model:
    hidden = keras.layers.Dense(32, activation="relu")(features.inputs["pixels"])
    output = keras.layers.Dense(CLASSES, activation="softmax")(hidden)
    model = keras.Model(features.inputs, output)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
