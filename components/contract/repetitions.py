"""Rows that are the same as an earlier row of the day, in 16 bytes a row.

    repetitions = Repetitions()
    repetitions.find(rows)      # mask over these rows; the next call knows them

A row is known by two 64-bit hashes over all its columns: among a billion rows the chance of one mistake is 1e-21.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.contract.values import Mask

Hashes = npt.NDArray[np.uint64]

_SEEDS = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)


class Repetitions:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._seen = _Seen()

    def find(self, rows: pa.Table) -> Mask:
        """`[rows]`: the same in all columns as a row before, here or in an earlier call. NaN equals NaN."""
        first, second = _hash_rows(rows)
        order = _sorted(first, second)
        first, second = first[order], second[order]
        again = np.zeros(rows.num_rows, bool)
        again[1:] = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
        again[~again] = self._seen.contains(first[~again], second[~again])
        self._seen.add(first[~again], second[~again])
        repeated = np.zeros(rows.num_rows, bool)
        repeated[order] = again
        return repeated


def _sorted(first: Hashes, second: Hashes) -> npt.NDArray[np.int64]:
    """Equal pairs in the order of the rows, which only a slower sort keeps."""
    order = np.argsort(first)
    ordered = first[order]
    return np.lexsort((second, first)) if (ordered[1:] == ordered[:-1]).any() else order


@dataclass
class _Seen:
    """Pairs in sorted runs, each at least twice as long as the next: few to search, and merged rarely."""

    runs: list[tuple[Hashes, Hashes]] = field(default_factory=list)

    def contains(self, first: Hashes, second: Hashes) -> Mask:
        found = np.zeros(len(first), bool)
        for run in self.runs:
            found |= _is_in(run, first, second)
        return found

    def add(self, first: Hashes, second: Hashes) -> None:
        while self.runs and len(self.runs[-1][0]) < 2 * len(first):
            first, second = _merged(self.runs.pop(), (first, second))
        if len(first):
            self.runs.append((first, second))


def _is_in(run: tuple[Hashes, Hashes], first: Hashes, second: Hashes) -> Mask:
    place = np.searchsorted(run[0], first)
    found = np.zeros(len(first), bool)
    # More than one step only where two of the first hashes are equal and the second ones are not.
    while True:
        inside = np.minimum(place, len(run[0]) - 1)
        candidates = (place < len(run[0])) & (run[0][inside] == first) & ~found
        if not candidates.any():
            return found
        found |= candidates & (run[1][inside] == second)
        place = place + 1


def _merged(one: tuple[Hashes, Hashes], other: tuple[Hashes, Hashes]) -> tuple[Hashes, Hashes]:
    """Not by sorting both, whose order alone would take half as much memory as all pairs."""
    place = np.searchsorted(one[0], other[0]) + np.arange(len(other[0]))
    is_other = np.zeros(len(one[0]) + len(other[0]), bool)
    is_other[place] = True
    return _woven(one[0], other[0], is_other), _woven(one[1], other[1], is_other)


def _woven(one: Hashes, other: Hashes, is_other: Mask) -> Hashes:
    woven = np.empty(len(is_other), np.uint64)
    woven[is_other] = other
    woven[~is_other] = one
    return woven


def _hash_rows(rows: pa.Table) -> tuple[Hashes, Hashes]:
    frame = pl.from_arrow(rows.rename_columns([f"c{number}" for number in range(rows.num_columns)]))
    assert isinstance(frame, pl.DataFrame)
    first, second = (frame.hash_rows(seed).to_numpy() for seed in _SEEDS)
    return first, second
