"""Features of the taxi model: scaled amounts, bucketed places, vocabularies, and the label from tip and fare."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

SCALED = ("trip_miles", "fare", "trip_seconds")
BUCKETED = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
BUCKETS = 10
VOCABULARIES = ("payment_type", "company")
VOCABULARY_LIMIT = 1000
OUT_OF_VOCABULARY = 10
CATEGORIES = {"trip_start_month": 13, "trip_start_hour": 24, "trip_start_day": 8, "pickup_community_area": 78}
"""Integer columns that are ids already: ids per column, 0 where missing or out of range."""

LABEL = "tips"
BIG_TIP = 0.2
"""Share of the fare above which a tip counts."""

Tensors = Mapping[str, tf.Tensor | tf.SparseTensor]


def preprocessing_fn(inputs: Tensors) -> dict[str, tf.Tensor]:
    """Raw columns to model inputs; every output is dense, `[batch]`, float32 or int64."""
    outputs = {name: tft.scale_to_z_score(_dense(inputs[name])) for name in SCALED}
    outputs |= {name: tft.bucketize(_dense(inputs[name]), BUCKETS) for name in BUCKETED}
    for name in VOCABULARIES:
        outputs[name] = tft.compute_and_apply_vocabulary(
            _dense(inputs[name]), top_k=VOCABULARY_LIMIT, num_oov_buckets=OUT_OF_VOCABULARY, vocab_filename=name
        )
    for name, size in CATEGORIES.items():
        ids = _dense(inputs[name])
        outputs[name] = tf.where((ids >= 0) & (ids < size), ids, tf.zeros_like(ids))
    outputs[LABEL] = tf.cast(_dense(inputs["tips"]) > BIG_TIP * _dense(inputs["fare"]), tf.int64)
    return outputs


def _dense(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """`[batch]`, with 0 or the empty string where the value is missing."""
    if isinstance(values, tf.SparseTensor):
        default = "" if values.dtype == tf.string else 0
        shape = [values.dense_shape[0], 1]
        values = tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), default)
    return tf.reshape(values, [-1])
