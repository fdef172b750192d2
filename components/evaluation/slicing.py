"""Which rows are in which slice.

keys, rows, slices = slice_rows(batch, ["city", "hour"])
keys[slices[0]]        # (b"Berlin", b"3"): a slice of row rows[0]

A row without a value is in the slice `MISSING`; one with several values in the slice of each, once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.examples.texts import decode_values

MISSING = b"(missing)"

Indices = npt.NDArray[np.int64]
Key = tuple[bytes, ...]
"""A value for each column of the slicing; `()` is all rows."""


def as_texts(column: pa.Array) -> pa.Array:
    """A column of lists as lists of texts, a dictionary each; none is empty."""
    values = pc.dictionary_encode(decode_values(column.flatten()), null_encoding="encode")
    texts = pa.array([*map(_text, values.dictionary.to_pylist()), MISSING], pa.large_binary())
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    is_missing = lengths == 0
    lengths = np.maximum(lengths, 1)
    indices = np.full(lengths.sum(), len(texts) - 1, np.int32)
    indices[~np.repeat(is_missing, lengths)] = values.indices
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(pa.array(indices), texts))


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def slice_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> tuple[list[Key], Indices, Indices]:
    """The keys of the slices, sorted, and pairs of row and slice; `columns` are of `as_texts`."""
    rows = np.arange(batch.num_rows)
    slices = np.zeros(batch.num_rows, np.int64)
    keys: list[Key] = [()]
    for name in columns:
        column = batch.column(name)
        texts = column.values.dictionary.to_pylist()
        rows, slices, places = _exploded(rows, slices, column.offsets.to_numpy())
        crossed = slices * len(texts) + column.values.indices.to_numpy()[places]
        used, slices = np.unique(crossed, return_inverse=True)
        keys = [(*keys[number // len(texts)], texts[number % len(texts)]) for number in used]
    ordered = sorted(set(keys))  # two values may have one text: a missing one, and "(missing)"
    numbers = {key: number for number, key in enumerate(ordered)}
    slices = np.array([numbers[key] for key in keys], np.int64)[slices]
    if len(rows) > batch.num_rows:
        rows, slices = np.unique(np.stack([rows, slices]), axis=1)
    return ordered, rows, slices


def _exploded(rows: Indices, slices: Indices, offsets: Indices) -> tuple[Indices, Indices, Indices]:
    """A pair for each value of its row, and the place of that value."""
    lengths = np.diff(offsets)[rows]
    begins = np.repeat(offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
    return np.repeat(rows, lengths), np.repeat(slices, lengths), begins + np.arange(lengths.sum())
