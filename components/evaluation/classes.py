"""What a row adds to the sums of models of several classes: labels from 0 on, a probability for each class.

    per_label(labels, 3)                  # [1 + 3, rows]
    per_row(labels, predictions, [1])     # [models, 2 + 1 + 3, rows]; `predictions` is [models, rows, classes]

Each class against the rest is a binary outcome: its histogram, AUC and calibration are those of one output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CLIP = 1e-7
"""For the log loss, as Keras and TensorFlow Model Analysis have it."""
MAX_SUM_ERROR = 1e-3
"""How far from one the probabilities of a row may sum; float32 of a hundred classes is off by 1e-5."""

IN_CLASSES = 0
"""First in what `per_label` returns: the label is one of the classes. After it one for each class."""
IN_RANGE, LOG_LOSS = range(2)
"""First in what `per_row` returns: the predictions are probabilities that sum to one; the log loss. After them, for each
of `tops`, that the label is among so many most probable classes; then the probability of each class."""
PER_PREDICTION = LOG_LOSS + 1


def per_label(labels: Floats, classes: int) -> Floats:
    """`[1 + classes, rows]`."""
    of_class = labels == np.arange(classes)[:, None]
    return np.concatenate([of_class.any(axis=0)[None], of_class], dtype=np.float64)


def per_row(labels: Floats, predictions: Floats, tops: Sequence[float]) -> Floats:
    """`[models, 2 + tops + classes, rows]`; a label that is no class counts as one of class 0, and no metric is defined."""
    numbers = np.arange(predictions.shape[2])
    label = np.where(np.isin(labels, numbers), labels, 0).astype(np.int64)
    of_label = np.take_along_axis(predictions, label[None, :, None], axis=2)
    # Of classes that are equally probable the first goes ahead, as of `argmax`.
    ahead = (predictions > of_label) | ((predictions == of_label) & (numbers < label[:, None]))
    places = np.count_nonzero(ahead, axis=2)
    in_range = ((predictions >= 0) & (predictions <= 1)).all(axis=2)
    in_range &= np.abs(predictions.sum(axis=2) - 1) <= MAX_SUM_ERROR
    log_loss = -np.log(np.clip(of_label[:, :, 0], CLIP, 1 - CLIP))
    found = np.stack([in_range, log_loss, *(places < top for top in tops)], axis=1)
    return np.concatenate([found, predictions.transpose(0, 2, 1)], axis=1, dtype=np.float64)
