"""Standard errors when the rows of one unit, such as a user, are alike: the delta method over sums by unit.

    sums = merge_units([sum_by_unit(units, influences) for units, influences in batches])
    errors = standard_errors(sums)                          # [values]
    low, high = interval(estimate, errors[0])

An influence says how an estimate moves with one row: over all rows they sum to zero, and the variance of the estimate is
that of their sums by unit (Deng, Knoblich and Lu, 2018, arXiv 1803.06336).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95


class UnitSums(NamedTuple):
    units: npt.NDArray[np.uint64]
    """Sorted, each once."""
    values: Floats
    """`[units, values]`."""


def sum_by_unit(units: npt.NDArray[np.uint64], values: Floats) -> UnitSums:
    """`units`: `[rows]`; `values`: `[rows, values]`."""
    found, places = np.unique(units, return_inverse=True)
    sums = [np.bincount(places, weights=column, minlength=len(found)) for column in values.T]
    return UnitSums(found, np.stack(sums, axis=1) if sums else np.zeros((len(found), 0)))


def merge_units(parts: Sequence[UnitSums]) -> UnitSums:
    """Sums of the same values, of other rows."""
    return sum_by_unit(np.concatenate([part.units for part in parts]), np.concatenate([part.values for part in parts]))


def standard_errors(sums: UnitSums) -> Floats:
    """`[values]`; NaN for fewer than two units, of which nobody knows how much they differ."""
    count = len(sums.units)
    if count < 2:
        return np.full(sums.values.shape[1], np.nan)
    centred = sums.values - sums.values.mean(axis=0)
    return np.asarray(np.sqrt(count / (count - 1) * np.square(centred).sum(axis=0)), np.float64)


def interval(estimate: float, error: float, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided and normal."""
    width = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return estimate - width, estimate + width
