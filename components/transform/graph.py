"""A graph of TensorFlow Transform on record batches: what a worker holds.

graph = Graph(Saved(path, ["price_scaled"]), input_config(schema, ["price"]))
graph(batch, place=path)["price_scaled"]        # one call for the whole row group
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
from tfx_bsl.tfxio.tf_example_record import TFExampleBeamRecord

from components.transform.exporting import Exported
from components.transform.tensors import DistinctAdapter
from pipelines.errors import DataError, UserCodeError

Tensors = Mapping[str, Any]
Loaded = Callable[[Tensors], Tensors]


class Feed(NamedTuple):
    """A tensor of the graph that takes a component of an input: a sparse one has three."""

    tensor: str
    column: str
    component: int


@dataclass(frozen=True)
class Frozen:
    """A graph without state, as bytes: nothing is written, and nothing runs that the outputs do not need."""

    graph_def: bytes
    feeds: tuple[Feed, ...]
    fetches: Mapping[str, str]
    """Tensor of the graph by output name."""

    def load(self, columns: Sequence[str]) -> Loaded:
        del columns
        definition = tf.compat.v1.GraphDef.FromString(self.graph_def)
        wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
        tensor = wrapped.graph.get_tensor_by_name
        function = wrapped.prune(
            [tensor(feed.tensor) for feed in self.feeds], {name: tensor(key) for name, key in self.fetches.items()}
        )

        def apply(tensors: Tensors) -> Tensors:
            parts = {name: tf.nest.flatten(value, expand_composites=True) for name, value in tensors.items()}
            found: Tensors = function(*[parts[feed.column][feed.component] for feed in self.feeds])
            return found

        return apply


@dataclass(frozen=True)
class Saved:
    """A SavedModel."""

    path: Path
    outputs: tuple[str, ...]

    def load(self, columns: Sequence[str]) -> Loaded:
        return _finalized(SavedModelLoader(str(self.path)), columns, self.outputs)


@dataclass(frozen=True)
class Live:
    """A SavedModel in the process that wrote it: loading it again takes as long as writing did."""

    module: tf.Module
    outputs: tuple[str, ...]

    def load(self, columns: Sequence[str]) -> Loaded:
        return _finalized(Exported(self.module), columns, self.outputs)


def _finalized(model: SavedModelLoader, columns: Sequence[str], outputs: Sequence[str]) -> Loaded:
    model.finalize(columns, outputs)
    apply: Loaded = model.apply_transform_model
    return apply


def input_config(schema: schema_pb2.Schema, names: Sequence[str] | None = None) -> TensorAdapterConfig:
    """How columns become tensors by the schema: of all features, or of `names`. It pickles."""
    source = TFExampleBeamRecord(physical_format="inmem", telemetry_descriptors=["transform"], schema=schema)
    return (source if names is None else source.Project(list(names))).TensorAdapterConfig()


class Graph:
    """Thread-safe: the threads of a process share one."""

    def __init__(
        self, model: Frozen | Saved | Live, config: TensorAdapterConfig, *, column_of: Mapping[str, str] | None = None
    ) -> None:
        """`column_of`: the outputs that `rowwise.text_outputs` found."""
        self._column_of = column_of or {}
        self._adapter = DistinctAdapter(config, set(self._column_of.values()))
        self._apply = model.load(list(config.tensor_representations))

    def __call__(self, batch: pa.RecordBatch, *, place: str) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name, `[rows, ...]` numpy arrays; strings are objects.

        Args:
            batch: as `components.examples.records.read` returns it; faster when `encoded`.
            place: where the rows come from, for errors.

        Raises:
            DataError: the rows do not fit the schema.
            UserCodeError: an operation of the graph failed on them.
        """
        try:
            tensors, numbers = self._adapter(batch)
        except ValueError as error:
            raise DataError(
                f"examples must fit the schema. Received: {error}: {error.__cause__}",
                fix="correct schema.pbtxt (presence, shape, value_count), or the rows in the contract",
                place=place,
            ) from error
        try:
            found = self._apply(tensors)
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise UserCodeError(
                f"the graph of `preprocessing_fn` failed: {_without_trace(str(error.message))[:300]}",
                fix="correct that operation in features.py, or exclude such rows in the contract",
                place=place,
            ) from error
        arrays = {name: np.asarray(tensor) for name, tensor in found.items()}
        for name, column in self._column_of.items():
            if column in numbers:
                arrays[name] = arrays[name].take(numbers[column], axis=0)
        return arrays


def _without_trace(message: str) -> str:
    """A graph that this process has traced tells where each operation was made: dozens of indented lines."""
    return " ".join(word for line in message.splitlines() if not line.startswith("  ") for word in line.split())
