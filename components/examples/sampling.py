"""Which negatives are kept, and what each example weighs.

    kept = downsample(batch, label="clicked", keep_negatives=0.1, weight="example_weight")

A row is chosen by a hash of all its values: neither the order of files nor the number of workers, nor the split it is in,
has a part in it. Weights are those of inverse probability (Horvitz and Thompson, 1952), so that means over the kept rows
estimate means over all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from components.examples.records import to_lists
from pipelines.errors import DataError, bounded

Hashes = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def downsample(batch: pa.RecordBatch, *, label: str, keep_negatives: float, weight: str) -> pa.RecordBatch:
    """Positives and a share of the negatives, in order, with the column `weight`. `batch` is of lists.

    Raises:
        DataError: a label is neither 0 nor 1.
    """
    positive = _labels(batch, label)
    kept = positive.copy()
    negatives = np.flatnonzero(~positive)
    kept[negatives] = row_hashes(batch.take(pa.array(negatives))) / 2.0**64 < keep_negatives
    rows = batch.take(pa.array(np.flatnonzero(kept)))
    weights = pa.array(np.where(positive[kept], 1.0, 1.0 / keep_negatives))
    [column] = to_lists(pa.RecordBatch.from_arrays([weights], [weight]), {weight: "float"}).columns
    return rows.append_column(weight, column)


def row_hashes(batch: pa.RecordBatch) -> Hashes:
    """`[rows]`: of all values, whatever the order of the columns. They never change for the same values."""
    total = np.zeros(batch.num_rows, np.uint64)
    for name in sorted(batch.schema.names):
        total = _mixed(total ^ _list_hashes(batch.column(name)))
    return total


def _list_hashes(lists: pa.LargeListArray) -> Hashes:
    """`[rows]`: of the values of each list and their places."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    places = np.arange(ends[-1] if len(ends) else 0) - np.repeat(starts, lengths) + 1
    values = _mixed(_value_hashes(lists.flatten()) + places.astype(np.uint64) * _GOLDEN)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])  # they wrap around
    return np.asarray(sums[ends] - sums[starts], np.uint64)


def _value_hashes(values: pa.Array) -> Hashes:
    if pa.types.is_large_binary(values.type):
        # FarmHash Fingerprint64: TensorFlow promises that its values never change.
        texts = values.to_numpy(zero_copy_only=False).astype(object)
        hashes: Hashes = tf.strings.to_hash_bucket_fast(texts, 2**63 - 1).numpy().astype(np.uint64)
        return hashes
    numbers = values.to_numpy(zero_copy_only=False)
    return numbers.view(np.uint32).astype(np.uint64) if numbers.dtype == np.float32 else numbers.view(np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half of the output's."""
    values = (values + _GOLDEN) & np.uint64(2**64 - 1)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _labels(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.bool_]:
    labels = batch.column(name).flatten().to_numpy(zero_copy_only=False)
    other = sorted({str(value) for value in np.unique(labels) if value not in (0, 1)})
    if other or len(labels) != batch.num_rows:
        raise DataError(
            f"`data.downsample` needs a label of 0 and 1 in every row. Received: {bounded(other) or 'rows without one'}",
            fix=f"let the contract refuse such values of {name!r}, or remove `data.downsample` from pipeline.yaml",
        )
    return np.asarray(labels == 1)
