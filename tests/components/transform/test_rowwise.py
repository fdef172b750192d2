"""Which outputs are asked once for each text, and that asking so changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import tf2_utils

from components.transform.graph import input_config
from components.transform.rowwise import text_outputs
from components.transform.tensors import BatchAdapter, DistinctAdapter

SCHEMA = """
feature { name: "city" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "shop" type: BYTES value_count { max: 1 } }
feature { name: "words" type: BYTES }
feature { name: "number" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
CONFIG = input_config(text_format.Parse(SCHEMA, schema_pb2.Schema()))
TEXTS = pa.large_list(pa.large_binary())
BATCH = pa.RecordBatch.from_pydict(
    {
        "city": pa.array([[b"b"], [b""], [b"A"], [b"b"], [b"c"], [b"A"]], TEXTS),
        "shop": pa.array([[b"x"], None, [b"y"], [b"x"], [b""], None], TEXTS),
        "words": pa.array([[b"x", b"y"], None, [b"y"], [b"x"], [], None], TEXTS),
        "number": pa.array([[1], [2], [3], [4], [5], [6]], pa.large_list(pa.int64())),
    }
)

Tensors = Mapping[str, Any]


def filled(sparse: tf.SparseTensor, width: int = 1, default: Any = "") -> tf.Tensor:
    shape = [sparse.dense_shape[0], width]
    return tf.sparse.to_dense(tf.SparseTensor(sparse.indices, sparse.values, shape), default)


def hashed(text: Any) -> Any:
    return tf.strings.to_hash_bucket_fast(text, 1000)


def looked_up(text: Any) -> Any:
    keys = tf.constant(["b", "x", "A"])
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.range(3, dtype=tf.int64)), num_oov_buckets=2
    )
    return table.lookup(text)


def applied(function: Callable[[Tensors], Tensors]) -> tuple[Any, dict[str, str]]:
    specs = tf.nest.map_structure(tf.type_spec_from_value, BatchAdapter(CONFIG)(BATCH))
    relaxed = {
        name: tf.SparseTensorSpec([None, None], spec.dtype)
        if isinstance(spec, tf.SparseTensorSpec)
        else tf.TensorSpec([None, 1], spec.dtype)
        for name, spec in specs.items()
    }
    made = tf.function(function, input_signature=[relaxed], autograph=False).get_concrete_function()
    outputs = tf.nest.pack_sequence_as(made.structured_outputs, made.outputs)
    return made, text_outputs(made.graph, tf2_utils.get_structured_inputs_from_func_graph(made.graph), outputs)


def run(made: Any, tensors: Tensors) -> Any:
    return made(*tf.nest.flatten(dict(tensors), expand_composites=True))["found"].numpy()


@pytest.mark.parametrize(
    ("column", "function"),
    [
        ("city", lambda inputs: hashed(inputs["city"])),
        ("city", lambda inputs: tf.reshape(hashed(tf.strings.lower(inputs["city"])), [-1])),
        ("city", lambda inputs: tf.where(inputs["city"] == "b", hashed(inputs["city"]), 7)),
        ("city", lambda inputs: looked_up(tf.reshape(inputs["city"], [-1]))),
        ("shop", lambda inputs: looked_up(tf.reshape(filled(inputs["shop"]), [-1]))),
        ("shop", lambda inputs: filled(tf.sparse.map_values(hashed, inputs["shop"]), default=-1)),
        ("words", lambda inputs: filled(tf.sparse.map_values(hashed, inputs["words"]), 3, default=-1)),
    ],
    ids=["hashed", "lowered and reshaped", "chosen", "dense", "filled", "filled later", "several values"],
)
def test_a_text_gives_what_its_rows_give(column: str, function: Callable[[Tensors], Any]) -> None:
    made, found = applied(lambda inputs: {"found": function(inputs), "other": inputs["number"] + 1})
    assert found == {"found": column}
    tensors, numbers = DistinctAdapter(CONFIG, [column])(BATCH)
    expected = run(made, BatchAdapter(CONFIG)(BATCH))
    once = run(made, tensors)
    if column == "words":
        assert not numbers
        np.testing.assert_array_equal(once, expected)
    else:
        assert len(once) == 4  # three texts and a missing value, or four texts
        np.testing.assert_array_equal(once[numbers[column]], expected)


def doubled(text: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_greater(tf.shape(text)[0], 1)]):
        return hashed(text)


@pytest.mark.parametrize(
    "function",
    [
        lambda inputs: inputs["number"] + hashed(inputs["city"]),
        lambda inputs: hashed(tf.strings.join([inputs["city"], filled(inputs["shop"])])),
        lambda inputs: hashed(inputs["city"]) - tf.reduce_max(hashed(inputs["city"])),
        lambda inputs: hashed(inputs["city"])[::-1],
        lambda inputs: tf.cumsum(hashed(inputs["city"])),
        lambda inputs: hashed(inputs["city"]) * tf.constant([1, 2], tf.int64),
        lambda inputs: tf.reshape(tf.equal(inputs["city"], tf.reshape(inputs["city"], [-1])), [-1]),
        lambda inputs: tf.reshape(inputs["number"] + tf.size(inputs["shop"].values, tf.int64), [-1]),
        lambda inputs: tf.reshape(hashed(filled(inputs["words"], 2)), [-1]),
        lambda inputs: hashed(inputs["words"].values),
        lambda inputs: doubled(inputs["city"]),
        lambda inputs: tf.function(hashed)(inputs["city"]),
        lambda inputs: inputs["number"] * 2,
    ],
    ids=[
        *(
            "with a number",
            "two columns",
            "the largest",
            "backwards",
            "a running sum",
            "a constant row",
            "each with all",
        ),
        *("the number of values", "rows cut in two", "values for rows", "an assertion on rows", "a call", "no text"),
    ],
)
def test_where_rows_may_meet_they_are_asked_one_by_one(function: Callable[[Tensors], Any]) -> None:
    _, found = applied(lambda inputs: {"found": function(inputs)})
    assert found == {}


def test_a_column_qualifies_whole() -> None:
    _, found = applied(
        lambda inputs: {
            "fit": hashed(inputs["city"]),
            "unfit": tf.cumsum(hashed(inputs["city"])),
            "apart": hashed(filled(inputs["shop"])),
        }
    )
    assert found == {"apart": "shop"}


def test_an_empty_list_is_no_missing_value() -> None:
    batch = BATCH.set_column(1, "shop", pa.array([[b"x"], [], None, [b"x"], [b"y"], []], TEXTS))
    tensors, numbers = DistinctAdapter(CONFIG, ["shop", "city"])(batch)
    assert numbers.keys() == {"city"}
    assert tensors["shop"].dense_shape.numpy().tolist() == [6, 1]
