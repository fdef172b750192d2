"""Metrics by their names in the spec, from sums.

table = read_table(sums, slicings=[(), ("city",)], models=["candidate", "champion"])
table[OVERALL].candidate["auc"], table["city=Berlin"].rows
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from components.evaluation.slicing import Key
from components.evaluation.sums import (
    ABSOLUTE,
    BINS,
    IN_RANGE,
    LOG_LOSS,
    PREDICTION,
    SQUARED,
    Counts,
    Sums,
    predictions_of,
)
from pipelines.spec import Metric

CANDIDATE, CHAMPION = "candidate", "champion"
OVERALL = "overall"
METRICS: tuple[Metric, ...] = get_args(Metric)
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


class Histogram(NamedTuple):
    """Bins that have rows, in order."""

    bins: Counts
    counts: Counts


@dataclass(frozen=True)
class Slice:
    """One slice's metrics; a metric that is not defined there (AUC of one class) is left out."""

    rows: int = 0
    candidate: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)


def read_table(
    sums: Sequence[Sums], *, slicings: Sequence[Sequence[str]], models: Sequence[str], metrics: Sequence[str] = METRICS
) -> dict[str, Slice]:
    """Metrics by slice (`overall`, `city=Berlin`, `city=Berlin, hour=3`), the overall slice first, then the largest."""
    table: dict[str, Slice] = {}
    for columns, of_slicing in zip(slicings, sums, strict=True):
        for number, key in enumerate(of_slicing.keys):
            found = {name: _metrics(of_slicing, number, model, metrics) for model, name in enumerate(models)}
            table[slice_name(columns, key)] = Slice(rows=int(of_slicing.rows[number]), **found)
    overall = table.pop(OVERALL, Slice())
    return {OVERALL: overall, **{name: table[name] for name in sorted(table, key=lambda key: (-table[key].rows, key))}}


def slice_name(columns: Sequence[str], key: Key) -> str:
    texts = [value.decode(errors="backslashreplace") for value in key]
    return ", ".join(f"{column}={text}" for column, text in zip(columns, texts, strict=True)) or OVERALL


def read_calibration(sums: Sums, models: Sequence[str]) -> dict[str, list[tuple[float, float, float]]]:
    """(mean prediction, mean label, rows) of the bins that have rows, by model, of the first slice."""
    curves = {}
    for model, name in enumerate(models):
        negatives, positives = (np.bincount(found.bins, found.counts, BINS) for found in histogram(sums, 0, model))
        bins = np.flatnonzero(negatives + positives)
        counts = (negatives + positives)[bins]
        curves[name] = list(zip(predictions_of(bins), positives[bins] / counts, counts, strict=True))
    return curves


def _metrics(sums: Sums, number: int, model: int, wanted: Sequence[str]) -> dict[str, float]:
    rows, [labels, binary], values = sums.rows[number], sums.labels[number], sums.models[number, model]
    are_probabilities = values[IN_RANGE] == rows
    found = {
        "auc": _auc(*histogram(sums, number, model)) if are_probabilities and binary == rows else math.nan,
        "binary_crossentropy": values[LOG_LOSS] / rows if are_probabilities else math.nan,
        "calibration": values[PREDICTION] / labels if labels else math.nan,
        "mean_label": labels / rows,
        "mean_prediction": values[PREDICTION] / rows,
        "mean_squared_error": values[SQUARED] / rows,
        "mean_absolute_error": values[ABSOLUTE] / rows,
    }
    return {name: float(found[name]) for name in wanted if math.isfinite(found[name])}


def _auc(negatives: Histogram, positives: Histogram) -> float:
    """The share of pairs of both classes in which the positive has the higher prediction.

    Rows of one bin are ties, of which half count. NaN where a class has no row.
    """
    until = np.concatenate([[0.0], np.cumsum(negatives.counts)])
    below, up_to = (until[np.searchsorted(negatives.bins, positives.bins, side=side)] for side in SIDES)
    pairs = until[-1] * float(positives.counts.sum())
    return float(positives.counts @ (below + up_to) / 2) / pairs if pairs else math.nan


def histogram(sums: Sums, number: int, model: int) -> tuple[Histogram, Histogram]:
    """Of the rows of label 0 and of label 1."""
    first = (number * sums.models.shape[1] + model) * 2 * BINS
    start, middle, stop = np.searchsorted(sums.places, (first, first + BINS, first + 2 * BINS))
    return (
        Histogram(sums.places[start:middle] - first, sums.counts[start:middle]),
        Histogram(sums.places[middle:stop] - first - BINS, sums.counts[middle:stop]),
    )
