"""Record batches as eager tensors, where a text is made once for all rows that hold it.

    adapter = BatchAdapter(input_config(schema, ["city"]))
    adapter(read(row_group, ["city"], encoded=True))["city"]        # as TFX's TensorAdapter makes it, dense or sparse
    tensors, numbers = DistinctAdapter(config, ["city"])(batch)     # row i is numbers["city"][i] of tensors["city"]

TFX's adapter makes an object of Python and a string of TensorFlow for every row. Here it arranges numbers of texts, which
TensorFlow looks up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
from tfx_bsl.tfxio.tensor_representation_util import GetSourceColumnsFromTensorRepresentation

from components.examples.texts import decode_column, is_text

_NUMBERS = pa.large_list(pa.int64())
Numbers = Mapping[str, npt.NDArray[np.int32]]
"""`[rows]`, by column: which of its distinct rows a row is."""
Representations = Mapping[str, schema_pb2.TensorRepresentation]


class BatchAdapter:
    def __init__(self, config: TensorAdapterConfig) -> None:
        self._defaults = _text_defaults(config)
        """By tensor of a text column, which has the same name."""
        self._schema = _with_numbers(config.arrow_schema, self._defaults)
        self._adapter = TensorAdapter(
            TensorAdapterConfig(self._schema, _with_number_defaults(config.tensor_representations, self._defaults))
        )

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Any]:
        """Raises `ValueError` when the rows do not fit the representations."""
        columns, texts = [], {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in self._defaults and is_text(column.type):
                column, texts[name] = _numbered(column)
            columns.append(decode_column(column))
        numbered = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
        tensors = self._adapter.ToBatchTensors(numbered, produce_eager_tensors=True)
        return {
            name: _looked_up(tensor, self._defaults[name], texts[name]) if name in texts else tensor
            for name, tensor in tensors.items()
        }


class DistinctAdapter:
    """Tensors of the rows, but of some text columns those of their distinct rows only."""

    def __init__(self, config: TensorAdapterConfig, distinct: Collection[str]) -> None:
        alone = _alone(config)
        self._single = {name: found for name, found in config.tensor_representations.items() if _is_single(found)}
        self._distinct = {name: BatchAdapter(_only(config, {name})) for name in alone if name in distinct}
        self._others = [name for name in config.arrow_schema.names if name not in self._distinct]
        self._rows = BatchAdapter(_only(config, self._others))

    def __call__(self, batch: pa.RecordBatch) -> tuple[dict[str, Any], Numbers]:
        """Raises `ValueError` when the rows do not fit the representations."""
        tensors, numbers = self._rows(batch.select(self._others)) if self._others else {}, {}
        for name, adapter in self._distinct.items():
            column = batch.column(name)
            found = _distinct(column) if name in self._single else None
            if found is None or (self._needs_all(name) and column.null_count):
                tensors |= adapter(pa.RecordBatch.from_arrays([column], names=[name]))
            else:
                texts, numbers[name] = found
                tensors[name] = _few(self._single[name], texts, missing=column.null_count > 0)
        return tensors, numbers

    def _needs_all(self, name: str) -> bool:
        """Then the adapter of TFX tells what is wrong with a missing value."""
        dense = self._single[name].dense_tensor
        return bool(dense.column_name) and not dense.HasField("default_value")


def _is_single(found: schema_pb2.TensorRepresentation) -> bool:
    """A tensor that takes one text or none from every row."""
    return [dim.size for dim in found.dense_tensor.shape.dim] == [1] or bool(found.varlen_sparse_tensor.column_name)


def _few(found: schema_pb2.TensorRepresentation, texts: npt.NDArray[Any], *, missing: bool) -> Any:
    """What the adapter makes of a row for every text, then one without. Its own way takes a millisecond per column."""
    if found.dense_tensor.column_name:
        default = np.array([found.dense_tensor.default_value.bytes_value] * missing, object)
        return tf.constant(np.concatenate([texts, default]).reshape(-1, 1), tf.string)
    count = len(texts)
    indices = np.zeros((count, 2), np.int64)
    indices[:, 0] = np.arange(count)
    return tf.SparseTensor(indices, tf.constant(texts, tf.string), [count + missing, min(count, 1)])


def _alone(config: TensorAdapterConfig) -> list[str]:
    """Text columns that only the tensor of their name reads."""
    read = Counter(column for one in config.tensor_representations.values() for column in _read_by(one))
    return [name for name in _text_defaults(config) if read[name] == 1]


def _only(config: TensorAdapterConfig, columns: Collection[str]) -> TensorAdapterConfig:
    of = {name: one for name, one in config.tensor_representations.items() if _read_by(one)[0] in columns}
    return TensorAdapterConfig(pa.schema([field for field in config.arrow_schema if field.name in columns]), of)


def _read_by(representation: schema_pb2.TensorRepresentation) -> list[str]:
    return [path.steps()[0] for path in GetSourceColumnsFromTensorRepresentation(representation)]


def _distinct(column: pa.LargeListArray) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]] | None:
    """The texts, and which of them a row is: none of them if it has no value. None when a row is no single text."""
    present, values = column.is_valid().to_numpy(zero_copy_only=False), column.flatten()
    if values.null_count or not np.array_equal(np.diff(column.offsets), present):
        return None
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    numbers = np.full(len(column), len(values.dictionary), np.int32)
    numbers[present] = values.indices
    return values.dictionary.to_numpy(zero_copy_only=False), numbers


def _text_defaults(config: TensorAdapterConfig) -> dict[str, bytes]:
    """What stands for a missing value, by the name of tensor and column; others are left to TFX's adapter."""
    texts = {field.name for field in config.arrow_schema if is_text(field.type)}
    return {
        name: found.dense_tensor.default_value.bytes_value
        for name, found in config.tensor_representations.items()
        if name in texts and name in (found.dense_tensor.column_name, found.varlen_sparse_tensor.column_name)
    }


def _with_numbers(schema: pa.Schema, texts: Mapping[str, bytes]) -> pa.Schema:
    return pa.schema([field.with_type(_NUMBERS) if field.name in texts else field for field in schema])


def _with_number_defaults(representations: Representations, texts: Mapping[str, bytes]) -> Representations:
    found = {
        name: schema_pb2.TensorRepresentation.FromString(one.SerializeToString())
        for name, one in representations.items()
    }
    for name in texts:
        if found[name].dense_tensor.HasField("default_value"):
            found[name].dense_tensor.default_value.int_value = 0
    return found


def _numbered(column: pa.LargeListArray) -> tuple[pa.LargeListArray, npt.NDArray[Any]]:
    """Lists of one plus the position among the distinct texts, and these; 0 is the default."""
    values = column.values
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    numbers = pc.add(values.indices.cast(pa.int64()), 1)
    missing = column.is_null() if column.null_count else None
    lists = pa.LargeListArray.from_arrays(column.offsets, numbers, mask=missing)
    return lists, values.dictionary.to_numpy(zero_copy_only=False)


def _looked_up(tensor: Any, default: bytes, texts: npt.NDArray[Any]) -> Any:
    table = tf.constant(np.concatenate([np.array([default], object), texts]), tf.string)
    look_up = partial(tf.gather, table)
    if isinstance(tensor, tf.SparseTensor):
        return tensor.with_values(look_up(tensor.values))
    return look_up(tensor)
