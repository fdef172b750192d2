"""Which split a row belongs to: by a hash of its key that no release changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf


def split_rows(keys: pa.Array, splits: Mapping[str, int]) -> dict[str, npt.NDArray[np.bool_]]:
    """`[rows]` of each split: whether it is in it. `splits` holds hash buckets per split; equal keys share a split.

    FarmHash Fingerprint64 modulo the number of buckets: TensorFlow promises that its values never change. A missing
    key is a key like any other.
    """
    text = pa.compute.fill_null(keys.cast(pa.string()), "").to_numpy(zero_copy_only=False)
    buckets = tf.strings.to_hash_bucket_fast(text.astype(object), sum(splits.values())).numpy()
    ends = np.cumsum(list(splits.values()))
    owner = np.searchsorted(ends, buckets, side="right")
    return {name: owner == index for index, name in enumerate(splits)}
