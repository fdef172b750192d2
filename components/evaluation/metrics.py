"""Metrics by their names in the spec: what TFMA is asked for and what it answered.

config = eval_config(spec.evaluate, champion=True)
table = read_table(folder, champion=True)
table[OVERALL].candidate["auc"], table[OVERALL].rows
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.scoring import LABEL
from pipelines.errors import SpecError, bounded
from pipelines.spec import Evaluate

CANDIDATE, CHAMPION = "candidate", "champion"
OVERALL = "overall"
CLASSES = {
    "auc": "AUC",
    "binary_crossentropy": "BinaryCrossEntropy",
    "calibration": "Calibration",
    "mean_label": "MeanLabel",
    "mean_prediction": "MeanPrediction",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
}
"""TFMA's class by the name in `evaluate.metrics`."""


@dataclass(frozen=True)
class Slice:
    """One slice's metrics; a metric that is not defined there (AUC of one class) is left out."""

    rows: int = 0
    candidate: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)


def eval_config(evaluate: Evaluate, *, champion: bool) -> config_pb2.EvalConfig:
    """TFMA's configuration for predictions that are in the rows already."""
    names = [CANDIDATE, CHAMPION] if champion else [CANDIDATE]
    models = [
        config_pb2.ModelSpec(name=name, label_key=LABEL, prediction_key=name, is_baseline=name == CHAMPION)
        for name in names
    ]
    classes = ["ExampleCount", *(_class_of(name) for name in evaluate.metrics), "CalibrationPlot"]
    metrics = [config_pb2.MetricConfig(class_name=name) for name in classes]
    slices = [config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=list(keys)) for keys in evaluate.slices)]
    return config_pb2.EvalConfig(
        model_specs=models, metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)], slicing_specs=slices
    )


def _class_of(name: str) -> str:
    if name not in CLASSES:
        raise SpecError(
            f"`evaluate.metrics` may hold {bounded(CLASSES, limit=len(CLASSES))}. Received: {name!r}",
            fix="correct its spelling, or leave it out",
        )
    return CLASSES[name]


def read_table(folder: Path, *, champion: bool) -> dict[str, Slice]:
    """Metrics by slice (`overall`, `city=Berlin`, `city=Berlin, hour=3`), the overall slice first."""
    candidate = _read(folder, CANDIDATE if champion else "")
    baseline = _read(folder, CHAMPION) if champion else {}
    table = {
        name: Slice(
            rows=round(metrics.get("example_count", 0)),
            candidate=_defined(metrics),
            champion=_defined(baseline.get(name, {})),
        )
        for name, metrics in candidate.items()
    }
    overall = table.pop(OVERALL, Slice())
    return {OVERALL: overall, **{name: table[name] for name in sorted(table, key=lambda key: (-table[key].rows, key))}}


def read_calibration(folder: Path, *, champion: bool) -> dict[str, list[tuple[float, float, float]]]:
    """(mean prediction, mean label, rows) of the overall calibration plot's non-empty buckets, by model."""
    import tensorflow_model_analysis as tfma

    curves = {}
    for name in (CANDIDATE, CHAMPION) if champion else (CANDIDATE,):
        result = tfma.load_eval_result(str(folder), model_name=name if champion else "")
        plots: Mapping[str, Any] = next((plot for key, plot in result.plots if not key), {})
        buckets = _only(plots).get("calibrationHistogramBuckets", {}).get("buckets", [])
        rows = [
            (
                _value(b, "totalWeightedRefinedPrediction"),
                _value(b, "totalWeightedLabel"),
                _value(b, "numWeightedExamples"),
            )
            for b in buckets
        ]
        curves[name] = [(prediction / count, label / count, count) for prediction, label, count in rows if count]
    return curves


def _read(folder: Path, model: str) -> dict[str, dict[str, float]]:
    import tensorflow_model_analysis as tfma

    result = tfma.load_eval_result(str(folder), model_name=model)
    return {
        slice_name(key): {
            name: float(value["doubleValue"]) for name, value in _only(metrics).items() if "doubleValue" in value
        }
        for key, metrics in result.slicing_metrics
    }


def slice_name(key: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{column}={value}" for column, value in key) or OVERALL


def _only(nested: Mapping[str, Any]) -> Mapping[str, Any]:
    """TFMA nests by output and by sub key; our models have one of each."""
    outputs: Mapping[str, Any] = next(iter(nested.values()), {})
    metrics: Mapping[str, Any] = next(iter(outputs.values()), {})
    return metrics


def _defined(metrics: Mapping[str, float]) -> dict[str, float]:
    known = {name: value for name, value in metrics.items() if name in CLASSES}
    labels = metrics.get("mean_label")
    if labels in {0.0, 1.0}:
        known.pop("auc", None)
    return {name: value for name, value in known.items() if math.isfinite(value)}


def _value(bucket: Mapping[str, Any], name: str) -> float:
    value = bucket.get(name, 0.0)
    return float(value.get("value", 0.0) if isinstance(value, Mapping) else value)
