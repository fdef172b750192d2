"""How each row moves the AUC of its slices: DeLong, DeLong and Clarke-Pearson (1988), from histograms.

    ranks = Ranks(sums, chosen=[np.array([0]), np.array([4, 7])])      # of the slices of each slicing that count
    ranks.influence(slices, labels, bins)                             # [rows]; `slices` in the order of `chosen`

A positive row moves AUC by the share of negatives below it, less AUC; a negative one by the share of positives above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.evaluation.sums import BINS, Counts, Floats, Sums

_COARSER = 64
"""Bins joined into one: errors need no more than ranks to within 0.04 in log-odds, and tables of slices stay small."""
COARSE = BINS // _COARSER


class Ranks:
    def __init__(self, sums: Sequence[Sums], *, chosen: Sequence[Counts]) -> None:
        """`chosen`: for each of `sums`, the numbers of its slices that have a place here."""
        tables = [_influences(_histograms(part, slices)) for part, slices in zip(sums, chosen, strict=True)]
        self._table = np.concatenate(tables).astype(np.float32)

    def influence(self, slices: Counts, curve: int, is_positive: Counts, bins: Counts) -> Floats:
        """`[rows]`; NaN where the slice has one class only."""
        return np.asarray(self._table[slices, curve, is_positive, bins // _COARSER], np.float64)


def _histograms(sums: Sums, chosen: Counts) -> Floats:
    """`[chosen, curves, 2, COARSE]`."""
    places = np.full(len(sums.keys), -1)
    places[chosen] = np.arange(len(chosen))
    sizes = sums.curves * 2 * BINS
    slices = places[sums.places // sizes]
    kept = slices >= 0
    cells = (slices[kept] * sizes + sums.places[kept] % sizes) // _COARSER
    counts = np.bincount(cells, weights=sums.counts[kept], minlength=len(chosen) * sums.curves * 2 * COARSE)
    return np.asarray(counts, np.float64).reshape(len(chosen), sums.curves, 2, COARSE)


def _influences(counts: Floats) -> Floats:
    """As `counts`, whose third axis is the label."""
    totals = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = (np.cumsum(counts, axis=-1) - counts / 2) / totals
        negatives, positives = below[:, :, 0], below[:, :, 1]
        auc = (negatives * counts[:, :, 1]).sum(axis=-1, keepdims=True) / totals[:, :, 1]
        return np.stack([(1 - positives - auc) / totals[:, :, 0], (negatives - auc) / totals[:, :, 1]], axis=2)
