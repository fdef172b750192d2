"""A SavedModel of TensorFlow Transform on record batches: what a worker holds.

graph = Graph(model, input_config(schema, ["price"]), ["price_scaled"])
graph(batch)["price_scaled"]        # one call for the whole row group
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
from tfx_bsl.tfxio.tf_example_record import TFExampleBeamRecord


def input_config(schema: schema_pb2.Schema, names: Sequence[str] | None = None) -> TensorAdapterConfig:
    """How columns become tensors by the schema: of all features, or of `names`. It pickles."""
    source = TFExampleBeamRecord(physical_format="inmem", telemetry_descriptors=["transform"], schema=schema)
    return (source if names is None else source.Project(list(names))).TensorAdapterConfig()


class Graph:
    """Thread-safe: the threads of a process share one."""

    def __init__(self, model: Path, config: TensorAdapterConfig, outputs: Sequence[str]) -> None:
        self._adapter = TensorAdapter(config)
        self._model = SavedModelLoader(str(model))
        self._model.finalize(config.tensor_representations.keys(), outputs)

    def __call__(self, batch: pa.RecordBatch) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name, `[rows, ...]` numpy arrays; strings are objects."""
        tensors = self._adapter.ToBatchTensors(batch, produce_eager_tensors=True)
        return {name: np.asarray(tensor) for name, tensor in self._model.apply_transform_model(tensors).items()}
