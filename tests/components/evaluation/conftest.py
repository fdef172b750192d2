"""A small day with a raw label, its transform graph, and real SavedModels of known quality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, standard_artifacts

from components.artifacts import GateReport
from components.evaluation.executor import EvaluateExecutor
from components.examples.records import to_lists, write_shard
from components.training.export import export_model

SCHEMA = """
    feature { name: "fare" type: FLOAT presence { min_fraction: 1 } shape {} }
    feature { name: "tips" type: FLOAT presence { min_fraction: 1 } shape {} }
    feature { name: "hour" type: INT value_count { min: 0 max: 1 } }
    feature { name: "city" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "user" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
COLUMNS = {"fare": "float", "tips": "float", "hour": "int", "city": "string", "user": "int"}
BEAM_ARGS = [
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
]


class Day(NamedTuple):
    rows: dict[str, Any]
    labels: np.ndarray
    """Transformed: the tip exceeds a fifth of the fare."""
    transform: Path
    schema: schema_pb2.Schema
    schema_folder: Path
    models: dict[str, Path]
    """Model artifact folders: `good` and `poor`."""


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "fare": tft.scale_to_z_score(inputs["fare"]),
        "tips": tf.cast(inputs["tips"] > 0.2 * inputs["fare"], tf.int64),
    }


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("evaluation")
    random = np.random.default_rng(5)
    fare = random.uniform(1, 40, 3000).astype("f4")
    tips = (fare * random.uniform(0, 0.4, 3000) * (0.5 + fare / 40)).astype("f4")
    rows = {
        "fare": fare.tolist(),
        "tips": tips.tolist(),
        "hour": [int(hour) if hour else None for hour in random.integers(0, 3, 3000)],
        "city": [str(city) for city in random.choice(["Berlin", "Köln"], 3000)],
        "user": [int(user) for user in random.integers(0, 900, 3000)],
    }
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(SCHEMA)
    metadata = dataset_metadata.DatasetMetadata(schema)
    raw = [
        {"fare": f, "tips": t, "hour": [] if h is None else [h], "city": [c.encode()], "user": [u]}
        for f, t, h, c, u in zip(*rows.values(), strict=True)
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(folder / "temp")):
        graph = ((pipeline | beam.Create(raw)), metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    models = {name: _model(folder, name, weight, schema) for name, weight in {"good": 2.0, "poor": -2.0}.items()}
    return Day(rows, tips > np.float32(0.2) * fare, folder / "graph", schema, folder / "schema", models)


def _model(folder: Path, name: str, weight: float, schema: schema_pb2.Schema) -> Path:
    fare = keras.Input(shape=(1,), name="fare")
    score = keras.layers.Dense(1, activation="sigmoid", name="score")
    model = keras.Model({"fare": fare}, score(fare))
    score.set_weights([np.array([[weight]], "f4"), np.zeros(1, "f4")])
    path = folder / name / "Format-Serving"
    export_model(model, transform=folder / "graph", schema=schema, label="tips", path=path)
    return folder / name


class Result(NamedTuple):
    folder: Path
    report: GateReport
    blessing: Artifact


Run = Callable[..., Any]


@pytest.fixture
def evaluate(day: Day, tmp_path: Path) -> Run:
    """`evaluate(spec_json, candidate="good", champion="poor", rows=slice(None))` runs the executor as a node does."""

    def run(
        spec: str, *, candidate: str = "good", champion: str | Path | None = None, rows: Any = slice(None)
    ) -> dict[str, Artifact]:
        import pyarrow as pa

        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path / "examples")
        chosen = {name: values[rows] for name, values in day.rows.items()}
        batch = pa.RecordBatch.from_pydict(chosen)
        half = len(batch) // 2
        for index, part in enumerate((batch[:half], batch[half:])):
            write_shard(to_lists(part, COLUMNS), tmp_path / "examples" / "Split-eval", index=index, count=2)
        inputs = {
            "examples": [examples],
            "model": [_artifact(standard_artifacts.Model, day.models[candidate])],
            "champion_model": [_champion(day, champion, tmp_path)],
            "schema": [_artifact(standard_artifacts.Schema, day.schema_folder)],
            "transform_graph": [_artifact(standard_artifacts.TransformGraph, day.transform)],
        }
        outputs = {
            "evaluation": [_artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation")],
            "report": [_artifact(GateReport, tmp_path / "report")],
            "blessing": [_artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")],
        }
        context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=str(tmp_path), unique_id="1")
        EvaluateExecutor(context).Do(inputs, outputs, {"evaluate": spec, "label": "tips", "unit": "user"})
        return {name: artifact for name, [artifact] in outputs.items()}

    return run


def _champion(day: Day, champion: str | Path | None, tmp_path: Path) -> Artifact:
    if champion is None:
        artifact = _artifact(standard_artifacts.Model, tmp_path / "nothing")
        artifact.set_string_custom_property("absent", "yes")
        return artifact
    artifact = _artifact(standard_artifacts.Model, day.models[champion] if isinstance(champion, str) else champion)
    artifact.set_string_custom_property("version", "3")
    return artifact


def _artifact(kind: type[Artifact], folder: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(folder)
    return artifact
