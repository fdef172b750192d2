"""Down-sampled negatives with weights: from raw rows to the calibration of the model on the natural rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.examples import records
from components.training.checkpoint import assign_variables, model_weights
from components.training.history import History
from components.training.input import pack
from components.training.interruption import Request
from components.training.job import Job
from components.training.loop import read_trained, train
from components.training.rows import Rows
from components.training.user_model import build_model
from components.transform.executor import TransformExecutor
from pipelines.errors import SpecError
from pipelines.spec import Data, Train
from tests.components.examples import making
from tests.components.training import logistic_model
from tests.components.transform.running import ONE_WORKER, write_schema

WEIGHT = "example_weight"
DATA = Data.model_validate(
    {
        "source": {"format": "parquet", "path": "{day}"},
        "columns": {"row": "int", "x": "float", "clicked": "int"},
        "label": "clicked",
        "split_key": "row",
        "splits": {"train": 3, "eval": 2},
        "downsample": {"keep_negatives": 0.1},
    }
)
SCHEMA = "".join(
    f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 }} shape {{ dim {{ size: 1 }} }} }}\n'
    for name, kind in {"row": "INT", "x": "FLOAT", "clicked": "INT"}.items()
)
ROWS = 40_000


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"x": inputs["x"], "clicked": inputs["clicked"]}


def with_weight(inputs: dict[str, Any]) -> dict[str, Any]:
    return preprocessing_fn(inputs) | {WEIGHT: inputs["x"]}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples of a day with few positives, and their sample."""
    folder, random = tmp_path_factory.mktemp("day"), np.random.default_rng(1)
    x = random.normal(size=ROWS)
    clicked = (random.random(ROWS) < 1 / (1 + np.exp(3.5 - x))).astype(int)
    making.run(folder, pa.table({"row": np.arange(ROWS), "x": x, "clicked": clicked}), data=DATA, row_group_size=10_000)
    write_schema(folder, SCHEMA)
    return folder


def transform(day: Path, target: Path, *, weight: str | None, function: str = "preprocessing_fn") -> None:
    examples, sample, schema = standard_artifacts.Examples(), standard_artifacts.Examples(), standard_artifacts.Schema()
    graph, transformed = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    examples.uri, sample.uri, schema.uri = str(day / "examples"), str(day / "sample"), str(day / "schema")
    graph.uri, transformed.uri = str(target / "graph"), str(target / "examples")
    records.describe(examples, split_names=["train", "eval"], span=20458)
    records.describe(sample, split_names=["train"], span=20458)
    TransformExecutor(BaseBeamExecutor.Context(beam_pipeline_args=ONE_WORKER)).Do(
        {"examples": [examples], "schema": [schema], "sample": [sample]},
        {"transform_graph": [graph], "transformed_examples": [transformed]},
        {"preprocessing_fn": f"{__name__}.{function}", "weight": weight},
    )


def trained(day: Path, target: Path, *, weight: str | None) -> tuple[float, History]:
    """Mean prediction / mean label on the natural rows of `eval`."""
    transform(day, target, weight=weight)
    for split in ("train", "eval"):
        pack(target / "examples", target / "rows", split=split)
    job = Job(
        model=logistic_model.__name__,
        transform=target / "graph",
        rows=target / "rows",
        folder=target,
        label="clicked",
        weight=weight,
        train=Train(batch_size=256, epochs=16),
    )
    train(job, strategy=tf.distribute.get_strategy(), request=Request())
    found = read_trained(job)
    model = build_model(job, tf.distribute.get_strategy())
    assign_variables(model_weights(model), found.weights, strategy=tf.distribute.get_strategy())
    rows = Rows(target / "rows" / "eval")
    features = {name: column.unpack(*rows.take(slice(None))) for name, column in rows.columns.items()}
    predictions = model.predict({"x": features["x"]}, verbose=0)
    return float(np.mean(predictions) / np.mean(features["clicked"])), found.history


def test_weights_keep_predictions_calibrated_on_natural_rows(day: Path, tmp_path: Path) -> None:
    calibration, history = trained(day, tmp_path / "weighted", weight=WEIGHT)
    unweighted, plain = trained(day, tmp_path / "unweighted", weight=None)
    assert calibration == pytest.approx(1, abs=0.1)
    assert unweighted > 2.5  # learned from ten times the odds
    assert history.train_rows == plain.train_rows < 0.2 * ROWS
    assert history.eval_rows == plain.eval_rows > 0.35 * ROWS

    # Loss and weighted metrics are those of all rows; `metrics` stay without weights, as Keras has it.
    metrics = history.epochs[-1].metrics
    assert metrics["loss"] == pytest.approx(metrics["val_loss"], rel=0.1)
    assert metrics["mean"] == pytest.approx(metrics["val_mean"], rel=0.1)
    assert metrics["plain_mean"] > 3 * metrics["mean"]


def test_the_weight_is_no_part_of_the_graph_and_no_output(day: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must not return 'example_weight'"):
        transform(day, tmp_path, weight=WEIGHT, function="with_weight")
