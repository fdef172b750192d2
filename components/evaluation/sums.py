"""Sums over the rows of each slice, from which its metrics follow: exact, except for a histogram of predictions.

    merged = scored | Aggregate(SliceSums(["candidate", "champion"], slicings=[(), ("city",)]))
    merged[1].keys        # [(b"Berlin",), (b"Rome",)]: one `Sums` for each slicing

Bins of the histogram have equal widths in log-odds, so rare and common outcomes are resolved alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.aggregation import Kernel
from components.evaluation.scored import LABEL
from components.evaluation.slicing import Key, slice_rows

BINS = 1 << 16
MAX_LOG_ODDS = 18.5
SMALLEST = 1e-8
"""Predictions are binned between it and one minus it."""
CLIP = 1e-7
"""For the log loss, as Keras and TensorFlow Model Analysis have it."""

PREDICTION, LOG_LOSS, SQUARED, ABSOLUTE, IN_RANGE = range(5)
"""Last axis of `Sums.models`. `IN_RANGE` counts the predictions that are probabilities."""

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    keys: list[Key]
    """Sorted."""
    rows: Counts
    """`[slices]`."""
    labels: Floats
    """`[slices, 2]`: their sum, and how many are 0 or 1."""
    models: Floats
    """`[slices, models, 5]`."""
    places: Counts
    """`[cells]`, sorted: where in `[slices, models, 2, BINS]` the histogram is not zero; the third axis is the label."""
    counts: Counts
    """`[cells]`."""


class SliceSums(Kernel[pa.RecordBatch, list[Sums]]):
    def __init__(self, models: Sequence[str], slicings: Sequence[Sequence[str]]) -> None:
        self._models, self._slicings = list(models), [tuple(columns) for columns in slicings]

    def partial(self, element: pa.RecordBatch) -> list[Sums]:
        labels = element.column(LABEL).to_numpy().astype(np.float64)
        predictions = np.stack([element.column(name).to_numpy() for name in self._models]).astype(np.float64)
        values = per_row(labels, predictions)
        cells = bins_of(predictions) + BINS * (labels > 0.5)
        return [_sums(element, columns, labels, values, cells) for columns in self._slicings]

    def merge(self, partials: Sequence[list[Sums]]) -> list[Sums]:
        return [_merged(of_slicing) for of_slicing in zip(*partials, strict=True)]


def per_row(labels: Floats, predictions: Floats) -> Floats:
    """`[models, 5, rows]`."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    log_loss = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    errors = predictions - labels
    in_range = ((predictions >= 0) & (predictions <= 1)).astype(np.float64)
    return np.stack([predictions, log_loss, errors**2, np.abs(errors), in_range], axis=1)


def bins_of(predictions: Floats) -> Counts:
    """`[models, rows]`; what is no number is in the first bin, and no metric of the histogram counts there."""
    clipped = np.clip(np.nan_to_num(predictions), SMALLEST, 1 - SMALLEST)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    return np.asarray((log_odds + MAX_LOG_ODDS) * (BINS / (2 * MAX_LOG_ODDS)), np.int64)


def predictions_of(bins: Counts) -> Floats:
    """In the middle of each."""
    log_odds = (bins + 0.5) * (2 * MAX_LOG_ODDS / BINS) - MAX_LOG_ODDS
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float64)


def _sums(batch: pa.RecordBatch, columns: Sequence[str], labels: Floats, values: Floats, cells: Counts) -> Sums:
    keys, rows, slices = slice_rows(batch, columns)
    models = len(values)
    binary = (labels == 0) | (labels == 1)
    by_label = [_summed(column[rows], slices, len(keys)) for column in (labels, binary.astype(np.float64))]
    by_model = [_summed(column[rows], slices, len(keys)) for column in values.reshape(-1, len(labels))]
    places = (slices * models + np.arange(models)[:, None]) * 2 * BINS + cells[:, rows]
    places, counts = np.unique(places, return_counts=True)
    return Sums(
        keys=keys,
        rows=np.bincount(slices, minlength=len(keys)),
        labels=np.stack(by_label, axis=1),
        models=np.stack(by_model, axis=1).reshape(len(keys), models, -1),
        places=places,
        counts=counts,
    )


def _summed(values: Floats, slices: Counts, count: int) -> Floats:
    return np.asarray(np.bincount(slices, weights=values, minlength=count), np.float64)


def _merged(partials: Sequence[Sums]) -> Sums:
    keys = sorted({key for partial in partials for key in partial.keys})
    numbers = {key: number for number, key in enumerate(keys)}
    targets = [np.array([numbers[key] for key in partial.keys], np.int64) for partial in partials]
    first = partials[0]
    rows = np.zeros(len(keys), np.int64)
    labels, models = (np.zeros((len(keys), *part.shape[1:])) for part in (first.labels, first.models))
    for target, partial in zip(targets, partials, strict=True):
        rows[target] += partial.rows
        labels[target] += partial.labels
        models[target] += partial.models
    size = first.models.shape[1] * 2 * BINS
    moved = [
        target[partial.places // size] * size + partial.places % size
        for target, partial in zip(targets, partials, strict=True)
    ]
    places, inverse = np.unique(np.concatenate(moved), return_inverse=True)
    counts = np.zeros(len(places), np.int64)
    np.add.at(counts, inverse, np.concatenate([partial.counts for partial in partials]))
    return Sums(keys, rows, labels, models, places, counts)
