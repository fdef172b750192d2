"""Sums over the rows of each slice, from which its metrics follow: exact, except for a histogram of predictions.

    merged = scored | Aggregate(SliceSums(["candidate", "champion"], slicings=[(), ("city",)]))
    merged[1].keys        # [(b"Berlin",), (b"Rome",)]: one `Sums` for each slicing

Bins of the histogram have equal widths in log-odds, so rare and common outcomes are resolved alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.aggregation import Kernel
from components.evaluation import classes
from components.evaluation.classes import CLIP
from components.evaluation.scored import labels_of, predictions_of_models
from components.evaluation.slicing import Key, slice_rows

BINS = 1 << 16
MAX_LOG_ODDS = 18.5
SMALLEST = 1e-8
"""Predictions are binned between it and one minus it."""
AT_ONCE = 1 << 20
"""Predictions of a model: of many classes they take more memory than the rows."""

PREDICTION, LOG_LOSS, SQUARED, ABSOLUTE, IN_RANGE = range(5)
"""Last axis of `Sums.models`. `IN_RANGE` counts the predictions that are probabilities.

For each threshold two more: the predictions above it, and those of them with label 1."""
PER_PREDICTION = IN_RANGE + 1
LABEL, BINARY, LABEL_SQUARED = range(3)
"""Last axis of `Sums.labels`. `BINARY` counts the labels that are 0 or 1."""

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    keys: list[Key]
    """Sorted."""
    rows: Counts
    """`[slices]`."""
    labels: Floats
    """`[slices, 3]`; of several classes as `classes.per_label`."""
    models: Floats
    """`[slices, models, 5 + 2 thresholds]`; of several classes as `classes.per_row`."""
    curves: int
    """One for each model, or each model and class."""
    places: Counts
    """`[cells]`, sorted: where in `[slices, curves, 2, BINS]` the histogram is not zero; the third axis is the label."""
    counts: Counts
    """`[cells]`."""

    @property
    def outputs(self) -> int:
        return self.curves // self.models.shape[1]


class SliceSums(Kernel[pa.RecordBatch, list[Sums]]):
    def __init__(
        self, models: Sequence[str], slicings: Sequence[Sequence[str]], *, thresholds: Sequence[float] = ()
    ) -> None:
        """`thresholds`: of `precision@0.5` and the like; of several classes the numbers of `accuracy@3`."""
        self._models, self._slicings = list(models), [tuple(columns) for columns in slicings]
        self._thresholds = list(thresholds)

    def partial(self, element: pa.RecordBatch) -> list[Sums]:
        parts = [self._partial(part) for part in in_parts(element, self._models[0])]
        return parts[0] if len(parts) == 1 else self.merge(parts)

    def _partial(self, part: pa.RecordBatch) -> list[Sums]:
        rows = measure_rows(part, self._models, self._thresholds)
        cells = rows.bins + BINS * rows.positive
        return [_sums(part, columns, rows, cells) for columns in self._slicings]

    def merge(self, partials: Sequence[list[Sums]]) -> list[Sums]:
        return [_merged(of_slicing) for of_slicing in zip(*partials, strict=True)]


class Measured(NamedTuple):
    """What each row adds."""

    labels: Floats
    """`[labels, rows]`, first axis as the last of `Sums.labels`."""
    models: Floats
    """`[models, values, rows]`, second axis as the last of `Sums.models`."""
    bins: Counts
    """`[curves, rows]`."""
    positive: Counts
    """`[curves, rows]`: 1 for a label of 1, or of the curve's class."""


def measure_rows(batch: pa.RecordBatch, models: Sequence[str], thresholds: Sequence[float]) -> Measured:
    labels, predictions = labels_of(batch), predictions_of_models(batch, models)
    if predictions.ndim == 2:
        positive = np.broadcast_to(np.int64(labels > 0.5), predictions.shape)
        return Measured(per_label(labels), per_row(labels, predictions, thresholds), bins_of(predictions), positive)
    count = predictions.shape[2]
    by_curve = predictions.transpose(0, 2, 1).reshape(-1, len(labels))
    one_of_each = classes.per_label(labels, count)
    return Measured(
        one_of_each,
        classes.per_row(labels, predictions, thresholds),
        bins_of(by_curve),
        np.tile(np.int64(one_of_each[1:]), (len(models), 1)),
    )


def in_parts(batch: pa.RecordBatch, model: str) -> list[pa.RecordBatch]:
    """The rows in order, so many at once that their predictions take little memory; at least one part."""
    kind = batch.schema.field(model).type
    rows = AT_ONCE // (kind.list_size if pa.types.is_fixed_size_list(kind) else 1)
    return [batch.slice(start, rows) for start in range(0, max(1, batch.num_rows), rows)]


def per_label(labels: Floats) -> Floats:
    """`[3, rows]`."""
    binary = ((labels == 0) | (labels == 1)).astype(np.float64)
    return np.stack([labels, binary, labels**2])


def per_row(labels: Floats, predictions: Floats, thresholds: Sequence[float] = ()) -> Floats:
    """`[models, 5 + 2 thresholds, rows]`."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    log_loss = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    errors = predictions - labels
    found = [predictions, log_loss, errors**2, np.abs(errors), (predictions >= 0) & (predictions <= 1)]
    for threshold in thresholds:
        above = predictions > threshold
        found += [above, above & (labels == 1)]
    return np.stack(found, axis=1, dtype=np.float64)


def bins_of(predictions: Floats) -> Counts:
    """`[curves, rows]`; what is no number is in the first bin, and no metric of the histogram counts there."""
    clipped = np.clip(np.nan_to_num(predictions), SMALLEST, 1 - SMALLEST)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    return np.asarray((log_odds + MAX_LOG_ODDS) * (BINS / (2 * MAX_LOG_ODDS)), np.int64)


def predictions_of(bins: Counts) -> Floats:
    """In the middle of each."""
    log_odds = (bins + 0.5) * (2 * MAX_LOG_ODDS / BINS) - MAX_LOG_ODDS
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float64)


def _sums(batch: pa.RecordBatch, columns: Sequence[str], found: Measured, cells: Counts) -> Sums:
    keys, rows, slices = slice_rows(batch, columns)
    models, curves = len(found.models), len(cells)
    by_label = [_summed(column[rows], slices, len(keys)) for column in found.labels]
    by_model = [_summed(column[rows], slices, len(keys)) for column in found.models.reshape(-1, batch.num_rows)]
    places = (slices * curves + np.arange(curves)[:, None]) * 2 * BINS + cells[:, rows]
    places, counts = np.unique(places, return_counts=True)
    return Sums(
        keys=keys,
        rows=np.bincount(slices, minlength=len(keys)),
        labels=np.stack(by_label, axis=1),
        models=np.stack(by_model, axis=1).reshape(len(keys), models, -1),
        curves=curves,
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
    size = first.curves * 2 * BINS
    moved = [
        target[partial.places // size] * size + partial.places % size
        for target, partial in zip(targets, partials, strict=True)
    ]
    places, inverse = np.unique(np.concatenate(moved), return_inverse=True)
    counts = np.zeros(len(places), np.int64)
    np.add.at(counts, inverse, np.concatenate([partial.counts for partial in partials]))
    return Sums(keys, rows, labels, models, first.curves, places, counts)
