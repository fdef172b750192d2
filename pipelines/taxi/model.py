"""The taxi model: a wide part over categories beside a deep part over amounts and embeddings."""

from __future__ import annotations

import keras

from components.training.layers import Embedding
from components.training.model_inputs import ModelInputs
from components.training.optimizers import LazyAdam
from pipelines.taxi.features import BUCKETED, BUCKETS, CATEGORIES, OUT_OF_VOCABULARY, SCALED, VOCABULARIES

EMBEDDING = 8


def build_model(features: ModelInputs) -> keras.Model:
    """Probability that the tip exceeds a fifth of the fare, `[batch, 1]`."""
    sizes = dict.fromkeys(BUCKETED, BUCKETS) | CATEGORIES
    sizes |= {name: features.vocabulary_size(name) + OUT_OF_VOCABULARY for name in VOCABULARIES}
    amounts = [features.inputs[name] for name in SCALED]
    deep = [keras.layers.Flatten()(Embedding(size, EMBEDDING)(features.inputs[name])) for name, size in sizes.items()]
    wide = [keras.layers.Flatten()(Embedding(size, 1)(features.inputs[name])) for name, size in sizes.items()]

    hidden = keras.layers.Concatenate()([*amounts, *deep])
    for units in features.hyperparameters.get("units", [64, 32]):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    logit = keras.layers.Add()([keras.layers.Dense(1)(hidden), *wide])
    model = keras.Model(features.inputs, keras.layers.Activation("sigmoid")(logit))
    model.compile(
        optimizer=LazyAdam(features.hyperparameters.get("learning_rate", 0.002)),
        loss="binary_crossentropy",
        metrics=[keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    return model
