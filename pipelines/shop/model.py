"""The recommender: embeddings of user, item and context, the user's recent past, and words; one click probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from components.training.layers import Embedding
from components.training.model_inputs import ModelInputs
from components.training.optimizers import LazyAdam
from pipelines.shop.features import OUT_OF_VOCABULARY, SEQUENCES, TEXTS, VOCABULARIES

LEARNING_RATE = 0.002
DECAY = (1, 0.7, 0.3, 0.05)
"""By epoch. At a constant rate the mean prediction swings by a third from batch to batch, and ends anywhere."""

_SMALL = 4


def build_model(features: ModelInputs) -> keras.Model:
    """Probability of a click, `[batch, 1]`."""
    inputs, size = features.inputs, features.hyperparameters.get("embedding", 12)
    tables = {
        name: Embedding(features.vocabulary_size(name) + OUT_OF_VOCABULARY + 1, size, name=f"{name}_table")
        for name in (*VOCABULARIES, "word")
    }
    # Single ids count from 0, sequences from 1: one table serves both when the single ids move up by one.
    vectors = {name: _flat(tables[name](inputs[name] + 1)) for name in VOCABULARIES}
    for name, vocabulary in SEQUENCES.items():
        vectors[name] = _pooled(tables[vocabulary](inputs[name]), inputs[name])
    for name in TEXTS:
        vectors[name] = _pooled(tables["word"](inputs[name]), inputs[name])
    position = _flat(Embedding(10, _SMALL, name="position_table")(inputs["position"]))
    hour = _flat(Embedding(24, _SMALL, name="hour_table")(inputs["hour"]))
    matches = [
        keras.layers.Dot(axes=1)([vectors["user_id"], vectors["item_id"]]),
        keras.layers.Dot(axes=1)([vectors["recent_items"], vectors["item_id"]]),
        keras.layers.Dot(axes=1)([vectors["recent_categories"], vectors["category"]]),
        keras.layers.Dot(axes=1)([vectors["query"], vectors["title"]]),
    ]
    hidden = keras.layers.Concatenate()([*vectors.values(), position, hour, *matches, inputs["log_price"]])
    for units in features.hyperparameters.get("units", [48, 24]):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    bias = _flat(
        Embedding(features.vocabulary_size("item_id") + OUT_OF_VOCABULARY, 1, name="item_bias")(inputs["item_id"])
    )
    logit = keras.layers.Add()([keras.layers.Dense(1)(hidden), bias])
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(logit))
    model.compile(
        optimizer=LazyAdam(features.hyperparameters.get("learning_rate", LEARNING_RATE)),
        loss="binary_crossentropy",
        metrics=[keras.metrics.AUC(name="auc"), keras.metrics.MeanSquaredError(name="brier")],
    )
    return model


def callbacks(hyperparameters: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    first = hyperparameters.get("learning_rate", LEARNING_RATE)
    return [keras.callbacks.LearningRateScheduler(lambda epoch, _: first * DECAY[min(epoch, len(DECAY) - 1)])]


def _flat(vectors: keras.KerasTensor) -> keras.KerasTensor:
    """`[batch, 1, size]` to `[batch, size]`."""
    return keras.layers.Reshape((vectors.shape[-1],))(vectors)


def _pooled(vectors: keras.KerasTensor, ids: keras.KerasTensor) -> keras.KerasTensor:
    """`[batch, length, size]` to `[batch, size]`: the mean where `ids` is not padding, zeros where all of it is."""
    there = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(ids, 0), vectors.dtype), -1)
    count = keras.ops.maximum(keras.ops.sum(there, axis=1), 1)
    return keras.ops.sum(vectors * there, axis=1) / count
