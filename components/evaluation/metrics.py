"""Metrics by their names in the spec, from sums.

    table = read_table(sums, slicings=[(), ("city",)], models=["candidate", "champion"], metrics=["auc", "recall@0.5"])
    table[OVERALL].candidate["auc"], table["city=Berlin"].rows

All but AUC are ratios of sums (some of a function of one), so that their influences follow from the same sums by unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from components.evaluation import classes
from components.evaluation.slicing import Key
from components.evaluation.sums import (
    ABSOLUTE,
    BINARY,
    BINS,
    IN_RANGE,
    LABEL,
    LABEL_SQUARED,
    LOG_LOSS,
    PER_PREDICTION,
    PREDICTION,
    SQUARED,
    Counts,
    Floats,
    Sums,
    predictions_of,
)
from pipelines.spec import METRICS, number_of, threshold_of

CANDIDATE, CHAMPION = "candidate", "champion"
OVERALL = "overall"
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
_MEANS = {
    "binary_crossentropy": LOG_LOSS,
    "mean_prediction": PREDICTION,
    "mean_squared_error": SQUARED,
    "mean_absolute_error": ABSOLUTE,
    "root_mean_squared_error": SQUARED,
}
_OF_PROBABILITIES = ("auc", "binary_crossentropy")
_OF_CLASSES = ("auc", "precision", "recall")


class Histogram(NamedTuple):
    """Bins that have rows, in order."""

    bins: Counts
    counts: Counts


class Totals(NamedTuple):
    """What one model's metrics are ratios of: numbers for a slice, or arrays of one for each unit."""

    rows: Any
    labels: Any
    """First axis as the last of `Sums.labels`."""
    model: Any
    """First axis as the last of `Sums.models`."""


@dataclass(frozen=True)
class Slice:
    """One slice's metrics; a metric that is not defined there (AUC of one class) is left out."""

    rows: int = 0
    candidate: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    """That it is a slice by."""

    @property
    def change(self) -> dict[str, float]:
        """Candidate minus champion."""
        return {name: value - self.champion[name] for name, value in self.candidate.items() if name in self.champion}


def thresholds_of(metrics: Sequence[str]) -> list[float]:
    """Those of `precision@0.5` and the like, and the numbers of `accuracy@3`; sorted, each once."""
    return sorted({found for name in metrics if (found := _counted_at(name)) is not None})


def _counted_at(metric: str) -> float | None:
    numbered = number_of(metric)
    return numbered[1] if numbered and numbered[0] == "accuracy" else threshold_of(metric)


def aucs_of(metrics: Sequence[str], outputs: int) -> dict[str, list[int]]:
    """By metric the outputs whose AUC it is the mean of, each against the rest."""
    found = {"auc": [0], "macro_auc": list(range(outputs))}
    found |= {f"auc@{number}": [number] for number in range(outputs)}
    return {name: found[name] for name in metrics if name in found}


def read_table(
    sums: Sequence[Sums], *, slicings: Sequence[Sequence[str]], models: Sequence[str], metrics: Sequence[str] = METRICS
) -> dict[str, Slice]:
    """Metrics by slice (`overall`, `city=Berlin`, `city=Berlin, hour=3`), the overall slice first, then the largest."""
    table: dict[str, Slice] = {}
    for columns, of_slicing in zip(slicings, sums, strict=True):
        for number, key in enumerate(of_slicing.keys):
            found = {name: _metrics(of_slicing, number, model, metrics) for model, name in enumerate(models)}
            table[slice_name(columns, key)] = Slice(rows=int(of_slicing.rows[number]), columns=tuple(columns), **found)
    overall = table.pop(OVERALL, Slice())
    return {OVERALL: overall, **{name: table[name] for name in sorted(table, key=lambda key: (-table[key].rows, key))}}


def slice_name(columns: Sequence[str], key: Key) -> str:
    texts = [value.decode(errors="backslashreplace") for value in key]
    return ", ".join(f"{column}={text}" for column, text in zip(columns, texts, strict=True)) or OVERALL


def read_calibration(sums: Sums, models: Sequence[str]) -> dict[str, list[tuple[float, float, float]]]:
    """(mean prediction, mean label, rows) of the bins that have rows, by model, of the first slice."""
    curves = {}
    for model, name in enumerate(models):
        negatives, positives = _dense(sums, model)
        bins = np.flatnonzero(negatives + positives)
        counts = (negatives + positives)[bins]
        curves[name] = list(zip(predictions_of(bins), positives[bins] / counts, counts, strict=True))
    return curves


class ClassShare(NamedTuple):
    """Of one class against the rest, for one model."""

    label: float
    """Share of the rows with this label, ..."""
    prediction: float
    """... and its mean probability."""
    auc: float
    """NaN where the class has no row, or no other has."""


def read_classes(sums: Sums, models: Sequence[str]) -> dict[str, list[ClassShare]]:
    """In the order of classes, by model, of the first slice."""
    rows, labels = sums.rows[0], sums.labels[0, classes.IN_CLASSES + 1 :]
    found = {}
    for model, name in enumerate(models):
        predictions = sums.models[0, model, -sums.outputs :]
        aucs = [_auc(*histogram(sums, 0, model * sums.outputs + output)) for output in range(sums.outputs)]
        found[name] = [ClassShare(*each) for each in zip(labels / rows, predictions / rows, aucs, strict=True)]
    return found


