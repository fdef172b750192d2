"""A model of small pictures, as a user writes one."""

from __future__ import annotations

import keras

from components.training.model_inputs import ModelInputs


def build_model(features: ModelInputs) -> keras.Model:
    pixels = keras.layers.Rescaling(2.0, offset=-1.0)(features.inputs["photo"])
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(pixels)
    output = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(hidden))
    model = keras.Model(features.inputs, output)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy")
    return model
