"""A small model: the benchmark needs one that scores, not one that is good."""

from __future__ import annotations

import keras

from components.training.layers import Embedding
from components.training.model_inputs import ModelInputs
from tests.benchmarks.data_plane.columns import CATEGORIES, NUMBERS


def build_model(features: ModelInputs) -> keras.Model:
    """Probability of a click, `[batch, 1]`."""
    vectors = [
        keras.layers.Flatten()(Embedding(features.vocabulary_size(name) + 1, 4)(features.inputs[name]))
        for name in CATEGORIES
    ]
    hidden = keras.layers.Concatenate()([*(features.inputs[name] for name in NUMBERS), *vectors])
    hidden = keras.layers.Dense(32, activation="relu")(hidden)
    model = keras.Model(features.inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model
