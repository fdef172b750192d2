"""Whether TensorFlow Model Analysis and our sums say the same of the same rows.

    found = disagreements(sums, theirs, slicings=slicings, models=models, metrics=metrics, min_rows=200)
    found[0]        # "champion auc of city=Berlin is 0.7312 here and 0.7501 by TensorFlow Model Analysis"

TFMA takes predictions of one ten-thousandth for equal: its AUC may be off by half of the pairs within.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from components.evaluation.metrics import OVERALL, Slice, aucs_of, histogram, read_table, slice_name
from components.evaluation.sums import Floats, Sums, predictions_of

TFMA_BINS = 10_000
TOLERANCE = 1e-3
"""Relative; of AUC absolute, beyond what its bins leave open. TFMA computes in float32."""

Metrics = Mapping[str, Mapping[str, float]]
"""Number by metric, by slice."""


def disagreements(
    sums: Sequence[Sums],
    theirs: Mapping[str, Metrics],
    *,
    slicings: Sequence[Sequence[str]],
    models: Sequence[str],
    metrics: Sequence[str],
    min_rows: int,
) -> list[str]:
    """One sentence each; slices of fewer than `min_rows` are left out. `theirs` is by model."""
    table = read_table(sums, slicings=slicings, models=models, metrics=metrics)
    open_pairs = _open_pairs(sums, slicings=slicings, models=models)
    aucs = aucs_of(metrics, sums[0].outputs)
    silent = [f"TensorFlow Model Analysis has no numbers of {model}" for model in models if not theirs[model]]
    large = {name: found for name, found in table.items() if name == OVERALL or found.rows >= min_rows}
    return silent + [
        f"{model} {metric} of {name} is {mine:.6g} here and {other:.6g} by TensorFlow Model Analysis"
        for name, found in large.items()
        for model in models
        for metric, mine, other in _pairs(found, theirs[model].get(name, {}), model)
        if not abs(mine - other) <= _tolerance(mine, open_pairs[name, model][aucs.get(metric, [])])
    ]


def _pairs(found: Slice, theirs: Mapping[str, float], model: str) -> Iterator[tuple[str, float, float]]:
    ours: Mapping[str, float] = getattr(found, model)
    yield from ((metric, ours[metric], theirs[metric]) for metric in ours if metric in theirs)


def _tolerance(value: float, open_pairs: Floats) -> float:
    """`open_pairs`: of the outputs whose AUC it is the mean of; none for another metric."""
    if len(open_pairs):
        return TOLERANCE + float(open_pairs.mean()) / 2
    return TOLERANCE * abs(value) + math.ulp(1.0)


def _open_pairs(
    sums: Sequence[Sums], *, slicings: Sequence[Sequence[str]], models: Sequence[str]
) -> dict[tuple[str, str], Floats]:
    """By slice and model, of each output: the share of pairs of both classes that one of TFMA's bins holds."""
    return {
        (slice_name(columns, key), name): np.array(
            [np.dot(*_shares(part, number, model * part.outputs + output)) for output in range(part.outputs)]
        )
        for columns, part in zip(slicings, sums, strict=True)
        for number, key in enumerate(part.keys)
        for model, name in enumerate(models)
    }


def _shares(sums: Sums, number: int, curve: int) -> tuple[Floats, Floats]:
    """Of the rows of label 0 and of label 1, by TFMA's bin."""
    negatives, positives = (
        np.bincount(np.int64(predictions_of(found.bins) * TFMA_BINS), found.counts, TFMA_BINS)
        for found in histogram(sums, number, curve)
    )
    return negatives / max(1, negatives.sum()), positives / max(1, positives.sum())
