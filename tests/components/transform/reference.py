"""What TensorFlow Transform makes of the same rows: its own analysis on Beam, in batches as small as it uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.transform.graph import Graph, Saved, input_config
from tests.components.transform.running import ONE_WORKER

BATCH_ROWS = 500


class Reference:
    """The stock transform graph of `preprocessing_fn` over record batches."""

    def __init__(
        self, folder: Path, batches: Sequence[pa.RecordBatch], schema: str, preprocessing_fn: Callable[..., Any]
    ) -> None:
        self._schema = text_format.Parse(schema, schema_pb2.Schema())
        config = input_config(self._schema)
        small = [part for batch in batches for part in _cut(batch.select(config.arrow_schema.names))]
        with (
            beam.Pipeline(argv=ONE_WORKER) as pipeline,
            tft_beam.Context(
                temp_dir=str(folder / "temporary"),
                use_deep_copy_optimization=True,  # FnApiRunner ends at several phases without
            ),
        ):
            rows = pipeline | beam.Create(small, reshuffle=False)
            graph = (rows, config) | tft_beam.AnalyzeDataset(preprocessing_fn)
            _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        self.graph = folder / "graph"

    @property
    def output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(str(self.graph))

    def rows(self, batches: Sequence[pa.RecordBatch]) -> dict[str, npt.NDArray[Any]]:
        """The graph applied to `batches`."""
        names = sorted(self.output.transformed_feature_spec())
        config = input_config(self._schema)
        apply = Graph(Saved(self.graph / tft.TFTransformOutput.TRANSFORM_FN_DIR, tuple(names)), config)
        found = [apply(batch.select(config.arrow_schema.names), place="") for batch in batches]
        return {name: np.concatenate([arrays[name] for arrays in found]) for name in names}


def _cut(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Copies: TensorFlow Transform takes no slices."""
    starts = range(0, len(batch), BATCH_ROWS)
    return [batch.take(pa.array(range(start, min(start + BATCH_ROWS, len(batch))))) for start in starts]
