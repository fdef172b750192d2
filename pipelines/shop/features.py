"""Features of the recommender: ids by vocabulary, words of title and query, the recent past as sequences."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

VOCABULARIES = {"user_id": 5000, "item_id": 2000, "category": 100, "country": 50, "device": 10}
"""Largest vocabulary of each categorical column; what is rarer shares one id after the last."""
OUT_OF_VOCABULARY = 1
RARE_USER = 15
"""Impressions below which a user shares the id of users never seen. Every user of the eval split is new: were none rare,
that id would keep its random first embedding, and the mean prediction would be up to 45 % off."""
SEQUENCES = {"recent_items": "item_id", "recent_categories": "category"}
"""Sequence columns, and the vocabulary each shares."""
SEQUENCE_LENGTH = 8
TEXTS = {"title": 3, "query": 3}
"""Words kept of each text; title and query share the vocabulary `word`."""
WORDS = 2000
LABEL = "clicked"

Tensors = Mapping[str, tf.Tensor | tf.SparseTensor]


def preprocessing_fn(inputs: Tensors) -> dict[str, tf.Tensor]:
    """Raw columns to model inputs. Scalars are `[batch]`, sequences and texts `[batch, length]` with 0 as padding."""
    outputs = {
        "log_price": tft.scale_to_z_score(tf.math.log1p(_flat(inputs["price"]))),
        "hour": tf.clip_by_value(_flat(inputs["hour"]), 0, 23),
        "position": tf.clip_by_value(_flat(inputs["position"]), 0, 9),
        LABEL: _flat(inputs[LABEL]),
    }
    files = {}
    for name, limit in VOCABULARIES.items():
        rare = RARE_USER if name == "user_id" else None
        files[name] = tft.vocabulary(_flat(inputs[name]), top_k=limit, frequency_threshold=rare, vocab_filename=name)
        outputs[name] = _ids(_flat(inputs[name]), files[name])
    for name, vocabulary in SEQUENCES.items():
        outputs[name] = _padded(_sparse_ids(inputs[name], files[vocabulary]), SEQUENCE_LENGTH)
    words = {name: tf.strings.split(tf.strings.lower(_flat(inputs[name]))) for name in TEXTS}
    file = tft.vocabulary(
        tf.concat([ragged.flat_values for ragged in words.values()], axis=0), top_k=WORDS, vocab_filename="word"
    )
    for name, length in TEXTS.items():
        outputs[name] = _padded(_sparse_ids(words[name].to_sparse(), file), length)
    return outputs


def _flat(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """`[batch]`, with 0 or the empty string where the value is missing."""
    if isinstance(values, tf.SparseTensor):
        default = "" if values.dtype == tf.string else 0
        shape = [values.dense_shape[0], 1]
        values = tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), default)
    return tf.reshape(values, [-1])


def _ids(values: tf.Tensor | tf.SparseTensor, file: tf.Tensor) -> tf.Tensor | tf.SparseTensor:
    return tft.apply_vocabulary(values, file, num_oov_buckets=OUT_OF_VOCABULARY)


def _sparse_ids(values: tf.SparseTensor, file: tf.Tensor) -> tf.SparseTensor:
    """Ids from 1 on, so that 0 can pad."""
    ids = _ids(values, file)
    return tf.SparseTensor(ids.indices, ids.values + 1, ids.dense_shape)


def _padded(ids: tf.SparseTensor, length: int) -> tf.Tensor:
    """`[batch, length]`: the first `length` ids of each row, 0 behind a shorter one."""
    first = tf.sparse.slice(ids, [0, 0], [ids.dense_shape[0], length])
    dense = tf.sparse.to_dense(tf.SparseTensor(first.indices, first.values, [ids.dense_shape[0], length]))
    return tf.reshape(dense, [-1, length])
