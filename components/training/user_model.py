"""The user's model.py: imported, built under a strategy, checked, and blamed by line when it raises."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.training.job import Job
from components.training.model_inputs import ModelInputs
from pipelines.errors import DaybreakError, SpecError, UserCodeError


def build_model(job: Job, strategy: tf.distribute.Strategy) -> keras.Model:
    """The compiled model of `job`, with all of its variables made in `strategy`; equal seeds give equal weights.

    Raises:
        UserCodeError: it raised, is not a Keras model, or is not compiled.
    """
    module = import_model(job)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(job.train.seed)
    # Without it sums over threads change from run to run, and with them the model: a calibration of 0.95 or 1.09.
    tf.config.experimental.enable_op_determinism()
    with strategy.scope(), _precision(job.train.precision):
        features = ModelInputs.from_transform(
            tft.TFTransformOutput(str(job.transform)), label=job.label, hyperparameters=job.train.hyperparameters
        )
        with blaming(module, "build_model"):
            model = module.build_model(features)
        _check(model, job)
        with blaming(module, "build_model"):
            _build_state(model, features, weighted=job.weight is not None)
    if strategy.num_replicas_in_sync > 1 and getattr(model.optimizer, "gradient_accumulation_steps", None):
        raise SpecError(
            "`gradient_accumulation_steps` works on one device only. "
            f"Received: train.strategy={job.train.strategy}, devices={job.train.devices}",
            fix="remove it from the optimizer, or use `strategy: single`",
            place=job.place,
        )
    return model


def import_model(job: Job) -> ModuleType:
    """The module that defines `build_model`.

    Raises:
        UserCodeError: it cannot be imported, or has no such function.
    """
    try:
        module = importlib.import_module(job.model)
    except Exception as error:
        raise UserCodeError(
            f"importing it raised {type(error).__name__}: {error}",
            fix="correct that line",
            place=_line(error, job.model),
        ) from error
    if not callable(getattr(module, "build_model", None)):
        raise UserCodeError(
            "no function `build_model`",
            fix="define `def build_model(features: ModelInputs) -> keras.Model`",
            place=job.place,
        )
    return module


def user_callbacks(job: Job) -> list[keras.callbacks.Callback]:
    """What `callbacks(hyperparameters)` of model.py returns; none when it is not defined."""
    module = import_model(job)
    if not hasattr(module, "callbacks"):
        return []
    with blaming(module, "callbacks"):
        callbacks = list(module.callbacks(job.train.hyperparameters))
    wrong = [type(item).__name__ for item in callbacks if not isinstance(item, keras.callbacks.Callback)]
    if wrong:
        raise UserCodeError(
            f"`callbacks` must return keras.callbacks.Callback objects. Received: {', '.join(wrong)}",
            fix="return a list of instances",
            place=job.place,
        )
    return callbacks


@contextmanager
def blaming(module: ModuleType, what: str) -> Iterator[None]:
    """Keeps the user's exception as the cause and adds the line of the module it came through."""
    try:
        yield
    except DaybreakError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"{what} raised {type(error).__name__}: {error}",
            fix="correct that line; `daybreak check` runs it without data",
            place=_line(error, module.__file__ or module.__name__),
        ) from error


def _line(error: BaseException, file: str) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{frames[-1].lineno}" if frames else file


def _check(model: Any, job: Job) -> None:
    if not isinstance(model, keras.Model):
        raise UserCodeError(
            f"`build_model` must return a keras.Model. Received: {type(model).__name__}",
            fix="return keras.Model(features.inputs, outputs) after compiling it",
            place=job.place,
        )
    if not model.compiled or model.optimizer is None:
        raise UserCodeError(
            "`build_model` must return a compiled model: loss and metrics come from there. Received: not compiled",
            fix='call model.compile(optimizer=…, loss="binary_crossentropy", metrics=[keras.metrics.AUC(name="auc")])',
            place=job.place,
        )


def _build_state(model: keras.Model, features: ModelInputs, *, weighted: bool) -> None:
    """Makes the variables of loss, metrics and optimizer now: later, in `strategy.run`, none may be made."""
    inputs = {name: tf.zeros((2, *tensor.shape[1:]), tensor.dtype) for name, tensor in features.inputs.items()}
    model._symbolic_build(data_batch=(inputs, tf.zeros((2, 1)), tf.ones((2, 1)) if weighted else None))


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
