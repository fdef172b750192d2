"""How well scores rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


def auc(labels: Floats, scores: Floats) -> float | None:
    """The share of pairs of both classes in which the positive has the higher score; half a tie counts.

    Mann and Whitney, 1947. None for one class, or labels other than 0 and 1.
    """
    positive = labels == 1
    count, others = int(positive.sum()), int((labels == 0).sum())
    if not count or not others or count + others < len(labels):
        return None
    ranks = stats.rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
