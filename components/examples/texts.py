"""Texts of a row group that was read with `encoded=True`: each value once, and the row's number of it.

batch = read(row_group, encoded=True)
values, counts = count_values(batch.column("city").flatten())      # large_binary, int64; first seen first
plain = decode(batch)                                              # what `read` returns by default
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_PLAIN = pa.large_binary()


def count_values(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Distinct values in the order in which they are first seen, encoded or not, and their numbers."""
    found = values.value_counts()
    return decode_values(found.field("values")), found.field("counts").to_numpy()


def decode_values(values: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(values.type):
        return values
    # Widened first: a short dictionary may stand for more than the 2 GiB that narrow offsets reach.
    return values.dictionary.cast(_PLAIN).take(values.indices)


def is_text(column: pa.DataType) -> bool:
    """Of a column of large lists."""
    return pa.types.is_large_list(column) and (column.value_type == _PLAIN or pa.types.is_dictionary(column.value_type))


def decode(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([decode_column(column) for column in batch.columns], names=batch.schema.names)


def decode_column(column: pa.LargeListArray) -> pa.LargeListArray:
    if not pa.types.is_dictionary(column.type.value_type):
        return column
    values = decode_values(column.values)
    missing = column.is_null() if column.null_count else None
    return pa.LargeListArray.from_arrays(column.offsets, values, mask=missing)