def read_roc(sums: Sums, models: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
    """False and true positive rates by falling threshold, by model, of the first slice; none without both classes."""
    curves = {}
    for model, name in enumerate(models):
        rates = [np.concatenate([[0.0], np.cumsum(counts[::-1])]) for counts in _dense(sums, model)]
        if all(rate[-1] for rate in rates):
            curves[name] = (rates[0] / rates[0][-1], rates[1] / rates[1][-1])
    return curves


def ratio(metric: str, of: Totals, whole: Totals, thresholds: Sequence[float]) -> tuple[Any, Any]:
    """Numerator and denominator, linear in `of`; `whole` is the slice itself, whose mean R squared is about."""
    if metric == "categorical_crossentropy":
        return of.model[classes.LOG_LOSS], of.rows
    if (numbered := number_of(metric)) is not None:
        name, number = numbered
        if name == "accuracy":
            return of.model[classes.PER_PREDICTION + list(thresholds).index(number)], of.rows
        place = classes.PER_PREDICTION + len(thresholds) + number
        return of.model[place], of.labels[classes.IN_CLASSES + 1 + number]
    if (threshold := threshold_of(metric)) is not None:
        place = PER_PREDICTION + 2 * list(thresholds).index(threshold)
        return of.model[place + 1], of.model[place] if metric.startswith("precision") else of.labels[LABEL]
    if metric in _MEANS:
        return of.model[_MEANS[metric]], of.rows
    if metric == "calibration":
        return of.model[PREDICTION], of.labels[LABEL]
    if metric == "mean_label":
        return of.labels[LABEL], of.rows
    mean = whole.labels[LABEL] / whole.rows
    return of.model[SQUARED], of.labels[LABEL_SQUARED] - 2 * mean * of.labels[LABEL] + mean**2 * of.rows


def value_of(metric: str, found: float) -> tuple[float, float]:
    """The metric, from its ratio, and how fast it moves with it."""
    if metric == "r_squared":
        return 1 - found, -1.0
    if metric == "root_mean_squared_error":
        root = math.sqrt(found)
        return root, 0.5 / root if root else 0.0
    return found, 1.0


def _metrics(sums: Sums, number: int, model: int, wanted: Sequence[str]) -> dict[str, float]:
    totals = Totals(sums.rows[number], sums.labels[number], sums.models[number, model])
    first, aucs, thresholds = model * sums.outputs, aucs_of(wanted, sums.outputs), thresholds_of(wanted)
    found = {}
    for name in filter(_defined(totals, sums.outputs), wanted):
        if name in aucs:
            value = float(np.mean([_auc(*histogram(sums, number, first + output)) for output in aucs[name]]))
        else:
            value = _value(name, totals, thresholds)
        if math.isfinite(value):
            found[name] = value
    return found


def _defined(totals: Totals, outputs: int) -> Callable[[str], bool]:
    """Whether labels and predictions are what a metric is of."""
    if outputs > 1:
        of_classes = totals.labels[classes.IN_CLASSES] == totals.model[classes.IN_RANGE] == totals.rows
        return lambda name: bool(of_classes)
    probabilities, binary = (part == totals.rows for part in (totals.model[IN_RANGE], totals.labels[BINARY]))

    def is_defined(name: str) -> bool:
        kind = name.partition("@")[0]
        return bool((kind not in _OF_PROBABILITIES or probabilities) and (kind not in _OF_CLASSES or binary))

    return is_defined


def _value(metric: str, totals: Totals, thresholds: Sequence[float]) -> float:
    numerator, denominator = ratio(metric, totals, totals, thresholds)
    # The spread of labels that are all alike is what rounding leaves.
    least = 1e-9 * totals.labels[LABEL_SQUARED] if metric == "r_squared" else 0.0
    return value_of(metric, float(numerator / denominator))[0] if abs(denominator) > least else math.nan


def _auc(negatives: Histogram, positives: Histogram) -> float:
    """The share of pairs of both classes in which the positive has the higher prediction.

    Rows of one bin are ties, of which half count. NaN where a class has no row.
    """
    until = np.concatenate([[0.0], np.cumsum(negatives.counts)])
    below, up_to = (until[np.searchsorted(negatives.bins, positives.bins, side=side)] for side in SIDES)
    pairs = until[-1] * float(positives.counts.sum())
    return float(positives.counts @ (below + up_to) / 2) / pairs if pairs else math.nan


def histogram(sums: Sums, number: int, curve: int) -> tuple[Histogram, Histogram]:
    """Of the rows of label 0 and of label 1, or of another class and of the curve's."""
    first = (number * sums.curves + curve) * 2 * BINS
    start, middle, stop = np.searchsorted(sums.places, (first, first + BINS, first + 2 * BINS))
    return (
        Histogram(sums.places[start:middle] - first, sums.counts[start:middle]),
        Histogram(sums.places[middle:stop] - first - BINS, sums.counts[middle:stop]),
    )


def _dense(sums: Sums, model: int) -> list[Floats]:
    """`[BINS]` of label 0 and of label 1, of the first slice."""
    return [np.bincount(found.bins, found.counts, BINS).astype(np.float64) for found in histogram(sums, 0, model)]
