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
import pyarrow.compute as pc

from components.contract.columns import is_list, is_text
from components.contract.values import Mask

Hashes = npt.NDArray[np.uint64]

_SEEDS = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)
_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_NULL = np.uint64(0x2545F4914F6CDD1D)


class Repetitions:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._seen = _Seen()

    def find(self, rows: pa.Table) -> Mask:
        """`[rows]`: the same in all columns as a row before, here or in an earlier call. NaN equals NaN."""
        first, second = (_hash_rows(rows, np.uint64(seed)) for seed in _SEEDS)
        order = np.lexsort((second, first))
        first, second = first[order], second[order]
        again = np.zeros(rows.num_rows, bool)
        again[1:] = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
        again[~again] = self._seen.contains(first[~again], second[~again])
        self._seen.add(first[~again], second[~again])
        repeated = np.zeros(rows.num_rows, bool)
        repeated[order] = again
        return repeated


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
    first = np.concatenate([one[0], other[0]])
    order = np.argsort(first, kind="stable")  # which merges two sorted runs in one pass
    return first[order], np.concatenate([one[1], other[1]])[order]


def _hash_rows(rows: pa.Table, seed: np.uint64) -> Hashes:
    hashes = np.full(rows.num_rows, seed, np.uint64)
    for column in rows.columns:
        hashes *= _MULTIPLIER
        hashes += hash_values(column.combine_chunks(), seed)
    return hashes


def hash_values(column: pa.Array, seed: np.uint64) -> Hashes:
    """`[rows]`: equal for equal values. Numbers of 64 bits are told apart without exception."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), _NULL, np.uint64)
    if pa.types.is_dictionary(kind):
        hashes = _hash_filled(hash_values(column.dictionary, seed), column.indices)
    elif is_list(kind):
        hashes = _hash_lists(column.cast(pa.large_list(kind.value_type)), seed)
    elif is_text(kind):
        hashes = pl.Series(column).hash(int(seed)).to_numpy()
    elif pa.types.is_nested(kind) or pa.types.is_decimal(kind):
        texts = [None if value is None else repr(value) for value in column.to_pylist()]
        return hash_values(pa.array(texts, pa.large_string()), seed)
    else:
        hashes = _mixed(_bits(column) ^ seed)
    return np.where(_valid(column), hashes, _NULL) if column.null_count else hashes


def _hash_filled(hashes: Hashes, indices: pa.Array) -> Hashes:
    places = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    return hashes[places] if len(hashes) else np.full(len(places), _NULL, np.uint64)


def _hash_lists(lists: pa.LargeListArray, seed: np.uint64) -> Hashes:
    """Of the elements with their places, summed over each list."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    elements = hash_values(lists.flatten(), seed)
    places = (np.arange(len(elements)) - np.repeat(ends - lengths, lengths)).astype(np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(elements + places * _MULTIPLIER))])
    return _mixed(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64))


def _bits(column: pa.Array) -> Hashes:
    """The value as 64 bits; equal floats have equal ones."""
    if pa.types.is_floating(column.type):
        values = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 equals 0.0
        values[np.isnan(values)] = np.nan
        return values.view(np.uint64)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif pa.types.is_time32(column.type) or pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    if not pa.types.is_integer(column.type):
        column = column.cast(pa.int64())
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return (
        values.astype(np.uint64)
        if pa.types.is_unsigned_integer(column.type)
        else values.astype(np.int64).view(np.uint64)
    )


def _mixed(bits: Hashes) -> Hashes:
    """The finalizer of splitmix64, a bijection (Steele, Lea and Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _valid(column: pa.Array) -> Mask:
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
