"""A `preprocessing_fn` for each thing that analysis can do."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

SCHEMA = """
feature { name: "price" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "size" type: FLOAT value_count { min: 0 max: 1 } }
feature { name: "pair" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 2 } } }
feature { name: "number" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "city" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "words" type: BYTES value_count { min: 0 max: 5 } }
feature { name: "unused" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
KINDS = {
    "price": "float",
    "size": "float",
    "pair": "floats",
    "number": "int",
    "city": "string",
    "words": "strings",
    "unused": "string",
}

Tensors = dict[str, Any]


def moments(inputs: Tensors) -> Tensors:
    price, ones = inputs["price"], tf.ones_like(inputs["price"])
    return {
        "z": tft.scale_to_z_score(price),
        "z_pair": tft.scale_to_z_score(inputs["pair"], elementwise=True),
        "unit": tft.scale_to_0_1(price),
        "mean": ones * tft.mean(inputs["size"]),
        "var": ones * tft.var(price),
        "largest": tf.ones_like(inputs["number"]) * tft.max(inputs["number"]),
        "total": tf.ones_like(inputs["number"]) * tft.sum(inputs["number"]),
        "rows": tf.ones_like(inputs["number"]) * tft.size(inputs["number"]),
    }


def quantiles(inputs: Tensors) -> Tensors:
    boundaries = tft.quantiles(inputs["price"], 5, epsilon=0.01)
    return {
        "bucket": tft.bucketize(inputs["price"], 7),
        "given": tft.apply_buckets(inputs["price"], boundaries),
    }


def vocabularies(inputs: Tensors) -> Tensors:
    numbers = inputs["number"]

    def ids(name: str, column: Any, **options: Any) -> Any:
        return tft.compute_and_apply_vocabulary(column, vocab_filename=name, num_oov_buckets=1, **options)

    words = ids("words", inputs["words"], top_k=20)
    tft.vocabulary(inputs["city"], vocab_filename="counted", store_frequency=True)
    tft.vocabulary(inputs["city"], vocab_filename="zipped", file_format="tfrecord_gzip")
    tft.vocabulary(inputs["city"], vocab_filename="shuffled", fingerprint_shuffle=True)
    tft.vocabulary(
        inputs["city"], vocab_filename="weighted", weights=tf.round(inputs["price"]), store_frequency=True, top_k=30
    )
    tft.vocabulary(inputs["city"], vocab_filename="reserved", reserved_tokens=["first", "city 3"])
    return {
        "city": ids("city", inputs["city"]),
        "city_top": ids("city_top", inputs["city"], top_k=13),
        "city_frequent": ids("city_frequent", inputs["city"], frequency_threshold=60),
        "city_both": ids("city_both", inputs["city"], frequency_threshold=55, top_k=4),
        "city_none": ids("city_none", inputs["city"], frequency_threshold=10**9),
        "number": ids("number", numbers),
        "number_top": ids("number_top", numbers, top_k=7),
        "words": tf.sparse.to_dense(tf.SparseTensor(words.indices, words.values + 1, [words.dense_shape[0], 5])),
    }


def phases(inputs: Tensors) -> Tensors:
    z = tft.scale_to_z_score(inputs["price"])
    bucket = tft.bucketize(z, 4)
    city = tft.compute_and_apply_vocabulary(inputs["city"], vocab_filename="city")
    crossed = tf.strings.join([tf.strings.as_string(bucket), tf.strings.as_string(city)], "x")
    return {
        "bucket": bucket,
        "crossed": tft.compute_and_apply_vocabulary(crossed, vocab_filename="crossed", top_k=40),
    }


def keyed(inputs: Tensors) -> Tensors:
    """Per key: no kernel."""
    scaled = tft.scale_to_z_score_per_key(inputs["price"][:, 0], key=inputs["city"][:, 0])
    city = tft.compute_and_apply_vocabulary(inputs["city"], vocab_filename="city")
    return {"scaled": scaled, "city": city}


def nothing_analyzed(inputs: Tensors) -> Tensors:
    return {"price": inputs["price"] * 2, "number": inputs["number"][:, 0]}


def annotated(inputs: Tensors) -> Tensors:
    number = tft.apply_vocabulary(inputs["city"], tft.vocabulary(inputs["city"], vocab_filename="city"))
    tft.annotate_asset("what it is for", "city")
    return {"city": number}


def raising(inputs: Tensors) -> Tensors:
    return {"price": inputs["prize"]}


def returning_nothing(inputs: Tensors) -> None:
    tft.scale_to_z_score(inputs["price"])


def text(inputs: Tensors) -> Tensors:
    return {"price": inputs["price"], "city": inputs["city"]}


def ragged(inputs: Tensors) -> Tensors:
    return {"price": inputs["price"], "words": inputs["words"]}


def small(inputs: Tensors) -> Tensors:
    return {"double": tf.cast(inputs["price"], tf.float64)}


def losing_rows(inputs: Tensors) -> Tensors:
    return {"price": inputs["price"][1:]}


def failing_on_data(inputs: Tensors) -> Tensors:
    with tf.control_dependencies([tf.debugging.assert_greater(inputs["number"], tf.constant(-(20**3), tf.int64))]):
        return {"price": tf.identity(inputs["price"])}
