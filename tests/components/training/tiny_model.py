"""The model of the training tests, as a user writes one. `hyperparameters` chooses what it does."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from components.training.layers import Embedding
from components.training.model_inputs import ModelInputs
from components.training.optimizers import LazyAdam

seen: list[tuple[str, int, dict[str, float]]] = []
wanted: list[keras.callbacks.Callback] = []


def build_model(features: ModelInputs) -> keras.Model:
    settings = features.hyperparameters
    if settings.get("raises"):
        raise KeyError("no such feature")
    item = Embedding(features.vocabulary_size("item") + 1, 4, name="item")(features.inputs["item_id"])
    hidden: Any = keras.layers.Concatenate()([keras.layers.Flatten()(item), features.inputs["price"]])
    hidden = keras.layers.Dense(8, activation="relu")(hidden)
    if settings.get("norm"):
        hidden = keras.layers.BatchNormalization()(hidden)
    if rate := settings.get("dropout"):
        hidden = keras.layers.Dropout(rate)(hidden)
    output = keras.layers.Dense(1, activation="sigmoid", dtype="float32")(hidden)
    model = keras.Model(features.inputs, output)
    if not settings.get("uncompiled"):
        model.compile(
            optimizer=LazyAdam(settings.get("learning_rate", 0.01)),
            loss="binary_crossentropy",
            metrics=[keras.metrics.AUC(name="auc")],
        )
    return model


class KillOnce(keras.callbacks.Callback):  # type: ignore[misc]
    """Sends itself a signal after some batches: `KILL_FILE` holds `<rank> <batches> <signal>`, and is removed."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del batch, logs
        self.batches += 1
        order = Path(os.environ["KILL_FILE"])
        try:
            rank, batches, name = order.read_text().split()
        except FileNotFoundError:  # never given, or obeyed by the other worker
            return
        if f'"index": {rank}' in os.environ.get("TF_CONFIG", '"index": 0') and self.batches >= int(batches):
            order.unlink()
            os.kill(os.getpid(), signal.Signals[name])


def callbacks(hyperparameters: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    return [*wanted, *([KillOnce()] if "KILL_FILE" in os.environ else [])]
