"""How much better a model is than one prediction for all: the mean label of what it learned from, or the share of a class.

name, gains = losses_below_constant(train_labels, eval_labels, predictions)      # "the log loss", [rows]
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.evaluation.classes import CLIP

Floats = npt.NDArray[np.float64]


def losses_below_constant(learned: Floats, actual: Floats, predictions: Floats) -> tuple[str, Floats]:
    """What the loss is called, and by how much the constant's exceeds the model's: `[rows]`.

    Args:
        learned: labels of the train split.
        actual: labels of the eval split, `[rows]`.
        predictions: `[rows]`, or of classes `[rows, classes]`.
    """
    if predictions.ndim == 2:
        shares = np.bincount(_class_of(learned, predictions), minlength=predictions.shape[1]) / len(learned)
        of_label = _class_of(actual, predictions)
        model = np.take_along_axis(predictions, of_label[:, None], axis=1)[:, 0]
        return "the log loss", _log(model) - _log(shares[of_label])
    constant = float(learned.mean())
    if np.isin(learned, (0, 1)).all() and np.isin(actual, (0, 1)).all():
        return "the log loss", _log_loss(np.full(len(actual), constant), actual) - _log_loss(predictions, actual)
    return "the squared error", np.square(constant - actual) - np.square(predictions - actual)


def _class_of(labels: Floats, predictions: Floats) -> npt.NDArray[np.int64]:
    """A label that is no class counts as class 0: `evaluate` says that it is none."""
    return np.where(np.isin(labels, np.arange(predictions.shape[1])), labels, 0).astype(np.int64)


def _log(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.clip(probabilities, CLIP, 1 - CLIP)), np.float64)


def _log_loss(predictions: Floats, labels: Floats) -> Floats:
    return -(labels * _log(predictions) + (1 - labels) * np.log1p(-np.clip(predictions, CLIP, 1 - CLIP)))
