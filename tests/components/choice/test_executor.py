"""Both nodes on real data: baselines learned and exported, a trained model beside them, the chosen one handed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tfx.types import Artifact, standard_artifacts

from components.artifacts import Baselines, GateReport, ModelComparison
from components.baselines.constant import Constant
from components.baselines.executor import BaselinesExecutor
from components.baselines.learned import Attempt, Learned, saved_model
from components.baselines.lesson import read_lesson
from components.baselines.linear import learn_linear
from components.baselines.trees import learn_trees
from components.choice.executor import ChooseExecutor
from components.decision import report
from components.examples.records import shard_name, to_lists, write_shard
from components.registry.package import model_key
from components.training.export import export_model
from components.training.history import History
from components.training.rows import Rows
from pipelines.errors import DataError
from tests.components.baselines.conftest import predict
from tests.components.training.conftest import COLUMNS, LABEL, SCHEMA, Transformed, example, transformed

__all__ = ["transformed"]
PROPERTIES = {"label": LABEL, "seed": 1, "max_rows": 100_000, "budget_secs": 60.0}


class Day(NamedTuple):
    inputs: dict[str, list[Artifact]]
    learned: Path
    transformed: Transformed


def artifact(kind: Any, folder: Path) -> list[Artifact]:
    folder.mkdir(parents=True, exist_ok=True)
    found = kind()
    found.uri = str(folder)
    return [found]


def learn(folder: Path, day: Transformed) -> Path:
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "schema.pbtxt").write_text(SCHEMA)
    inputs = {
        "examples": artifact(standard_artifacts.Examples, day.examples),
        "transform_graph": artifact(standard_artifacts.TransformGraph, day.transform),
        "schema": artifact(standard_artifacts.Schema, folder / "schema"),
    }
    BaselinesExecutor().Do(inputs, {"baselines": artifact(Baselines, folder / "baselines")}, PROPERTIES)
    return folder / "baselines"


@pytest.fixture(scope="module")
def day(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("choice")
    learned = learn(folder, transformed)
    batch = to_lists(pa.RecordBatch.from_pylist(transformed.raw), COLUMNS)
    write_shard(batch, folder / "examples" / "Split-eval", index=0, count=1)
    path = folder / "model" / "Format-Serving"
    export_model(Constant(0.9), transform=transformed.transform, schema=transformed.schema, label=LABEL, path=path)
    history = History(
        strategy="single", replicas=1, batch_size=1, steps_per_epoch=1, train_rows=1, eval_rows=1, parameter_count=1,
        elapsed_secs=2.5,
    )  # fmt: skip
    (folder / "run").mkdir()
    history.write(folder / "run")
    inputs = {
        "examples": artifact(standard_artifacts.Examples, folder / "examples"),
        "model": artifact(standard_artifacts.Model, folder / "model"),
        "model_run": artifact(standard_artifacts.ModelRun, folder / "run"),
        "learned": artifact(Baselines, learned),
        "schema": artifact(standard_artifacts.Schema, folder / "schema"),
        "transform_graph": artifact(standard_artifacts.TransformGraph, transformed.transform),
    }
    return Day(inputs, learned, transformed)


def run(day: Day, folder: Path, **baselines: Any) -> dict[str, list[Artifact]]:
    kinds = {"chosen": standard_artifacts.Model, "report": GateReport, "comparison": ModelComparison}
    outputs = {name: artifact(kind, folder / name) for name, kind in kinds.items()}
    properties = {"baselines": json.dumps(baselines), "label": LABEL, "unit": "item"}
    ChooseExecutor().Do(day.inputs, outputs, properties)
    return outputs


@pytest.mark.parametrize("name", ["constant", "linear", "trees"])
def test_a_saved_baseline_equals_the_model_in_memory(day: Day, name: str) -> None:
    lesson = read_lesson(Rows(day.transformed.rows / "train"), label=LABEL, weight=None, max_rows=100_000, seed=1)
    model: dict[str, Callable[[], Any]] = {
        "constant": lambda: Constant(lesson.mean_label),
        "linear": lambda: learn_linear(lesson, seed=1, budget_secs=30),
        "trees": lambda: learn_trees(lesson, seed=1, budget_secs=30),
    }
    rows = Rows(day.transformed.rows / "eval")
    floats, ints = rows.take(slice(None))
    arrays = {key: np.asarray(of.unpack(floats, ints)) for key, of in rows.columns.items() if key != LABEL}
    loaded = tf.saved_model.load(str(saved_model(day.learned, name)))
    serialized = tf.constant([example(row) for row in day.transformed.raw])
    found = loaded.signatures["serving_default"](examples=serialized)["predictions"]
    assert found.shape == (len(rows), 1) and found.dtype == tf.float32
    np.testing.assert_allclose(np.ravel(found), predict(model[name](), arrays), atol=1e-6)


def test_equal_days_make_equal_models(day: Day, tmp_path: Path) -> None:
    again = learn(tmp_path, day.transformed)
    keys = {name: model_key(saved_model(again, name)) for name in ("constant", "linear", "trees")}
    assert keys == {name: model_key(saved_model(day.learned, name)) for name in keys}
    assert len(set(keys.values())) == 3


def test_the_pinned_model_is_handed_on_and_told_to_be_worse(day: Day, tmp_path: Path) -> None:
    outputs = run(day, tmp_path)
    [chosen] = outputs["chosen"]
    assert model_key(Path(chosen.uri) / "Format-Serving") == model_key(
        Path(day.inputs["model"][0].uri) / "Format-Serving"
    )
    assert chosen.get_string_custom_property("chosen") == "tensorflow"
    [check] = report.GateReport.read(tmp_path / "report").checks
    assert check.verdict is report.Verdict.ACCEPTED and "is worse" in check.reason
    assert outputs["report"][0].verdict == "accepted"


def test_a_worse_one_is_refused_where_the_spec_says_so(day: Day, tmp_path: Path) -> None:
    assert run(day, tmp_path, when_worse="refuse")["report"][0].verdict == "refused"


def test_unpinned_the_better_model_is_handed_on(day: Day, tmp_path: Path) -> None:
    [chosen] = run(day, tmp_path, pin=None)["chosen"]
    name = chosen.get_string_custom_property("chosen")
    assert name in ("linear", "trees")
    assert model_key(Path(chosen.uri) / "Format-Serving") == model_key(saved_model(day.learned, name))


def test_the_comparison_holds_quality_and_cost_of_every_model(day: Day, tmp_path: Path) -> None:
    run(day, tmp_path, pin=None)
    table = json.loads((tmp_path / "comparison" / "models.json").read_text())
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert list(rows) == ["constant", "linear", "trees", "tensorflow"]
    for row in rows.values():
        assert row["low"] < row["binary_crossentropy"] < row["high"]
        assert row["bytes"] > 1000 and row["ms for 1"] > 0
    assert rows["tensorflow"]["train seconds"] == 2.5
    assert rows["linear"]["auc"] > 0.7 and rows["constant"]["auc"] == 0.5
    assert sum(row["chosen"] for row in rows.values()) == 1
    assert (
        "is the simplest within" in (tmp_path / "comparison" / "models.html").read_text()
        or "has the lowest" in (tmp_path / "comparison" / "models.html").read_text()
    )


def test_a_model_that_was_not_learned_is_a_row_that_says_why(day: Day, tmp_path: Path) -> None:
    reason = "all labels of the train split are 0"
    Learned(models={"trees": Attempt(rows=9, reason=reason)}).write(tmp_path)
    inputs = {**day.inputs, "learned": artifact(Baselines, tmp_path)}
    run(Day(inputs, tmp_path, day.transformed), tmp_path / "out", pin=None)
    table = json.loads((tmp_path / "out" / "comparison" / "models.json").read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["model"], row["note"] == reason) for row in rows] == [("trees", True), ("tensorflow", False)]


def test_an_empty_eval_split_is_told(day: Day, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    batch = to_lists(pa.RecordBatch.from_pylist(day.transformed.raw), COLUMNS)
    assert write_shard(batch.slice(0, 0), folder / "Split-eval", index=0, count=1).name == shard_name(0, 1)
    inputs = {**day.inputs, "examples": artifact(standard_artifacts.Examples, folder)}
    with pytest.raises(DataError, match="eval split, which has no rows"):
        run(Day(inputs, day.learned, day.transformed), tmp_path / "out")
