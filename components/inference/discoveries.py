"""Which of many slices differ, when so many were looked at: Benjamini and Hochberg (1995).

adjusted = adjust_p_values([0.001, 0.02, 0.8])
[p <= 0.05 for p in adjusted]            # of those found, 5 % are expected to be chance
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """In the same order; NaN (a slice of nothing) stays NaN and counts as no test."""
    given = np.asarray(p_values, np.float64)
    known = np.isfinite(given)
    if known.any():
        given[known] = stats.false_discovery_control(given[known], method="bh")
    return [float(each) for each in given]
