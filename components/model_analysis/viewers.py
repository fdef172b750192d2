"""TensorFlow Model Analysis on scored rows: what it writes is what its viewers open.

    batches | Viewers(evaluate, with_champion=True, folder=folder)      # pa.RecordBatch as `write_scored` keeps them
    read_metrics(folder, "candidate")["city=Berlin"]["auc"]

It measures the predictions that are there, by its own code, which takes rows apart: for one model 6 CPU seconds before the
first row, and 2 for 10,000 rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.metrics import CANDIDATE, CHAMPION, OVERALL
from components.evaluation.scored import LABEL
from components.examples.texts import decode_column
from pipelines.spec import Evaluate, threshold_of

CLASSES: Mapping[str, str] = {
    "auc": "AUC",
    "binary_crossentropy": "BinaryCrossEntropy",
    "calibration": "Calibration",
    "mean_label": "MeanLabel",
    "mean_prediction": "MeanPrediction",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
}
"""TFMA's class by the name in `evaluate.metrics`; it has none of its own for the root of an error, nor for R squared."""


class Viewers(beam.PTransform):  # type: ignore[misc]
    def __init__(self, evaluate: Evaluate, *, with_champion: bool, folder: Path) -> None:
        super().__init__()
        self._config, self._folder = eval_config(evaluate, champion=with_champion), folder

    def expand(self, scored: Any) -> Any:
        return (
            scored
            | "Lists" >> beam.Map(as_lists)
            | "Measure" >> tfma.ExtractEvaluateAndWriteResults(eval_config=self._config, output_path=str(self._folder))
        )


def read_metrics(folder: Path, model: str) -> dict[str, dict[str, float]]:
    """Numbers by slice and metric, as `components.evaluation.metrics` names both."""
    found: dict[str, dict[str, float]] = {}
    # A single model has no name there.
    named = tfma.load_eval_result(str(folder), model_name=model).slicing_metrics
    for key, outputs in named or tfma.load_eval_result(str(folder)).slicing_metrics:
        name = ", ".join(f"{column}={value}" for column, value in key) or OVERALL
        metrics: dict[str, Any] = outputs[""][""]
        found[name] = {metric: value["doubleValue"] for metric, value in metrics.items() if "doubleValue" in value}
    return found


def eval_config(evaluate: Evaluate, *, champion: bool) -> config_pb2.EvalConfig:
    """TFMA's configuration for predictions that are in the rows already."""
    names = [CANDIDATE, CHAMPION] if champion else [CANDIDATE]
    models = [
        config_pb2.ModelSpec(name=name, label_key=LABEL, prediction_key=name, is_baseline=name == CHAMPION)
        for name in names
    ]
    classes = ["ExampleCount", *(CLASSES[name] for name in evaluate.metrics if name in CLASSES), "CalibrationPlot"]
    metrics = [config_pb2.MetricConfig(class_name=name) for name in classes]
    metrics += [_at_threshold(name) for name in evaluate.metrics if threshold_of(name) is not None]
    slices = [config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=list(keys)) for keys in evaluate.slices)]
    return config_pb2.EvalConfig(
        model_specs=models, metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)], slicing_specs=slices
    )


def _at_threshold(metric: str) -> config_pb2.MetricConfig:
    config = json.dumps({"name": metric, "thresholds": [threshold_of(metric)]})
    return config_pb2.MetricConfig(class_name=metric.partition("@")[0].capitalize(), config=config)


def sample(index: int, batch: pa.RecordBatch, *, share: float) -> pa.RecordBatch:
    """Rows drawn by the number of their row group, so always the same ones."""
    return batch.filter(pa.array(np.random.default_rng(index).random(batch.num_rows) < share))


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows as TFMA's examples hold them: lists, of plain texts."""
    return pa.RecordBatch.from_arrays([_as_lists(column) for column in batch.columns], names=batch.schema.names)


def _as_lists(column: pa.Array) -> pa.Array:
    if pa.types.is_large_list(column.type):
        return decode_column(column)
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(column) + 1)), column)
