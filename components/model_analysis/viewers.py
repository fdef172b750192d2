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
from pipelines.spec import Evaluate, number_of, threshold_of

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
_MACRO_AUC = "macro_average: true\n_auc"
"""What TFMA calls it where it stands among the metrics of all classes."""
_OF_CLASS = "classId:"


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
        parts: dict[str, dict[str, Any]] = outputs[""]
        found[name] = {
            _our_name(metric, part): value["doubleValue"]
            for part, metrics in parts.items()
            for metric, value in metrics.items()
            if "doubleValue" in value
        }
    return found


def _our_name(metric: str, part: str) -> str:
    if part.startswith(_OF_CLASS):
        return f"{metric}@{part.removeprefix(_OF_CLASS)}"
    return "macro_auc" if metric == _MACRO_AUC else metric


def eval_config(evaluate: Evaluate, *, champion: bool) -> config_pb2.EvalConfig:
    """TFMA's configuration for predictions that are in the rows already."""
    names = [CANDIDATE, CHAMPION] if champion else [CANDIDATE]
    models = [
        config_pb2.ModelSpec(name=name, label_key=LABEL, prediction_key=name, is_baseline=name == CHAMPION)
        for name in names
    ]
    specs = _specs_of_classes(evaluate, evaluate.classes) if evaluate.classes else [_spec_of_one_output(evaluate)]
    slices = [config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=list(keys)) for keys in evaluate.slices)]
    return config_pb2.EvalConfig(model_specs=models, metrics_specs=specs, slicing_specs=slices)


def _spec_of_one_output(evaluate: Evaluate) -> config_pb2.MetricsSpec:
    classes = ["ExampleCount", *(CLASSES[name] for name in evaluate.metrics if name in CLASSES), "CalibrationPlot"]
    metrics = [config_pb2.MetricConfig(class_name=name) for name in classes]
    metrics += [_at_threshold(name) for name in evaluate.metrics if threshold_of(name) is not None]
    return config_pb2.MetricsSpec(metrics=metrics)


def _specs_of_classes(evaluate: Evaluate, classes: int) -> list[config_pb2.MetricsSpec]:
    """Of all classes together; AUC, and its mean, and calibration of each against the rest."""
    metrics = [config_pb2.MetricConfig(class_name="ExampleCount")]
    if "categorical_crossentropy" in evaluate.metrics:
        metrics.append(_named("SparseCategoricalCrossentropy", "categorical_crossentropy"))
    for name in evaluate.metrics:
        if (numbered := number_of(name)) and numbered[0] == "accuracy":
            metrics.append(_named("SparseTopKCategoricalAccuracy", name, k=numbered[1]))
    kinds = {"auc" if name == "macro_auc" else name.partition("@")[0] for name in evaluate.metrics}
    specs = [config_pb2.MetricsSpec(metrics=metrics)]
    for kind in sorted(kinds & {"auc", "calibration"}):
        # TFMA wants a weight for each class, though the mean is one of equals.
        equals = config_pb2.AggregationOptions(macro_average=True, class_weights=dict.fromkeys(range(classes), 1.0))
        specs.append(
            config_pb2.MetricsSpec(
                metrics=[config_pb2.MetricConfig(class_name=CLASSES[kind])],
                binarize=config_pb2.BinarizationOptions(class_ids={"values": range(classes)}),
                aggregate=equals if kind == "auc" else None,
            )
        )
    return specs


def _named(class_name: str, name: str, **config: Any) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=class_name, config=json.dumps({"name": name} | config))


def _at_threshold(metric: str) -> config_pb2.MetricConfig:
    return _named(metric.partition("@")[0].capitalize(), metric, thresholds=[threshold_of(metric)])


def sample(index: int, batch: pa.RecordBatch, *, share: float) -> pa.RecordBatch:
    """Rows drawn by the number of their row group, so always the same ones."""
    return batch.filter(pa.array(np.random.default_rng(index).random(batch.num_rows) < share))


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows as TFMA's examples hold them: lists, of plain texts."""
    return pa.RecordBatch.from_arrays([_as_lists(column) for column in batch.columns], names=batch.schema.names)


def _as_lists(column: pa.Array) -> pa.Array:
    if pa.types.is_large_list(column.type):
        return decode_column(column)
    if pa.types.is_fixed_size_list(column.type):
        return column.cast(pa.large_list(column.type.value_type))
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(column) + 1)), column)
