"""What a baseline learns from: a split of transformed examples as arrays.

lesson = read_lesson(Rows(folder / "train"), label="clicked", weight=None, max_rows=200_000, seed=1)
lesson.arrays["price"], lesson.labels, lesson.is_binary
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.baselines.features import Arrays, Features
from components.training.rows import Rows
from pipelines.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    arrays: Arrays
    features: Features
    labels: Floats
    weights: Floats
    """Their mean is 1."""

    @property
    def is_binary(self) -> bool:
        return bool(np.isin(self.labels, (0, 1)).all())

    @property
    def mean_label(self) -> float:
        return float(np.average(self.labels, weights=self.weights))

    @property
    def has_one_label(self) -> bool:
        return bool((self.labels == self.labels[0]).all())


def read_lesson(rows: Rows, *, label: str, weight: str | None, max_rows: int, seed: int) -> Lesson:
    """At most `max_rows`, in their order.

    Raises:
        DataError: labels or weights are no numbers, or no row weighs anything.
    """
    count = len(rows)
    taken = np.arange(count)
    if count > max_rows:
        taken = np.sort(np.random.default_rng(seed).choice(count, max_rows, replace=False))
    floats, ints = rows.take(taken)
    arrays = {}
    for name, column in rows.columns.items():
        matrix = floats if column.kind == "float32" else ints
        arrays[name] = matrix[:, column.offset : column.offset + column.width]
    labels = arrays.pop(label)[:, 0].astype(np.float64)
    weights = arrays.pop(weight)[:, 0].astype(np.float64) if weight else np.ones(len(labels))
    if not np.isfinite(labels).all() or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        raise DataError(
            f"labels must be finite, and weights at least 0 with one above. Received: labels of {label!r}"
            f" from {labels.min()} to {labels.max()}, weights from {weights.min()} to {weights.max()}",
            fix="correct the label or the weight in features.py, or send such rows to quarantine in the contract",
        )
    return Lesson(arrays, Features.of(arrays), labels, weights / weights.mean())
