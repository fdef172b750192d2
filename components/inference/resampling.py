"""The Poisson bootstrap over units: every resample gives each unit a Poisson(1) number of copies.

    found = bootstrap(sums, delta, seed=7)
    found.error, found.interval

Chamandy et al., "Estimating uncertainty for massive data streams" (2012). Memory is that of a block of units; one
resample after another would read the sums a thousand times.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.inference.off_policy import Estimator
from components.inference.units import CONFIDENCE, Floats, UnitSums

RESAMPLES = 1000
_BLOCK_UNITS = 4096
_DRAW_BITS = 16
"""Of a draw: a table of that many entries is a third of the time of an exact Poisson draw, and moves no probability by
more than 2**-17."""


class Resampled(NamedTuple):
    error: float
    interval: tuple[float, float]
    """Percentiles of the resampled estimates."""


def bootstrap(
    sums: UnitSums, estimator: Estimator, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Resampled:
    """NaN for fewer than two units."""
    totals = resampled_totals(sums.values, seed=seed, resamples=resamples)
    return summarise(totals if len(sums.units) > 1 else totals * np.nan, estimator, confidence=confidence)


def summarise(totals: Floats, estimator: Estimator, *, confidence: float = CONFIDENCE) -> Resampled:
    """Of `resampled_totals`: one set of resamples serves every estimator."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.real(estimator(totals.T))
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Resampled(float(np.std(found, ddof=1)), (float(low), float(high)))


def resampled_totals(values: Floats, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """`[resamples, columns]` of `values` `[units, columns]`."""
    random = np.random.Generator(np.random.SFC64(seed))
    totals = np.zeros((resamples, values.shape[1]))
    for start in range(0, len(values), _BLOCK_UNITS):
        block = values[start : start + _BLOCK_UNITS]
        drawn = random.integers(0, 1 << _DRAW_BITS, (resamples, len(block)), dtype=np.uint16)
        totals += _copies()[drawn] @ block
    return totals


@cache
def _copies() -> npt.NDArray[np.float64]:
    """The number of copies by draw: the quantile function of Poisson(1) at the middle of each cell."""
    cells = (np.arange(1 << _DRAW_BITS) + 0.5) / (1 << _DRAW_BITS)
    return np.asarray(stats.poisson.ppf(cells, 1.0), np.float64)
