"""The tensors of TFX's adapter, whatever the schema makes of a text column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

from components.examples import records
from components.transform.graph import input_config
from components.transform.tensors import BatchAdapter

ONE, MANY = "type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } }", "type: BYTES"
SCHEMA = f"""
feature {{ name: "one" {ONE} }}
feature {{ name: "two" type: BYTES presence {{ min_fraction: 1 }} shape {{ dim {{ size: 2 }} }} }}
feature {{ name: "many" {MANY} }}
feature {{ name: "row" {MANY} }}
feature {{ name: "filled" {MANY} }}
feature {{ name: "number" type: INT }}
"""
REPRESENTATIONS = """
tensor_representation_group { key: "" value {
  tensor_representation { key: "one" value { dense_tensor { column_name: "one" shape { dim { size: 1 } } } } }
  tensor_representation { key: "many" value { varlen_sparse_tensor { column_name: "many" } } }
  tensor_representation { key: "renamed" value { varlen_sparse_tensor { column_name: "two" } } }
  tensor_representation { key: "row" value { ragged_tensor { feature_path { step: "row" } } } }
  tensor_representation { key: "number" value { varlen_sparse_tensor { column_name: "number" } } }
  tensor_representation { key: "filled" value { dense_tensor {
    column_name: "filled" shape { dim { size: 1 } } default_value { bytes_value: "none" } } } }
} }
"""
TEXTS = pa.large_list(pa.large_binary())
BATCH = pa.RecordBatch.from_pydict(
    {
        "one": pa.array([[b"a"], [b""], [b"a"]], TEXTS),
        "two": pa.array([[b"a", b"b"], [b"b", b"\xff"], [b"", b"c"]], TEXTS),
        "many": pa.array([None, [b"x", b"y", b"x"], []], TEXTS),
        "row": pa.array([[b"x"], [], [b"y", b"x"]], TEXTS),
        "filled": pa.array([None, [b"some"], [b"none"]], TEXTS),
        "number": pa.array([[0], None, [3]], pa.large_list(pa.int64())),
    }
)


def config(schema: str) -> Any:
    return input_config(text_format.Parse(schema, schema_pb2.Schema()))


def encoded(folder: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    records.write_shard(batch, folder / "Split-train", index=0, count=1)
    [row_group] = records.row_groups(folder, "train")
    return records.read(row_group, encoded=True)


@pytest.mark.parametrize("schema", [SCHEMA, SCHEMA + REPRESENTATIONS])
def test_tensors_are_those_of_tfx(tmp_path: Path, schema: str) -> None:
    names = config(schema).arrow_schema.names
    expected = TensorAdapter(config(schema)).ToBatchTensors(BATCH.select(names), produce_eager_tensors=True)
    for batch in (BATCH.select(names), encoded(tmp_path, BATCH.select(names))):
        found = BatchAdapter(config(schema))(batch)
        assert found.keys() == expected.keys()
        for name in expected:
            assert type(found[name]) is type(expected[name])
            for ours, stock in zip(
                *(tf.nest.flatten(made[name], expand_composites=True) for made in (found, expected)), strict=True
            ):
                assert ours.dtype == stock.dtype
                np.testing.assert_array_equal(ours.numpy(), stock.numpy(), err_msg=name)


def test_a_missing_value_without_a_default_is_refused(tmp_path: Path) -> None:
    schema = f'feature {{ name: "text" {ONE} }}'
    missing = pa.RecordBatch.from_pydict({"text": pa.array([[b"a"], None], TEXTS)})
    with pytest.raises(ValueError, match="text"):
        BatchAdapter(config(schema))(encoded(tmp_path, missing))
