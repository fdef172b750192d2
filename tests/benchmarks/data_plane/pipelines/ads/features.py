"""Every number as a z-score, every category as an id of its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from tests.benchmarks.data_plane.columns import CATEGORIES, LABEL, NUMBERS, VOCABULARY_LIMIT

Tensors = Mapping[str, tf.Tensor | tf.SparseTensor]


def preprocessing_fn(inputs: Tensors) -> dict[str, tf.Tensor]:
    """Raw columns to `[batch]` float32 and int64."""
    outputs = {name: tft.scale_to_z_score(_dense(inputs[name])) for name in NUMBERS}
    for name in CATEGORIES:
        outputs[name] = tft.compute_and_apply_vocabulary(
            _dense(inputs[name]), top_k=VOCABULARY_LIMIT, num_oov_buckets=1, vocab_filename=name
        )
    outputs[LABEL] = _dense(inputs[LABEL])
    return outputs


def _dense(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """`[batch]`, with 0 or the empty string where the value is missing."""
    if isinstance(values, tf.SparseTensor):
        default = "" if values.dtype == tf.string else 0
        shape = [values.dense_shape[0], 1]
        values = tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), default)
    return tf.reshape(values, [-1])
