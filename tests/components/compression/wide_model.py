"""A model with tables of our own and of Keras, a shared one, sequences, and kernels large enough to be compressed."""

from __future__ import annotations

import keras

from components.training.layers import Embedding
from components.training.model_inputs import ModelInputs
from components.training.optimizers import LazyAdam

SIZE = 16


def build_model(features: ModelInputs) -> keras.Model:
    inputs = features.inputs
    item = Embedding(features.vocabulary_size("item") + 1, SIZE, name="item_table")(inputs["item_id"])
    brand = keras.layers.Embedding(features.vocabulary_size("brand") + 1, SIZE, name="brand_table")(inputs["brand_id"])
    table = Embedding(51, SIZE, name="views_table")
    views = keras.ops.mean(table(inputs["views"]), axis=1)
    first = keras.ops.squeeze(table(inputs["views"][:, :1]), axis=1)
    flat = [keras.layers.Flatten()(vectors) for vectors in (item, brand)]
    hidden = keras.layers.Concatenate()([*flat, views, first, inputs["price"]])
    hidden = keras.layers.Dense(64, activation="relu", name="wide")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Dense(32, activation="relu", name="narrow")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(hidden))
    model.compile(optimizer=LazyAdam(0.01), loss="binary_crossentropy", metrics=[keras.metrics.AUC(name="auc")])
    return model
