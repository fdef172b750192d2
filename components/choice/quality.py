"""How good each model is on the same rows, and how sure that one is better than another.

    losses = per_row_losses(labels, predictions, metric="binary_crossentropy")      # [rows, models]
    quality = measure(names, [sum_losses(units, losses)])
    quality.loss["trees"], quality.difference("linear", "trees")                    # Estimate(value, error)

Rows of one unit, such as a user, are alike: the error of a difference is that of its sums by unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from components.inference.units import UnitSums, interval, merge_units, standard_errors, sum_by_unit
from pipelines.spec import Loss

CLIP = 1e-7
"""For the log loss, as the evaluation has it."""

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    value: float
    error: float
    """Its standard error; NaN for fewer than two units."""

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.value, self.error)


@dataclass(frozen=True)
class Quality:
    metric: Loss
    rows: int
    names: tuple[str, ...]
    means: Floats
    sums: UnitSums
    """Of the influences of the means, by unit."""

    def loss(self, name: str) -> Estimate:
        index = self.names.index(name)
        return self._estimate(np.eye(len(self.names))[index])

    def difference(self, name: str, other: str) -> Estimate:
        """Positive when `name` is worse."""
        weights = np.eye(len(self.names))
        return self._estimate(weights[self.names.index(name)] - weights[self.names.index(other)])

    def _estimate(self, weights: Floats) -> Estimate:
        error = standard_errors(UnitSums(self.sums.units, (self.sums.values @ weights)[:, None]))[0]
        return Estimate(float(self.means @ weights), float(error))


def per_row_losses(labels: Floats, predictions: Floats, *, metric: Loss) -> Floats:
    """`[rows, models]`, as `predictions`."""
    if metric == "binary_crossentropy":
        clipped = np.clip(predictions, CLIP, 1 - CLIP)
        return -(special.xlogy(labels[:, None], clipped) + special.xlog1py(1 - labels[:, None], -clipped))
    errors = predictions - labels[:, None]
    return np.asarray(np.square(errors) if metric == "mean_squared_error" else np.abs(errors), np.float64)


def sum_losses(units: npt.NDArray[np.uint64], losses: Floats) -> UnitSums:
    """By unit: the losses of each model, then the number of rows."""
    return sum_by_unit(units, np.column_stack([losses, np.ones(len(losses))]))


def measure(names: Sequence[str], parts: Sequence[UnitSums], *, metric: Loss) -> Quality:
    """`parts`: of `sum_losses`, of other rows each."""
    sums = merge_units(parts)
    rows = sums.values[:, -1].sum()
    means = sums.values[:, :-1].sum(axis=0) / rows
    influences = (sums.values[:, :-1] - sums.values[:, -1:] * means) / rows
    return Quality(metric, int(rows), tuple(names), means, UnitSums(sums.units, influences))
