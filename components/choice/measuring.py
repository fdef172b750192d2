"""What each model costs and how well it predicts the eval split, as the evaluation scores it.

quality = score(scoring, groups, metric=None)          # of the models in `scoring`, by name
latency = measure_latency(path, rows)                  # {1: 0.0004, 256: 0.0021} seconds
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from components.choice.quality import Quality, measure, per_row_losses, sum_losses
from components.evaluation.scored import LABEL, UNIT
from components.evaluation.scoring import Score, Scoring, load_model
from components.examples.records import RowGroup, read, serialize
from components.inference.ranking import auc
from pipelines.errors import DataError
from pipelines.spec import Loss

BATCHES = (1, 256)
CALLS, CALLS_SECS = 30, 0.4
"""Of each batch: at most so many, in at most so long."""


class Scored(NamedTuple):
    quality: Quality
    auc: dict[str, float | None]


def score(scoring: Scoring, groups: Sequence[RowGroup], *, metric: Loss | None) -> Scored:
    """Every model on every row.

    Args:
        scoring: with a `unit`.
        metric: by default the log loss for labels 0 and 1, else the squared error.

    Raises:
        DataError: there are no rows.
    """
    if not sum(group.row_count for group in groups):
        raise DataError(
            "models are compared on the eval split, which has no rows", fix="check the day's rows and `data.splits`"
        )
    scorer, names = Score(scoring), list(scoring.models)
    scorer.setup()
    batches = [scorer.score(read(group, encoded=True)) for group in groups if group.row_count]
    labels = _column(batches, LABEL)
    predictions = np.column_stack([_column(batches, name) for name in names])
    metric = metric or ("binary_crossentropy" if np.isin(labels, (0, 1)).all() else "mean_squared_error")
    units = np.concatenate([batch.column(UNIT).to_numpy() for batch in batches])
    sums = sum_losses(units, per_row_losses(labels, predictions, metric=metric))
    by_name = zip(names, predictions.T, strict=True)
    return Scored(measure(names, [sums], metric=metric), {name: auc(labels, found) for name, found in by_name})


def measure_latency(path: Path, group: RowGroup) -> dict[int, float]:
    """Median seconds of a call in this process, by rows of the batch."""
    serve = load_model(path).serve
    rows = serialize(read(group).slice(0, max(BATCHES)))
    rows = (rows * (max(BATCHES) // len(rows) + 1))[: max(BATCHES)]
    return {size: _median_secs(serve, tf.constant(rows[:size])) for size in BATCHES}


def model_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _median_secs(serve: Any, examples: Any) -> float:
    serve(examples=examples)  # the first call compiles
    seconds: list[float] = []
    while len(seconds) < CALLS and sum(seconds) < CALLS_SECS:
        started = time.perf_counter()
        serve(examples=examples)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def _column(batches: Sequence[pa.RecordBatch], name: str) -> npt.NDArray[np.float64]:
    return np.concatenate([batch.column(name).to_numpy() for batch in batches]).astype(np.float64)
