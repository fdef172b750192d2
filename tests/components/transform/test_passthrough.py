"""Which vocabularies are counted in the raw column, and which parts of a graph run without a SavedModel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.transform.analysis import Analysis
from components.transform.freezing import freeze
from components.transform.measures import Counted, CountedColumn
from components.transform.passthrough import Source, count
from components.transform.tracing import Trace, trace
from tests.components.transform.features import SCHEMA

FILLED = """
tensor_representation_group { key: "" value { tensor_representation { key: "city" value { dense_tensor {
    column_name: "city" shape { dim { size: 1 } } default_value { bytes_value: "nowhere" } } } } } }
"""


def filled(column: tf.SparseTensor, default: Any) -> tf.Tensor:
    return tf.sparse.to_dense(tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 5]), default)


def traced(folder: Path, column: Callable[[Any], Any], schema: str = SCHEMA, **options: Any) -> Trace:
    def preprocessing_fn(inputs: Any) -> Any:
        tft.vocabulary(column(inputs), vocab_filename="tokens", **options)
        return {"ids": inputs["number"]}

    return trace(preprocessing_fn, text_format.Parse(schema, schema_pb2.Schema()), folder, place="")


@pytest.mark.parametrize(
    "column",
    [
        lambda inputs: inputs["city"],
        lambda inputs: tf.reshape(inputs["city"], [-1]),
        lambda inputs: inputs["words"],
        lambda inputs: filled(inputs["words"], ""),
        lambda inputs: inputs["number"],
    ],
    ids=["dense", "reshaped", "sparse", "filled with empty text", "integers"],
)
def test_values_as_they_are_are_counted_in_the_column(tmp_path: Path, column: Callable[[Any], Any]) -> None:
    [[measure]] = Analysis(traced(tmp_path, column)).phases.values()
    assert isinstance(measure, CountedColumn)


@pytest.mark.parametrize(
    "column",
    [
        lambda inputs: tf.strings.lower(inputs["city"]),
        lambda inputs: inputs["city"][1:],
        lambda inputs: tf.boolean_mask(inputs["city"], inputs["number"] > 0),
        lambda inputs: filled(inputs["words"], "none"),
        lambda inputs: tf.concat([inputs["city"], inputs["city"]], axis=1),
        lambda inputs: filled(tf.sparse.from_dense(inputs["number"]), 0),
    ],
    ids=["lowered", "sliced", "masked", "filled with a token", "doubled", "integers filled with 0"],
)
def test_other_values_are_asked_of_the_graph(tmp_path: Path, column: Callable[[Any], Any]) -> None:
    [[measure]] = Analysis(traced(tmp_path, column)).phases.values()
    assert isinstance(measure, Counted)


def test_a_value_that_the_schema_fills_in_is_asked_of_the_graph(tmp_path: Path) -> None:
    [[measure]] = Analysis(traced(tmp_path, lambda inputs: inputs["city"], SCHEMA + FILLED)).phases.values()
    assert isinstance(measure, Counted)


def test_weights_are_asked_of_the_graph(tmp_path: Path) -> None:
    def weighted(inputs: Any) -> Any:
        return {
            "ids": inputs["number"] + tf.cast(tft.vocabulary(inputs["city"], weights=inputs["price"]) == "", "int64")
        }

    made = trace(weighted, text_format.Parse(SCHEMA, schema_pb2.Schema()), tmp_path, place="")
    [[measure]] = Analysis(made).phases.values()
    assert isinstance(measure, Counted)


def test_what_no_line_can_hold_does_not_count() -> None:
    words = [[b"a", b""], None, [b"a", b"b\n", b"\rc"], [], [b"\xff"]]
    batch = pa.RecordBatch.from_arrays([pa.array(words, pa.large_list(pa.large_binary()))], ["words"])
    found = count(batch, Source("words", filtered=True)).to_pydict()
    assert dict(zip(found["token"], found["count"], strict=True)) == {b"a": 2, b"\xff": 1}
    assert count(batch, Source("words", filtered=False))["count"].to_pylist() == [2, 1, 1, 1, 1]


def test_a_table_takes_a_saved_model(tmp_path: Path) -> None:
    def two_phases(inputs: Any) -> Any:
        return {"ids": tft.compute_and_apply_vocabulary(inputs["city"], vocab_filename="city")}

    made = trace(two_phases, text_format.Parse(SCHEMA, schema_pb2.Schema()), tmp_path, place="")
    assert freeze(made, [], {"ids": made.outputs["ids"]}) is None
    frozen = freeze(made, [], {"city": made.inputs["city"]})
    assert frozen is not None
    assert [feed.column for feed in frozen.feeds] == ["city"]
