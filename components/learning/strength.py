"""How well one feature alone tells the label: near 1 it is the label in disguise.

    strength = Strength.of(train_feature, train_label)     # learns a mean label for each value, or bin of values
    strength(eval_feature, eval_label)                     # AUC, or the share of explained variance

Of classes the labels are `[rows, classes]`, one of each row 1, and the strength is the share of explained variance: AUC
would take a feature that tells one class of many for the label.

Measured on other rows than learned from: an id that occurs once explains its own row only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.inference.ranking import auc

BINS = 256
ROWS_PER_BIN = 50
PRIOR_ROWS = 10.0
"""A value's mean label is pulled to that of all by so many rows, so that a rare one says little."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strength:
    edges: npt.NDArray[Any]
    """Values, or lower ends of bins, sorted."""
    means: Floats
    """`[edges, outcomes]`."""
    prior: Floats
    """`[outcomes]`."""
    exact: bool
    """Each edge is one value; any other value is unknown."""

    @classmethod
    def of(cls, values: npt.NDArray[Any], labels: Floats) -> Strength:
        """`values`: `[rows]`; `labels`: `[rows]`, or `[rows, classes]`."""
        outcomes = labels.reshape(len(labels), -1)
        prior = outcomes.mean(axis=0)
        edges, exact = np.unique(values), values.dtype.kind in "iub"
        if not exact:
            bins = max(1, min(BINS, len(values) // ROWS_PER_BIN))
            edges = np.unique(np.quantile(values, np.linspace(0, 1, bins, endpoint=False)))
        places = _places(edges, values)
        counts = np.bincount(places, minlength=len(edges))[:, None]
        sums = np.stack([np.bincount(places, weights=one, minlength=len(edges)) for one in outcomes.T], axis=1)
        return cls(edges, (sums + PRIOR_ROWS * prior) / (counts + PRIOR_ROWS), prior, exact)

    def __call__(self, values: npt.NDArray[Any], labels: Floats) -> float:
        """NaN where the labels do not differ."""
        places = _places(self.edges, values)
        scores = self.means[places]
        if self.exact:
            scores = np.where((self.edges[places] == values)[:, None], scores, self.prior)
        if labels.ndim == 1 and np.isin(labels, (0, 1)).all():
            found = auc(labels, scores[:, 0])
            return float("nan") if found is None else found
        return explained(scores.reshape(labels.shape), labels)


def _places(edges: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, None)


def explained(scores: Floats, labels: Floats) -> float:
    """Share of the labels' variance."""
    spread = float(np.square(labels - labels.mean(axis=0)).sum())
    return 1 - float(np.square(labels - scores).sum()) / spread if spread else float("nan")
