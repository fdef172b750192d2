"""What simple models see of transformed features: numbers, ids, and sets of ids, told apart by type and shape.

    features = Features.of(arrays)          # {"price": float32 [n, 1], "item": int64 [n, 1], "recent": int64 [n, 8]}
    features.ids["item"].codes(arrays["item"])

A float is a number. An integer is an id, and several of them are a set in which 0 is padding. So a model needs no word
from the user. An id that too few rows have has code 0, as one never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

MIN_ROWS = 5
"""Of an id that a weight can be learned for."""
MAX_IDS = 50_000
"""Of a feature, the most frequent."""

Arrays = Mapping[str, npt.NDArray[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ids:
    known: Ints
    """Sorted. The code of an id is its place here plus 1, or 0."""
    by_frequency: Ints
    """Codes, the most frequent first."""
    is_set: bool

    @classmethod
    def of(cls, values: Ints) -> Ids:
        """`values`: `[rows, length]`."""
        is_set = values.shape[1] > 1
        found, counts = np.unique(values[values != 0] if is_set else values, return_counts=True)
        kept = np.sort(np.argsort(-counts, kind="stable")[: min(MAX_IDS, int((counts >= MIN_ROWS).sum()))])
        return cls(found[kept], np.argsort(-counts[kept], kind="stable") + 1, is_set)

    def codes(self, values: Ints) -> Ints:
        if not len(self.known):
            return np.zeros_like(values)
        places = np.minimum(np.searchsorted(self.known, values), len(self.known) - 1)
        return np.where((self.known[places] == values) & self._counts(values), places + 1, 0)

    def codes_in_graph(self, values: Any, known: tf.Variable) -> Any:
        """The same, of tensors; `known` is kept as a variable of the model."""
        if not len(self.known):
            return tf.zeros_like(values)
        flat = tf.reshape(values, [-1])
        places = tf.minimum(tf.searchsorted(known, flat, out_type=tf.int64), len(self.known) - 1)
        there = (tf.gather(known, places) == flat) & self._counts(flat)
        return tf.reshape(tf.where(there, places + 1, 0), tf.shape(values))

    def _counts(self, values: Any) -> Any:
        return values != 0 if self.is_set else values == values


@dataclass(frozen=True)
class Features:
    numbers: dict[str, npt.NDArray[np.float32]]
    """Means, `[width]`, of float features: what a missing value is taken for."""
    ids: dict[str, Ids]

    @classmethod
    def of(cls, arrays: Arrays) -> Features:
        flat = {name: _flat(values) for name, values in arrays.items()}
        floats = {name: values for name, values in flat.items() if values.dtype.kind == "f"}
        return cls(
            {name: _means(values) for name, values in floats.items()},
            {name: Ids.of(values) for name, values in flat.items() if name not in floats},
        )

    def numbers_of(self, arrays: Arrays) -> npt.NDArray[np.float32]:
        """`[rows, numbers]`, none missing."""
        rows = len(next(iter(arrays.values())))
        columns = [np.zeros((rows, 0), np.float32)]
        for name, means in self.numbers.items():
            values = _flat(arrays[name])
            columns.append(np.where(np.isfinite(values), values, means))
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def numbers_in_graph(self, tensors: Mapping[str, Any]) -> Any:
        """The same, of tensors."""
        columns = [tf.zeros((batch_rows(tensors), 0))]
        for name, means in self.numbers.items():
            values = tf.reshape(tensors[name], (-1, len(means)))
            columns.append(tf.where(tf.math.is_finite(values), values, means))
        return tf.concat(columns, axis=1)


def batch_rows(tensors: Mapping[str, Any]) -> Any:
    return tf.shape(next(iter(tensors.values())))[0]


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.reshape(len(values), -1)


def _means(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    there = np.isfinite(values)
    sums = np.where(there, values, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(sums / np.maximum(there.sum(axis=0), 1), np.float32)
