"""Analysis by TensorFlow Transform's own Beam transforms, on the same record batches: for analyzers without a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import tensorflow_transform.beam as tft_beam

from components.examples.records import RowGroup, read
from components.transform.graph import input_config
from components.transform.tracing import Model, Trace


def analyze(trace: Trace, row_groups: Sequence[RowGroup], pipeline: beam.Pipeline) -> Model:
    """The SavedModel with all constants, as `Analysis.model` returns it."""
    config = input_config(trace.schema)
    target = trace.folder / "fallback"
    # Deep copies read the row groups again in later phases: kept in between they would fill the memory.
    with pipeline, tft_beam.Context(temp_dir=str(trace.folder), use_deep_copy_optimization=True):
        batches = (
            pipeline
            | "RowGroups" >> beam.Create(list(row_groups))
            | "Read" >> beam.Map(read, config.arrow_schema.names)
        )
        found, _ = (batches, config) | tft_beam.AnalyzeDataset(trace.function)
        _ = found | "Write" >> beam.Map(_note, target)
    return Model(Path(target.read_text(encoding="utf-8")), None)


def _note(model: str, path: Path) -> None:
    path.write_text(model, encoding="utf-8")
