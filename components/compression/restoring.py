"""The Keras model again, from model.py and the weights in a SavedModel of `components.training.export`."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from components.training.job import Job
from components.training.user_model import build_model
from pipelines.errors import DataError, bounded


def restore(job: Job, saved_model: Path) -> keras.Model:
    """The compiled model with the trained weights and a new optimizer. A weight that no prediction reads is new too.

    Raises:
        DataError: the SavedModel has weights that the model does not have.
    """
    model = build_model(job, tf.distribute.get_strategy())
    own = {variable.path: variable for variable in model.weights}
    loaded = tf.saved_model.load(str(saved_model))  # its variables live as long as it does
    [function] = loaded.serving.of_features.concrete_functions
    trained = {variable.name.removesuffix(":0"): variable for variable in function.variables}
    strange = sorted(
        path for path, value in trained.items() if path not in own or tuple(own[path].shape) != tuple(value.shape)
    )
    if strange or not trained:
        raise DataError(
            f"the trained model must hold weights of {job.model}. Received: {bounded(strange) or 'none'}, which it lacks",
            fix="run the day again from `train`",
            place=str(saved_model),
        )
    for path, value in trained.items():
        own[path].assign(tf.convert_to_tensor(value))
    return model
