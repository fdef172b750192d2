"""How each row moves the metrics of all rows: what their standard errors, by user, are made of.

    influence = Influence(overall, metrics=["auc", "calibration"])       # `overall`: the merged `Sums` of all rows
    influence(labels, predictions)                                       # [rows, metrics, models]

A row's influence on a mean is its distance from it, on a ratio that of its own parts (the delta method), on AUC the share
of the other class that it is ranked above or below (DeLong, DeLong and Clarke-Pearson, 1988); all divided by the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from components.evaluation.metrics import Histogram, histogram
from components.evaluation.sums import (
    ABSOLUTE,
    BINS,
    LOG_LOSS,
    PREDICTION,
    SQUARED,
    Counts,
    Floats,
    Sums,
    bins_of,
    per_row,
)

_MEANS = {
    "binary_crossentropy": LOG_LOSS,
    "mean_prediction": PREDICTION,
    "mean_squared_error": SQUARED,
    "mean_absolute_error": ABSOLUTE,
}


class Influence:
    def __init__(self, overall: Sums, *, metrics: Sequence[str]) -> None:
        """`overall` has one slice, of all rows."""
        self._metrics = list(metrics)
        self._rows = float(overall.rows[0])
        self._labels = float(overall.labels[0, 0])
        self._sums = overall.models[0]
        models = range(overall.models.shape[1])
        self._ranks = [_Ranks(*histogram(overall, 0, model)) for model in models] if "auc" in metrics else []

    def __call__(self, labels: Floats, predictions: Floats) -> Floats:
        """`[rows, metrics, models]`; `predictions`: `[models, rows]`. NaN where a metric is not defined."""
        values = per_row(labels, predictions)
        bins = bins_of(predictions) if self._ranks else np.zeros_like(predictions, np.int64)
        found = [
            [self._of(metric, model, labels, values[model], bins[model]) for model in range(len(predictions))]
            for metric in self._metrics
        ]
        return np.moveaxis(np.array(found), 2, 0)

    def _of(self, metric: str, model: int, labels: Floats, values: Floats, bins: Counts) -> Floats:
        if metric in _MEANS:
            value = _MEANS[metric]
            return (values[value] - self._sums[model, value] / self._rows) / self._rows
        return self._others()[metric](model, labels, values, bins)

    def _others(self) -> dict[str, Callable[[int, Floats, Floats, Counts], Floats]]:
        return {"auc": self._auc, "calibration": self._calibration, "mean_label": self._mean_label}

    def _mean_label(self, model: int, labels: Floats, values: Floats, bins: Counts) -> Floats:
        del model, values, bins
        return (labels - self._labels / self._rows) / self._rows

    def _calibration(self, model: int, labels: Floats, values: Floats, bins: Counts) -> Floats:
        del bins
        if not self._labels:
            return np.full(len(labels), np.nan)
        ratio = self._sums[model, PREDICTION] / self._labels
        return (values[PREDICTION] - ratio * labels) / self._labels

    def _auc(self, model: int, labels: Floats, values: Floats, bins: Counts) -> Floats:
        del values
        return self._ranks[model].influence(labels > 0.5, bins)


class _Ranks:
    """Where a prediction stands among those of each class."""

    def __init__(self, negatives: Histogram, positives: Histogram) -> None:
        self._below = [_share_below(negatives), _share_below(positives)]
        self._counts = [float(negatives.counts.sum()), float(positives.counts.sum())]
        self._auc = float(self._below[0][positives.bins] @ positives.counts) / max(self._counts[1], 1.0)

    def influence(self, is_positive: np.ndarray, bins: Counts) -> Floats:
        if not all(self._counts):
            return np.full(len(bins), np.nan)
        below_negatives, below_positives = (below[bins] for below in self._below)
        of_positives = (below_negatives - self._auc) / self._counts[1]
        of_negatives = (1 - below_positives - self._auc) / self._counts[0]
        return np.where(is_positive, of_positives, of_negatives)


def _share_below(found: Histogram) -> Floats:
    """`[BINS]`: the share of rows in lower bins, and half of those in the same one."""
    counts = np.bincount(found.bins, weights=found.counts, minlength=BINS)
    total = counts.sum()
    return (np.cumsum(counts) - counts / 2) / total if total else counts
