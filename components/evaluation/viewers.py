"""TensorFlow Model Analysis on some of the scored rows: its artifact is what its viewers open.

    scored | Viewers(evaluate, with_champion=True, share=0.1, folder=folder)

It measures the predictions that are there, by its own code, which takes rows apart: for one model 6 CPU seconds before the
first row, and 2 for 10,000 rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.metrics import CANDIDATE, CHAMPION
from components.evaluation.scored import LABEL
from components.examples.texts import decode_column
from pipelines.spec import Evaluate, Metric

CLASSES: Mapping[Metric, str] = {
    "auc": "AUC",
    "binary_crossentropy": "BinaryCrossEntropy",
    "calibration": "Calibration",
    "mean_label": "MeanLabel",
    "mean_prediction": "MeanPrediction",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
}
"""TFMA's class by the name in `evaluate.metrics`."""


class Viewers(beam.PTransform):  # type: ignore[misc]
    def __init__(self, evaluate: Evaluate, *, with_champion: bool, share: float, folder: Path) -> None:
        """`share`: of the rows, drawn for each row group by its number, so always the same ones."""
        super().__init__()
        self._config, self._share, self._folder = eval_config(evaluate, champion=with_champion), share, folder

    def expand(self, scored: Any) -> Any:
        return (
            scored
            | "Sample" >> beam.FlatMap(sample, share=self._share)
            | "Measure" >> tfma.ExtractEvaluateAndWriteResults(eval_config=self._config, output_path=str(self._folder))
        )


def eval_config(evaluate: Evaluate, *, champion: bool) -> config_pb2.EvalConfig:
    """TFMA's configuration for predictions that are in the rows already."""
    names = [CANDIDATE, CHAMPION] if champion else [CANDIDATE]
    models = [
        config_pb2.ModelSpec(name=name, label_key=LABEL, prediction_key=name, is_baseline=name == CHAMPION)
        for name in names
    ]
    classes = ["ExampleCount", *(CLASSES[name] for name in evaluate.metrics), "CalibrationPlot"]
    metrics = [config_pb2.MetricConfig(class_name=name) for name in classes]
    slices = [config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=list(keys)) for keys in evaluate.slices)]
    return config_pb2.EvalConfig(
        model_specs=models, metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)], slicing_specs=slices
    )


def sample(element: tuple[int, pa.RecordBatch], *, share: float) -> Iterator[pa.RecordBatch]:
    """The chosen rows as TFMA's examples hold them: lists, of plain texts."""
    index, batch = element
    chosen = batch.filter(pa.array(np.random.default_rng(index).random(batch.num_rows) < share))
    if chosen.num_rows:
        columns = [_as_lists(column) for column in chosen.columns]
        yield pa.RecordBatch.from_arrays(columns, names=chosen.schema.names)


def _as_lists(column: pa.Array) -> pa.Array:
    if pa.types.is_large_list(column.type):
        return decode_column(column)
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(column) + 1)), column)
